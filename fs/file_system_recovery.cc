// After an unclean end on this host: looks at every file that changed since, and opens those that a crash may
// have left unfinished, which repairs them (docs/FORMAT.md, "Recovery"). Only those cost a call of the KMS.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fs/file_system_state.h"

namespace kmsfs {

// Unauthenticated, as there is no key yet: worth no more than the question whether to look closer.
Result<bool> FileSystem::State::looks_unfinished(const NodePtr& node) {
  auto fd = open_content(node, O_RDONLY);
  if (!fd) return std::move(fd).error();
  auto attributes = disk.stat(fd->get());
  if (!attributes) return std::move(attributes).error();
  auto header = read_file_header(disk, fd->get(), volume.geometry());
  if (!header) return false;  // damaged, but not by a crash
  if (!*header || !(*header)->state.clean) return true;
  const std::uint64_t size = (*header)->state.plain_size;
  const Geometry& geometry = volume.geometry();
  if (size > geometry.max_plain_size()) return true;
  if (geometry.backing_size(size) != static_cast<std::uint64_t>(attributes->st_size)) return true;
  if (size == 0 || (*header)->state.sparse) return false;
  std::array<std::byte, Xaes256Gcm::kNonceSize> nonce{};
  auto got = disk.read_at(fd->get(), geometry.sealed_offset(0), nonce);
  if (!got) return std::move(got).error();
  if (all_zero(nonce)) return true;
  auto hole = disk.seek(fd->get(), 0, SEEK_HOLE);
  return hole && *hole < geometry.block_count(size) * kPageSize;
}

// One directory; those below it are added to `waiting`, with a lookup each that is to be given back.
Result<void> FileSystem::recover_directory(NodeId directory, std::vector<NodeId>& waiting) {
  State& s = *state_;
  auto handle = open_directory(directory);
  if (!handle) return std::move(handle).error();
  std::vector<NodeId> suspects;
  auto listed = read_directory(directory, *handle, 0, true, [&](const DirectoryEntry& entry) {
    if (entry.entry == nullptr) return true;
    const struct stat& attributes = entry.entry->attributes;
    const bool changed =
        S_ISREG(attributes.st_mode) && not_older(attributes.st_ctim, s.options.recover_since);
    if (S_ISDIR(attributes.st_mode)) {
      waiting.push_back(entry.entry->node);
    } else if (changed) {
      suspects.push_back(entry.entry->node);
    } else {
      forget(entry.entry->node, 1);
    }
    return !s.stop_recovery;
  });
  release_directory(directory, *handle);
  Result<void> outcome = std::move(listed);
  for (const NodeId suspect : suspects) {
    if (outcome && !s.stop_recovery) outcome = recover_file(suspect);
    forget(suspect, 1);
  }
  return outcome;
}

Result<void> FileSystem::recover_file(NodeId id) {
  State& s = *state_;
  auto node = s.find(id);
  if (!node) return {};  // gone meanwhile
  auto unfinished = s.looks_unfinished(*node);
  if (!unfinished && unfinished.error().system_errno == ESTALE) return {};
  if (!unfinished) return std::move(unfinished).error();
  if (!*unfinished) return {};
  auto handle = open(id, O_RDWR);
  if (!handle && handle.error().kind == Kind::kCorrupt)
    return {};  // counted and logged; no repair will mend it
  if (!handle) return std::move(handle).error();
  const bool unrepaired = s.content_of(*node).unrepaired();
  release(id, *handle);
  if (unrepaired) return error(Kind::kNoSpace, "the disk takes no repair");
  return {};
}

Result<void> FileSystem::recover_all() {
  State& s = *state_;
  std::vector<NodeId> waiting = {kRootNode};
  Result<void> outcome;
  while (!waiting.empty()) {
    const NodeId directory = waiting.back();
    waiting.pop_back();
    if (outcome && !s.stop_recovery) outcome = recover_directory(directory, waiting);
    if (directory != kRootNode) forget(directory, 1);
  }
  if (!outcome) return std::move(outcome).error().during("repairing what the last mount left");
  if (!s.stop_recovery) s.recovered = true;
  return {};
}

bool FileSystem::recovered() const { return state_->recovered; }

bool FileSystem::finished() const {
  return state_->content.sizes_of_unfinished.with([](const auto& sizes) { return sizes.empty(); });
}

void FileSystem::State::stop_recovering() {
  stop_recovery = true;
  if (recovery.joinable()) recovery.join();
}

}  // namespace kmsfs
