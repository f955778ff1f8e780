// Content: open files, reading and writing. Everything goes by the node; the handle only counts.
#include <fcntl.h>
#include <linux/falloc.h>
#include <sys/stat.h>

#include "fs/caller_identity.h"
#include "fs/file_system_state.h"

namespace kmsfs {
namespace {

constexpr std::size_t kCopySize = 256 * 1024;
constexpr std::size_t kSealedAheadFrom = 64 * 1024;  // sealing takes longer than seeing to it

}  // namespace

HandleId FileSystem::State::add_handle(const NodePtr& node) {
  nodes.hold(node);
  std::lock_guard lock(handles_mutex);
  handles.emplace(next_handle, node);
  return next_handle++;
}

Result<NodePtr> FileSystem::State::handle(HandleId id) const {
  std::shared_lock lock(handles_mutex);
  const auto found = handles.find(id);
  if (found == handles.end()) return errno_error(EBADF);
  return found->second;
}

NodePtr FileSystem::State::take_handle(HandleId id) {
  NodePtr taken;
  {
    std::lock_guard lock(handles_mutex);
    const auto found = handles.find(id);
    if (found == handles.end()) return nullptr;
    taken = std::move(found->second);
    handles.erase(found);
  }
  nodes.release(taken);
  return taken;
}

// Each once, however many handles it has.
std::vector<NodePtr> FileSystem::State::open_files() const {
  std::vector<NodePtr> open;
  {
    std::shared_lock lock(handles_mutex);
    for (const auto& [id, node] : handles) {
      if (!node->is(S_IFDIR)) open.push_back(node);
    }
  }
  std::sort(open.begin(), open.end());
  open.erase(std::unique(open.begin(), open.end()), open.end());
  return open;
}

// As write(2) and truncate(2) do for callers without CAP_FSETID. The disk itself drops the file capability
// when content changes, but not when nothing of it had to be written.
Result<void> FileSystem::State::kill_privileges(int fd, bool capability_too,
                                                const Caller* unprivileged) const {
  if (unprivileged == nullptr) return {};
  auto attributes = disk.stat(fd);
  if (!attributes) return std::move(attributes).error();
  const mode_t mode = attributes->st_mode & 07777;
  mode_t killed = mode & S_ISUID;
  // Without the group's execute bit it marks mandatory locking, which members of the group may keep.
  const bool loses_group =
      (mode & S_ISGID) != 0 && ((mode & S_IXGRP) != 0 || !belongs_to(*unprivileged, attributes->st_gid));
  if (loses_group) killed |= S_ISGID;
  if (killed != 0) KMSFS_TRY(disk.change_mode(fd, mode & ~killed));
  if (capability_too) (void)disk.remove_xattr(fd, "security.capability").ok();  // most files have none
  return {};
}

// The disk was not touched, but it was a change to whoever asked for it.
Result<void> FileSystem::State::mark_modified(int fd) const {
  const timespec now[2] = {{0, UTIME_OMIT}, {0, UTIME_NOW}};
  return disk.change_times(fd, now);
}

Result<void> FileSystem::State::truncate(const NodePtr& node, std::uint64_t size,
                                         const Caller* unprivileged) {
  KMSFS_TRY(make_way_durable(*node));  // what is cut off may have to be synced
  Inode& inode = content_of(node);
  KMSFS_TRY(inode.open(opener(node), true));
  auto done = inode.change([&](EncryptedFile& file) -> Result<void> {
    const bool same = file.size() == size;
    KMSFS_TRY(file.truncate(size));
    if (same) KMSFS_TRY(mark_modified(file.fd()));
    return kill_privileges(file.fd(), true, unprivileged);
  });
  inode.close();
  return done;
}

Result<HandleId> FileSystem::open(NodeId id, int flags, const Caller* unprivileged) {
  State& s = *state_;
  const bool writable = (flags & O_ACCMODE) != O_RDONLY || (flags & O_TRUNC) != 0;
  if (writable) KMSFS_TRY(s.may_change());
  auto node = s.regular(id);
  if (!node) return std::move(node).error();
  Inode& inode = s.content_of(*node);
  KMSFS_TRY(s.observed(s.open_inode(*node, writable)));
  if ((flags & O_TRUNC) != 0) {
    auto done = s.observed(s.truncate(*node, 0, unprivileged));
    if (!done) {
      inode.close();
      return std::move(done).error();
    }
  }
  return s.add_handle(*node);
}

Result<std::size_t> FileSystem::read(NodeId id, HandleId, std::uint64_t offset, ByteSpan out) {
  State& s = *state_;
  auto node = s.regular(id);
  if (!node) return std::move(node).error();
  return s.observed(
      s.content_of(*node).read([&](const EncryptedFile& file) { return file.read_at(offset, out); }));
}

Result<void> FileSystem::write(NodeId id, HandleId, std::uint64_t offset, ByteView data,
                               const Caller* unprivileged, bool from_page_cache, bool append) {
  State& s = *state_;
  KMSFS_TRY(s.may_change());
  auto node = s.regular(id);
  if (!node) return std::move(node).error();
  if (offset >= kSparseGap) KMSFS_TRY(s.make_way_durable(**node));
  Inode& inode = s.content_of(*node);
  const auto origin = from_page_cache ? Inode::Origin::kPageCache : Inode::Origin::kProgram;
  SealedAhead ahead;
  if (data.size() >= kSealedAheadFrom && !append) ahead = inode.seal_ahead(offset, data, origin);
  if (from_page_cache && offset >= kSparseGap) inode.let_writes_before_pass(offset);
  return s.observed(inode.change(
      [&](EncryptedFile& file) -> Result<void> {
        KMSFS_TRY(file.write_at(append ? file.size() : offset, data, ahead));
        return s.kill_privileges(file.fd(), false, unprivileged);
      },
      origin));
}

// Nothing is held back here: what was written is with the backing file system already.
Result<void> FileSystem::flush(NodeId id, HandleId handle) {
  auto open = state_->handle(handle);
  if (!open) return std::move(open).error();
  if ((*open)->id != id) return errno_error(EBADF);
  return {};
}

void FileSystem::release(NodeId, HandleId id) {
  const NodePtr node = state_->take_handle(id);
  if (node == nullptr) return;
  state_->program_locks.drop_handle(node->id, id);
  if (!node->is(S_IFDIR)) state_->content_of(node).close();
}

Result<void> FileSystem::sync(NodeId id, HandleId, bool data_only) {
  State& s = *state_;
  auto node = s.regular(id);
  if (!node) return std::move(node).error();
  KMSFS_TRY(s.make_way_durable(**node));
  return s.observed(s.content_of(*node).sync(data_only));
}

Result<void> FileSystem::allocate(NodeId id, HandleId, int mode, std::uint64_t offset, std::uint64_t size,
                                  const Caller* unprivileged) {
  State& s = *state_;
  KMSFS_TRY(s.may_change());
  auto node = s.regular(id);
  if (!node) return std::move(node).error();
  if (size == 0) return errno_error(EINVAL);
  if (offset + size < offset) return errno_error(EFBIG);
  const bool keep_size = (mode & FALLOC_FL_KEEP_SIZE) != 0;
  const int what = mode & ~FALLOC_FL_KEEP_SIZE;
  if (what != 0 && what != FALLOC_FL_ZERO_RANGE && (what != FALLOC_FL_PUNCH_HOLE || !keep_size)) {
    return errno_error(EOPNOTSUPP);
  }
  KMSFS_TRY(s.make_way_durable(**node));
  return s.observed(s.content_of(*node).change([&](EncryptedFile& file) -> Result<void> {
    KMSFS_TRY(what == 0                      ? file.allocate(offset, size, keep_size)
              : what == FALLOC_FL_ZERO_RANGE ? file.zero(offset, size, keep_size)
                                             : file.punch(offset, size));
    const bool past_the_end = what != 0 && keep_size && offset >= file.size();
    if (past_the_end) KMSFS_TRY(s.mark_modified(file.fd()));
    return s.kill_privileges(file.fd(), true, unprivileged);
  }));
}

Result<std::uint64_t> FileSystem::seek(NodeId id, HandleId, std::uint64_t offset, int whence) {
  State& s = *state_;
  if (whence != SEEK_DATA && whence != SEEK_HOLE) return errno_error(EINVAL);
  auto node = s.regular(id);
  if (!node) return std::move(node).error();
  return s.observed(
      s.content_of(*node).read([&](const EncryptedFile& file) { return file.seek(offset, whence); }));
}

Result<std::size_t> FileSystem::copy_range(NodeId from, HandleId from_handle, std::uint64_t from_offset,
                                           NodeId to, HandleId to_handle, std::uint64_t to_offset,
                                           std::size_t size, const Caller* unprivileged) {
  KMSFS_TRY(state_->may_change());
  const bool overlap = from == to && from_offset < to_offset + size && to_offset < from_offset + size;
  if (overlap) return errno_error(EINVAL);
  Bytes buffer(std::min(size, kCopySize));
  std::size_t copied = 0;
  while (copied < size) {
    const ByteSpan piece = ByteSpan(buffer).first(std::min(buffer.size(), size - copied));
    auto got = read(from, from_handle, from_offset + copied, piece);
    if (!got || *got == 0) {
      if (!got && copied == 0) return got;
      break;
    }
    auto put = write(to, to_handle, to_offset + copied, piece.first(*got), unprivileged);
    if (!put) {
      if (copied == 0) return std::move(put).error();
      break;
    }
    copied += *got;
  }
  return copied;
}

}  // namespace kmsfs
