// Nodes: finding them, opening them where they stand, their attributes.
#include <fcntl.h>
#include <sys/stat.h>

#include <cassert>

#include "fs/file_system_state.h"

namespace kmsfs {
namespace {

constexpr std::size_t kMaxDepth = 1 << 17;      // of directories; more can only be a circle made from below
constexpr blksize_t kReportedBlockSize = 4096;  // what ext4 says; programs size their buffers by it

timespec omitted() { return {0, UTIME_OMIT}; }

}  // namespace

Result<NodePtr> FileSystem::State::find(NodeId id) const {
  NodePtr node = nodes.find(id);
  if (node == nullptr) return errno_error(ESTALE);
  return node;
}

Result<FileSystem::State::Parent> FileSystem::State::parent(NodeId id) {
  auto node = find(id);
  if (!node) return std::move(node).error();
  if (!(*node)->is(S_IFDIR)) return errno_error(ENOTDIR);
  auto descriptor = directory_descriptor(*node);
  if (!descriptor) return std::move(descriptor).error();
  return Parent{std::move(*node), std::move(*descriptor)};
}

Result<NodePtr> FileSystem::State::regular(NodeId id) const {
  auto node = find(id);
  if (!node || (*node)->is(S_IFREG)) return node;
  return errno_error((*node)->is(S_IFDIR) ? EISDIR : EINVAL);
}

Inode& FileSystem::State::content_of(const NodePtr& node) {
  if (Inode* known = node->content.load(std::memory_order_acquire)) return *known;
  auto made = std::make_unique<Inode>(content);
  Inode* other = nullptr;  // another thread may have been faster
  if (!node->content.compare_exchange_strong(other, made.get())) return *other;
  return *made.release();
}

Result<UniqueFd> FileSystem::State::open_same(int directory, const std::string& stored_name, const Node& node,
                                              int flags) const {
  auto fd = disk.open_at(directory, stored_name, flags | O_PATH);
  if (!fd) {
    const bool another = fd.error().system_errno == ENOENT || fd.error().system_errno == ENOTDIR;
    return another ? errno_error(ESTALE) : std::move(fd).error();
  }
  auto attributes = disk.stat(fd->get());
  if (!attributes) return std::move(attributes).error();
  const bool same = attributes->st_dev == node.device && attributes->st_ino == node.inode &&
                    (attributes->st_mode & S_IFMT) == node.type;
  if (!same) return errno_error(ESTALE);
  return fd;
}

// Climbs to the nearest directory that is open, and opens the way back down.
Result<Descriptor> FileSystem::State::directory_descriptor(const NodePtr& node) {
  constexpr int kAttempts = 64;  // directories may be renamed while we climb
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    Descriptor from = nodes.descriptor(*node);
    std::vector<std::pair<NodePtr, Place>> closed;
    for (NodePtr at = node; from == nullptr; from = nodes.descriptor(*at)) {
      const auto place = nodes.place(*at);
      if (!place || closed.size() > kMaxDepth) return errno_error(ESTALE);
      closed.emplace_back(at, *place);
      at = place->parent;
    }
    bool moved = false;
    for (; !closed.empty() && !moved; closed.pop_back()) {
      const auto& [child, place] = closed.back();
      std::shared_lock lock(place.parent->directory->entries);
      moved = nodes.place(*child) != place;
      if (moved) break;
      auto fd = open_same(from->get(), place.stored_name, *child, O_DIRECTORY);
      if (!fd) return std::move(fd).error();
      from = std::make_shared<const UniqueFd>(std::move(*fd));
      nodes.keep_descriptor(*child, from);
    }
    if (!moved) return from;
  }
  return error(Kind::kBusy, "a directory is renamed too fast to be opened");
}

Result<Descriptor> FileSystem::State::path_descriptor(const NodePtr& node) {
  if (node->is(S_IFDIR)) return directory_descriptor(node);
  if (Descriptor kept = nodes.descriptor(*node)) return kept;
  auto opened = at_place(node, [&](int directory, const std::string& stored_name) {
    return open_same(directory, stored_name, *node, 0);
  });
  if (opened) return Descriptor(std::make_shared<const UniqueFd>(std::move(*opened)));
  // Its name may have gone between the two looks, and left a descriptor.
  if (Descriptor kept = nodes.descriptor(*node)) return kept;
  // Another mount may have taken its name while it is open.
  if (options.shared && node->is(S_IFREG)) {
    auto open = content_of(node).reopen(O_PATH);
    if (open) return Descriptor(std::make_shared<const UniqueFd>(std::move(*open)));
  }
  return std::move(opened).error();
}

Result<struct stat> FileSystem::State::backing_attributes(const NodePtr& node) {
  if (Descriptor kept = nodes.descriptor(*node)) return disk.stat(kept->get());
  auto found = at_place(
      node, [&](int directory, const std::string& stored_name) -> Result<struct stat> {
        auto attributes = disk.stat_at(directory, stored_name);
        if (!attributes)
          return attributes.error().system_errno == ENOENT ? errno_error(ESTALE) : attributes.error();
        const bool same = attributes->st_dev == node->device && attributes->st_ino == node->inode;
        if (!same) return errno_error(ESTALE);
        return attributes;
      });
  if (found) return found;
  if (Descriptor kept = nodes.descriptor(*node)) return disk.stat(kept->get());
  if (options.shared && node->is(S_IFREG)) {
    auto open = content_of(node).reopen(O_PATH);
    if (open) return disk.stat(open->get());
  }
  return found;
}

// By way of an O_PATH descriptor that was compared with the node, so that nothing but this very file is ever
// opened: what was planted in its place is not even looked at, and opening a device or a FIFO could already
// do harm.
Result<UniqueFd> FileSystem::State::open_content(const NodePtr& node, int flags) {
  assert(node->is(S_IFREG) && "nothing else has content");
  auto path = path_descriptor(node);
  if (!path) return std::move(path).error();
  auto fd = disk.reopen((*path)->get(), flags);
  if (!fd && fd.error().system_errno == EACCES && ::geteuid() != 0) {
    // We read what a program may only write, and the kernel has judged the program's own permission already.
    auto attributes = disk.stat((*path)->get());
    if (!attributes || attributes->st_uid != ::geteuid()) return fd;
    KMSFS_TRY(disk.change_mode((*path)->get(), (attributes->st_mode & 07777) | S_IRUSR | S_IWUSR));
    fd = disk.reopen((*path)->get(), flags);
    KMSFS_TRY(disk.change_mode((*path)->get(), attributes->st_mode & 07777));
  }
  return fd;
}

struct stat FileSystem::State::shown(const struct stat& backing) const {
  struct stat plain = backing;
  plain.st_blksize = kReportedBlockSize;
  if (S_ISREG(backing.st_mode)) {
    // A size that no file has is shown as 0; opening the file says what is wrong.
    auto size = volume.geometry().plain_size(static_cast<std::uint64_t>(backing.st_size));
    plain.st_size = size ? static_cast<off_t>(*size) : 0;
  } else if (S_ISLNK(backing.st_mode)) {
    plain.st_size = static_cast<off_t>(Volume::plain_target_size(static_cast<std::size_t>(backing.st_size)));
  }
  return plain;
}

Result<Entry> FileSystem::lookup(NodeId parent_id, std::string_view name) {
  State& s = *state_;
  auto parent = s.parent(parent_id);
  if (!parent) return std::move(parent).error();
  if (name == "." || name == "..") {
    const auto up = name == ".." ? s.nodes.place(*parent->node) : std::nullopt;
    const NodePtr node = up ? up->parent : parent->node;
    auto attributes = s.backing_attributes(node);
    if (!attributes) return std::move(attributes).error();
    const auto place = s.nodes.place(*node);
    s.nodes.look_up(*attributes, place ? place->parent : node, place ? place->stored_name : std::string());
    return s.entry(node, *attributes);
  }
  auto stored = s.name_to_find(*parent, name);
  if (!stored) return s.observed(Result<Entry>(std::move(stored).error()));
  std::shared_lock lock(parent->entries());
  auto attributes = s.disk.stat_at(parent->fd(), stored->entry);
  if (!attributes) return std::move(attributes).error();
  return s.entry(s.nodes.look_up(*attributes, parent->node, stored->entry), *attributes);
}

void FileSystem::forget(NodeId node, std::uint64_t lookups) { state_->nodes.forget(node, lookups); }

Result<struct stat> FileSystem::get_attributes(NodeId id) {
  State& s = *state_;
  auto node = s.find(id);
  if (!node) return std::move(node).error();
  auto attributes = s.backing_attributes(*node);
  if (!attributes) return attributes;
  return s.shown(*attributes);
}

// All but the size. The attributes afterwards.
Result<struct stat> FileSystem::State::apply(const AttributeChange& change, int fd) const {
  // The owner first: a change of owner clears the set-id bits that the new mode may hold.
  if (change.uid || change.gid) {
    KMSFS_TRY(disk.change_owner(fd, change.uid.value_or(static_cast<uid_t>(-1)),
                                change.gid.value_or(static_cast<gid_t>(-1))));
  }
  if (change.mode) KMSFS_TRY(disk.change_mode(fd, *change.mode & 07777));
  if (change.access_time || change.modification_time) {
    const timespec times[2] = {change.access_time.value_or(omitted()),
                               change.modification_time.value_or(omitted())};
    KMSFS_TRY(disk.change_times(fd, times));
  }
  auto attributes = disk.stat(fd);
  if (!attributes) return attributes;
  return shown(*attributes);
}

Result<struct stat> FileSystem::set_attributes(NodeId id, const AttributeChange& change,
                                               const Caller& caller) {
  State& s = *state_;
  KMSFS_TRY(s.may_change());
  auto node = s.find(id);
  if (!node) return std::move(node).error();
  if (change.size) {
    if (!(*node)->is(S_IFREG)) return errno_error((*node)->is(S_IFDIR) ? EISDIR : EINVAL);
    KMSFS_TRY(s.observed(s.truncate(*node, *change.size, change.kill_privileges ? &caller : nullptr)));
  }
  const auto apply = [&](int fd) { return s.apply(change, fd); };
  if ((*node)->is(S_IFREG)) {
    Inode& inode = s.content_of(*node);
    auto applied = change.modification_time ? inode.set_times_if_open(apply) : inode.if_open(apply);
    if (applied) return std::move(*applied);
  }
  auto path = s.path_descriptor(*node);
  if (!path) return std::move(path).error();
  return apply((*path)->get());
}

Result<std::string> FileSystem::read_link(NodeId id) {
  State& s = *state_;
  auto node = s.find(id);
  if (!node) return std::move(node).error();
  if (!(*node)->is(S_IFLNK)) return errno_error(EINVAL);
  auto path = s.path_descriptor(*node);
  if (!path) return std::move(path).error();
  auto stored = s.disk.read_link((*path)->get());
  if (!stored) return stored;
  return s.observed(s.volume.open_target(*stored));
}

Result<std::optional<timespec>> FileSystem::birth_time(NodeId id) {
  State& s = *state_;
  auto node = s.find(id);
  if (!node) return std::move(node).error();
  auto path = s.path_descriptor(*node);
  if (!path) return std::move(path).error();
  return s.disk.birth_time((*path)->get());
}

Result<NodeId> FileSystem::find_node(ino_t inode) {
  const NodePtr node = state_->nodes.find_inode(inode);
  if (node == nullptr) return errno_error(ENOENT);
  return node->id;
}

}  // namespace kmsfs
