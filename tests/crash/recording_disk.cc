#include "tests/crash/recording_disk.h"

#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>

namespace kmsfs::crash {

std::vector<std::string> sorted_paths(const std::string& directory) {
  std::vector<std::string> paths = {""};
  for (const auto& entry : std::filesystem::recursive_directory_iterator(directory)) {
    paths.push_back(entry.path().string().substr(directory.size() + 1));
  }
  std::sort(paths.begin(), paths.end());
  return paths;
}

std::string Operation::to_string() const {
  static const char* const kNames[] = {
      "create",  "create unnamed", "mkdir",       "mknod",    "symlink", "link",
      "unlink",  "rename",         "resize",      "allocate", "chmod",   "chown",
      "utimens", "setxattr",       "removexattr", "write",    "sync"};
  return std::string(kNames[static_cast<int>(type)]) + " of object " + std::to_string(object) + " " +
         name.substr(0, 20) + " " + new_name.substr(0, 20) + " offset " + std::to_string(offset) + " size " +
         std::to_string(size + data.size()) + (extends ? ", extends" : "");
}

RecordingDisk::RecordingDisk(const std::string& directory, std::function<void(std::size_t)> before_change)
    : before_change_(std::move(before_change)) {
  for (const std::string& path : sorted_paths(directory)) {
    object_of(AT_FDCWD, path.empty() ? directory : directory + "/" + path);
  }
}

std::size_t RecordingDisk::count() {
  const std::lock_guard lock(mutex_);
  return operations_.size();
}

RecordingDisk::Identity RecordingDisk::identity_of(int fd, const std::string& name) {
  struct statx s {};
  const int flags = AT_SYMLINK_NOFOLLOW | (name.empty() ? AT_EMPTY_PATH : 0);
  if (::statx(fd, name.c_str(), flags, STATX_INO | STATX_BTIME, &s) != 0) return {};
  return {makedev(s.stx_dev_major, s.stx_dev_minor), s.stx_ino, s.stx_btime.tv_sec, s.stx_btime.tv_nsec};
}

ObjectId RecordingDisk::object_of(int fd, const std::string& name) {
  return objects_.emplace(identity_of(fd, name), objects_.size()).first->second;
}

Operation RecordingDisk::change_of(Operation::Type type, int fd) {
  Operation operation;
  operation.type = type;
  operation.object = object_of(fd);
  return operation;
}

Result<UniqueFd> RecordingDisk::open_at(int directory, const std::string& name, int flags, mode_t mode) {
  const std::lock_guard lock(mutex_);
  const bool unnamed = (flags & O_TMPFILE) == O_TMPFILE;
  const bool existed = !unnamed && (flags & O_CREAT) != 0 && disk_.stat_at(directory, name).ok();
  if (unnamed || ((flags & O_CREAT) != 0 && !existed)) announce();
  auto fd = disk_.open_at(directory, name, flags, mode);
  if (!fd || existed || (!unnamed && (flags & O_CREAT) == 0)) return fd;
  Operation operation =
      change_of(unnamed ? Operation::Type::kCreateUnnamed : Operation::Type::kCreateFile, fd->get());
  operation.directory = object_of(directory);
  operation.name = name;
  operation.mode = mode;
  record(std::move(operation));
  return fd;
}

Result<void> RecordingDisk::write_at(int fd, std::uint64_t offset, ByteView data) {
  const std::lock_guard lock(mutex_);
  announce();
  auto before = disk_.stat(fd);
  if (!before) return std::move(before).error();
  KMSFS_TRY(disk_.write_at(fd, offset, data));
  Operation operation = change_of(Operation::Type::kWrite, fd);
  operation.offset = offset;
  operation.data.assign(data.begin(), data.end());
  operation.extends = offset + data.size() > static_cast<std::uint64_t>(before->st_size);
  record(std::move(operation));
  return {};
}

Result<void> RecordingDisk::resize(int fd, std::uint64_t size) {
  const std::lock_guard lock(mutex_);
  announce();
  KMSFS_TRY(disk_.resize(fd, size));
  Operation operation = change_of(Operation::Type::kResize, fd);
  operation.size = size;
  record(std::move(operation));
  return {};
}

Result<void> RecordingDisk::sync(int fd) {
  const std::lock_guard lock(mutex_);
  announce();
  KMSFS_TRY(disk_.sync(fd));
  record(change_of(Operation::Type::kSync, fd));
  return {};
}

Result<void> RecordingDisk::sync_data(int fd) { return sync(fd); }

Result<void> RecordingDisk::allocate(int fd, int mode, std::uint64_t offset, std::uint64_t size) {
  const std::lock_guard lock(mutex_);
  announce();
  KMSFS_TRY(disk_.allocate(fd, mode, offset, size));
  Operation operation = change_of(Operation::Type::kAllocate, fd);
  operation.flags = mode;
  operation.offset = offset;
  operation.size = size;
  record(std::move(operation));
  return {};
}

Result<void> RecordingDisk::make_entry(Operation::Type type, int directory, const std::string& name,
                                       mode_t mode, dev_t device, const std::string& target) {
  const std::lock_guard lock(mutex_);
  announce();
  if (type == Operation::Type::kMakeDirectory) {
    KMSFS_TRY(disk_.make_directory_at(directory, name, mode));
  } else if (type == Operation::Type::kMakeNode) {
    KMSFS_TRY(disk_.make_node_at(directory, name, mode, device));
  } else {
    KMSFS_TRY(disk_.symlink_at(target, directory, name));
  }
  Operation operation;
  operation.type = type;
  operation.object = object_of(directory, name);
  operation.directory = object_of(directory);
  operation.name = name;
  operation.new_name = target;
  operation.mode = mode;
  operation.device = device;
  record(std::move(operation));
  return {};
}

Result<void> RecordingDisk::make_directory_at(int directory, const std::string& name, mode_t mode) {
  return make_entry(Operation::Type::kMakeDirectory, directory, name, mode, 0, {});
}
Result<void> RecordingDisk::make_node_at(int directory, const std::string& name, mode_t mode, dev_t device) {
  return make_entry(Operation::Type::kMakeNode, directory, name, mode, device, {});
}
Result<void> RecordingDisk::symlink_at(const std::string& target, int directory, const std::string& name) {
  return make_entry(Operation::Type::kSymlink, directory, name, 0, 0, target);
}

Result<void> RecordingDisk::link_at(int path_fd, int directory, const std::string& name) {
  const std::lock_guard lock(mutex_);
  announce();
  KMSFS_TRY(disk_.link_at(path_fd, directory, name));
  Operation operation = change_of(Operation::Type::kLink, path_fd);
  operation.directory = object_of(directory);
  operation.name = name;
  record(std::move(operation));
  return {};
}

Result<void> RecordingDisk::unlink_at(int directory, const std::string& name, int flags) {
  const std::lock_guard lock(mutex_);
  announce();
  const ObjectId object = disk_.stat_at(directory, name).ok() ? object_of(directory, name) : kNoObject;
  KMSFS_TRY(disk_.unlink_at(directory, name, flags));
  Operation operation;
  operation.type = Operation::Type::kUnlink;
  operation.object = object;
  operation.directory = object_of(directory);
  operation.name = name;
  operation.flags = flags;
  record(std::move(operation));
  return {};
}

Result<void> RecordingDisk::rename_at(int from, const std::string& old_name, int to,
                                      const std::string& new_name, unsigned flags) {
  const std::lock_guard lock(mutex_);
  announce();
  KMSFS_TRY(disk_.rename_at(from, old_name, to, new_name, flags));
  Operation operation;
  operation.type = Operation::Type::kRename;
  operation.directory = object_of(from);
  operation.name = old_name;
  operation.new_directory = object_of(to);
  operation.new_name = new_name;
  operation.flags = static_cast<int>(flags);
  record(std::move(operation));
  return {};
}

Result<void> RecordingDisk::change_mode(int fd, mode_t mode) {
  const std::lock_guard lock(mutex_);
  announce();
  KMSFS_TRY(disk_.change_mode(fd, mode));
  Operation operation = change_of(Operation::Type::kMode, fd);
  operation.mode = mode;
  record(std::move(operation));
  return {};
}

Result<void> RecordingDisk::change_owner(int fd, uid_t uid, gid_t gid) {
  const std::lock_guard lock(mutex_);
  announce();
  KMSFS_TRY(disk_.change_owner(fd, uid, gid));
  Operation operation = change_of(Operation::Type::kOwner, fd);
  operation.uid = uid;
  operation.gid = gid;
  record(std::move(operation));
  return {};
}

Result<void> RecordingDisk::change_times(int fd, const timespec (&times)[2]) {
  const std::lock_guard lock(mutex_);
  announce();
  KMSFS_TRY(disk_.change_times(fd, times));
  Operation operation = change_of(Operation::Type::kTimes, fd);
  std::copy(std::begin(times), std::end(times), std::begin(operation.times));
  record(std::move(operation));
  return {};
}

Result<void> RecordingDisk::set_xattr(int fd, const std::string& name, ByteView value, int flags) {
  const std::lock_guard lock(mutex_);
  announce();
  KMSFS_TRY(disk_.set_xattr(fd, name, value, flags));
  Operation operation = change_of(Operation::Type::kSetAttribute, fd);
  operation.new_name = name;
  operation.data.assign(value.begin(), value.end());
  record(std::move(operation));
  return {};
}

Result<void> RecordingDisk::remove_xattr(int fd, const std::string& name) {
  const std::lock_guard lock(mutex_);
  announce();
  KMSFS_TRY(disk_.remove_xattr(fd, name));
  Operation operation = change_of(Operation::Type::kRemoveAttribute, fd);
  operation.new_name = name;
  record(std::move(operation));
  return {};
}

}  // namespace kmsfs::crash
