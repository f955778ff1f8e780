// Removing and renaming. A name that goes leaves its node a descriptor, as long as somebody knows the node.
#include <fcntl.h>
#include <sys/stat.h>

#include "fs/file_system_state.h"

namespace kmsfs {

Result<void> FileSystem::unlink(NodeId parent_id, std::string_view name) {
  State& s = *state_;
  KMSFS_TRY(s.may_change());
  auto parent = s.parent(parent_id);
  if (!parent) return std::move(parent).error();
  auto stored = s.observed(s.name_to_find(*parent, name));
  if (!stored) return std::move(stored).error();
  std::lock_guard lock(parent->entries());
  // Opened before anybody is asked who it is: nearly always somebody knows it, and then it stays with the
  // node.
  auto path = s.disk.open_at(parent->fd(), stored->entry, O_PATH);
  if (!path) return std::move(path).error();
  auto attributes = s.disk.stat(path->get());
  if (!attributes) return std::move(attributes).error();
  if (S_ISDIR(attributes->st_mode)) return errno_error(EISDIR);
  KMSFS_TRY(s.disk.unlink_at(parent->fd(), stored->entry, 0));
  const NodePtr node = s.nodes.find(attributes->st_dev, attributes->st_ino);
  if (node != nullptr) {
    s.nodes.remove_place(*node, Place{parent->node, stored->entry},
                         std::make_shared<const UniqueFd>(std::move(*path)));
  }
  s.files.remove_side_link(parent->fd(), stored->entry);
  return {};
}

// The directory that stands at a name, so that it can be locked together with its parent; nullptr if nobody
// knows it.
Result<NodePtr> FileSystem::State::directory_at(const Parent& in, const std::string& stored_name) const {
  auto attributes = disk.stat_at(in.fd(), stored_name);
  if (!attributes)
    return attributes.error().system_errno == ENOENT ? Result<NodePtr>(NodePtr()) : attributes.error();
  if (!S_ISDIR(attributes->st_mode)) return NodePtr();
  return nodes.find(attributes->st_dev, attributes->st_ino);
}

// To the disk no directory is empty, for its id stands in it: that goes before `go` takes the directory away.
Result<void> FileSystem::State::vacate(const Place& place, int parent_fd, const Node* node,
                                       const Descriptor& known, const std::function<Result<void>()>& go) {
  if (node != nullptr && known != nullptr) {
    const auto id = node->directory->id.with([](auto& read) { return read; });
    return files.vacate(known->get(), options.shared ? std::nullopt : id, go);
  }
  auto opened = disk.open_at(parent_fd, place.stored_name, O_PATH | O_DIRECTORY);
  if (!opened) return std::move(opened).error();
  return files.vacate(opened->get(), {}, go);
}

Result<void> FileSystem::State::remove_directory_at(const Parent& in, const std::string& stored_name,
                                                    const NodePtr& node) {
  const Place place{in.node, stored_name};
  Descriptor kept;
  if (node != nullptr) {
    auto descriptor = descriptor_instead_of(place, in.fd(), *node);
    if (!descriptor) return std::move(descriptor).error();
    kept = std::move(*descriptor);
  }
  const auto remove = [&] {
    return vacate(place, in.fd(), node.get(), kept,
                  [&] { return disk.unlink_at(in.fd(), stored_name, AT_REMOVEDIR); });
  };
  Result<void> removed = remove();
  // Another mount that looked for a name meanwhile gave it an id again.
  for (int again = 0; options.shared && again < 3 && !removed && removed.error().system_errno == ENOTEMPTY;
       ++again) {
    removed = remove();
  }
  if (!removed) return removed;
  if (node != nullptr) nodes.remove_place(*node, place, std::move(kept));
  files.remove_side_link(in.fd(), stored_name);
  return {};
}

Result<void> FileSystem::remove_directory(NodeId parent_id, std::string_view name) {
  State& s = *state_;
  KMSFS_TRY(s.may_change());
  if (name == ".") return errno_error(EINVAL);
  if (name == "..") return errno_error(ENOTEMPTY);
  auto parent = s.parent(parent_id);
  if (!parent) return std::move(parent).error();
  auto stored = s.observed(s.name_to_find(*parent, name));
  if (!stored) return std::move(stored).error();
  constexpr int kAttempts = 16;  // another directory may take the name before the locks are ours
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    auto node = s.directory_at(*parent, stored->entry);
    if (!node) return std::move(node).error();
    std::vector<const Node*> locked{parent->node.get()};
    if (*node != nullptr) locked.push_back(node->get());
    const EntryLocks locks(std::move(locked));
    auto attributes = s.disk.stat_at(parent->fd(), stored->entry);
    if (!attributes) return std::move(attributes).error();
    if (!S_ISDIR(attributes->st_mode)) return errno_error(ENOTDIR);
    const bool same = s.nodes.find(attributes->st_dev, attributes->st_ino) == *node;
    if (same) return s.remove_directory_at(*parent, stored->entry, *node);
  }
  return error(Kind::kBusy, "a directory is replaced too fast to be removed");
}

// What is to be renamed, looked at with the directories locked.
struct FileSystem::State::Rename {
  const Parent& from;
  const Parent& to;
  const StoredName& old_name;
  const StoredName& new_name;
  unsigned flags;
  struct stat source {};
  std::optional<struct stat> target;

  Place old_place() const { return {from.node, old_name.entry}; }
  Place new_place() const { return {to.node, new_name.entry}; }
  bool same_file() const {
    return target && target->st_dev == source.st_dev && target->st_ino == source.st_ino;
  }
};

Result<void> FileSystem::rename(NodeId parent_id, std::string_view name, NodeId new_parent_id,
                                std::string_view new_name, unsigned flags) {
  State& s = *state_;
  KMSFS_TRY(s.may_change());
  constexpr unsigned kKnownFlags = RENAME_NOREPLACE | RENAME_EXCHANGE;
  if ((flags & ~kKnownFlags) != 0 || flags == kKnownFlags) return errno_error(EINVAL);
  auto from = s.parent(parent_id);
  if (!from) return std::move(from).error();
  auto to = s.parent(new_parent_id);
  if (!to) return std::move(to).error();
  auto old_stored = s.observed(s.name_to_find(*from, name));
  if (!old_stored) return std::move(old_stored).error();
  auto new_stored = s.observed(s.name_to_make(*to, new_name));
  if (!new_stored) return std::move(new_stored).error();
  // An exchange would give the unreadable name to the other file, and nobody could read that either.
  if ((flags & RENAME_EXCHANGE) != 0 && old_stored->side_target.empty() &&
      s.is_unreadable(*from, old_stored->entry)) {
    return errno_error(EINVAL);
  }
  if (from->node != to->node) {
    KMSFS_TRY(s.make_links_durable(to->node));
    if ((flags & RENAME_EXCHANGE) != 0) KMSFS_TRY(s.make_links_durable(from->node));
  }
  constexpr int kAttempts = 16;
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    auto node = s.directory_at(*to, new_stored->entry);
    if (!node) return std::move(node).error();
    std::vector<const Node*> locked{from->node.get(), to->node.get()};
    if (*node != nullptr) locked.push_back(node->get());
    const EntryLocks locks(std::move(locked));
    auto again = s.directory_at(*to, new_stored->entry);
    if (!again || *again != *node) continue;
    State::Rename rename{*from, *to, *old_stored, *new_stored, flags, {}, {}};
    return s.rename_locked(rename);
  }
  return error(Kind::kBusy, "a name is taken by other directories too fast to be given");
}

Result<void> FileSystem::State::rename_locked(Rename& rename) {
  auto source = disk.stat_at(rename.from.fd(), rename.old_name.entry);
  if (!source) return std::move(source).error();
  rename.source = *source;
  auto target = disk.stat_at(rename.to.fd(), rename.new_name.entry);
  if (target) rename.target = *target;
  if (!target && target.error().system_errno != ENOENT) return std::move(target).error();

  if (rename.target && (rename.flags & RENAME_NOREPLACE) != 0) return errno_error(EEXIST);
  if ((rename.flags & RENAME_EXCHANGE) != 0) return exchange(rename);
  if (rename.same_file()) return {};
  if (rename.target && S_ISDIR(rename.target->st_mode)) {
    if (!S_ISDIR(rename.source.st_mode)) return errno_error(EISDIR);
  } else if (rename.target && S_ISDIR(rename.source.st_mode)) {
    return errno_error(ENOTDIR);
  }
  return move(rename);
}

Result<void> FileSystem::State::exchange(Rename& rename) {
  if (!rename.target) return errno_error(ENOENT);
  KMSFS_TRY(disk.rename_at(rename.from.fd(), rename.old_name.entry, rename.to.fd(), rename.new_name.entry,
                           RENAME_EXCHANGE));
  if (rename.same_file()) return {};
  const NodePtr source = nodes.find(rename.source.st_dev, rename.source.st_ino);
  const NodePtr target = nodes.find(rename.target->st_dev, rename.target->st_ino);
  if (source != nullptr) nodes.rename(*source, rename.old_place(), rename.new_place());
  if (target != nullptr) nodes.rename(*target, rename.new_place(), rename.old_place());
  return {};
}

// Over an empty directory too.
Result<void> FileSystem::State::move(Rename& rename) {
  const NodePtr source = nodes.find(rename.source.st_dev, rename.source.st_ino);
  const NodePtr target = rename.target ? nodes.find(rename.target->st_dev, rename.target->st_ino) : NodePtr();
  Descriptor kept;
  if (target != nullptr) {
    auto descriptor = descriptor_instead_of(rename.new_place(), rename.to.fd(), *target);
    if (!descriptor) return std::move(descriptor).error();
    kept = std::move(*descriptor);
  }
  auto side_link_made = make_side_link_first(rename.to, rename.new_name);
  if (!side_link_made) return std::move(side_link_made).error();
  const auto go = [&] {
    return disk.rename_at(rename.from.fd(), rename.old_name.entry, rename.to.fd(), rename.new_name.entry, 0);
  };
  const bool over_directory = rename.target && S_ISDIR(rename.target->st_mode);
  auto moved = over_directory ? vacate(rename.new_place(), rename.to.fd(), target.get(), kept, go) : go();
  if (!moved) {
    if (*side_link_made && !rename.target) files.remove_side_link(rename.to.fd(), rename.new_name.entry);
    return moved;
  }
  if (auto confirmed = confirm(rename.to, rename.new_name); !confirmed) {
    (void)disk
        .rename_at(rename.to.fd(), rename.new_name.entry, rename.from.fd(), rename.old_name.entry,
                   RENAME_NOREPLACE)
        .ok();
    return confirmed;
  }
  if (target != nullptr) nodes.remove_place(*target, rename.new_place(), std::move(kept));
  if (source != nullptr) nodes.rename(*source, rename.old_place(), rename.new_place());
  files.remove_side_link(rename.from.fd(), rename.old_name.entry);
  return {};
}

}  // namespace kmsfs
