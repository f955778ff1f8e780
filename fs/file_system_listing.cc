// Reading directories. An entry that cannot be read is shown as one that can be removed; it never makes the
// directory fail.
#include <fcntl.h>
#include <sys/stat.h>

#include "fs/file_system_state.h"

namespace kmsfs {
namespace {

constexpr std::uint64_t kDots = 2;  // "." and ".." come first

}  // namespace

Result<HandleId> FileSystem::open_directory(NodeId id) {
  State& s = *state_;
  auto parent = s.parent(id);
  if (!parent) return std::move(parent).error();
  return s.add_handle(parent->node, std::make_unique<DirectoryStream>());
}

void FileSystem::release_directory(NodeId, HandleId handle) { state_->take_handle(handle); }

Result<void> FileSystem::sync_directory(NodeId id) {
  State& s = *state_;
  auto parent = s.parent(id);
  if (!parent) return std::move(parent).error();
  KMSFS_TRY(s.make_way_durable(*parent->node));
  return s.sync_names(*parent);
}

Result<void> FileSystem::State::take_listing(const Parent& in, DirectoryStream& stream) const {
  auto entries = files.list(in.fd());
  if (!entries) return std::move(entries).error();
  stream.entries.clear();
  stream.entries.reserve(entries->size());
  for (RawEntry& entry : *entries) {
    if (!Volume::is_internal(entry.stored_name)) stream.entries.push_back(std::move(entry));
  }
  stream.taken = true;
  return {};
}

// Nothing if the entry is gone by now.
std::optional<FileSystem::State::Listed> FileSystem::State::read_entry(const Parent& in,
                                                                       const Result<DirectoryId>& id,
                                                                       const RawEntry& raw, bool look_up) {
  Listed listed;
  auto name = id ? files.plain_name(in.fd(), *id, raw.stored_name) : Result<std::string>(id.error());
  listed.inode = raw.inode;
  listed.type = raw.type;
  const bool must_look = look_up || raw.type == 0 || !name;
  if (must_look) {
    std::shared_lock lock(in.entries());
    auto attributes = disk.stat_at(in.fd(), raw.stored_name);
    if (!attributes) return std::nullopt;
    listed.inode = attributes->st_ino;
    listed.type = attributes->st_mode & S_IFMT;
    if (look_up) listed.entry = entry(nodes.look_up(*attributes, in.node, raw.stored_name), *attributes);
  }
  if (!name) ++unreadable_names;
  listed.name = name ? std::move(*name) : name_of_unreadable(raw.stored_name);
  return listed;
}

Result<void> FileSystem::read_directory(NodeId id, HandleId handle_id, std::uint64_t offset, bool plus,
                                        const DirectorySink& sink) {
  State& s = *state_;
  auto parent = s.parent(id);
  if (!parent) return std::move(parent).error();
  auto handle = s.handle(handle_id);
  if (!handle) return std::move(handle).error();
  if ((*handle)->stream == nullptr || (*handle)->node != parent->node) return errno_error(EBADF);
  DirectoryStream& stream = *(*handle)->stream;
  std::lock_guard lock(stream.mutex);
  if (offset == 0 || !stream.taken) KMSFS_TRY(s.take_listing(*parent, stream));

  const auto up = s.nodes.place(*parent->node);
  const std::pair<std::string_view, ino_t> dots[kDots] = {
      {".", parent->node->inode}, {"..", up ? up->parent->inode : parent->node->inode}};
  for (; offset < kDots; ++offset) {
    if (!sink({dots[offset].first, dots[offset].second, S_IFDIR, offset + 1, nullptr})) return {};
  }
  if (offset - kDots >= stream.entries.size()) return {};
  const auto directory = s.directory_id(*parent);
  for (; offset - kDots < stream.entries.size(); ++offset) {
    auto listed = s.read_entry(*parent, directory, stream.entries[offset - kDots], plus);
    if (!listed) continue;
    const Entry* entry = listed->entry ? &*listed->entry : nullptr;
    if (sink({listed->name, listed->inode, listed->type, offset + 1, entry})) continue;
    if (entry != nullptr) forget(entry->node, 1);
    return {};
  }
  return {};
}

}  // namespace kmsfs
