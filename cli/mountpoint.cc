#include "cli/mountpoint.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <climits>
#include <cstdlib>
#include <memory>

#include "cli/directories.h"
#include "cli/mount_table.h"

namespace kmsfs::cli {

namespace {

constexpr mode_t kWrite = S_IWUSR | S_IWGRP | S_IWOTH;

Error unusable(const std::string& path, const std::string& why) {
  return error(Kind::kInvalid, "the mountpoint " + path + " " + why);
}

Result<std::string> resolved(const std::string& path) {
  const std::unique_ptr<char, decltype(&std::free)> real(::realpath(path.c_str(), nullptr), &std::free);
  if (real) return std::string(real.get());
  if (errno == ENOENT) return unusable(path, "does not exist; make it: mkdir " + path);
  if (errno == ENOTCONN) {
    return unusable(path, "has a mount that nobody serves any more; remove it: kmsfs umount " + path);
  }
  return unusable(path, "cannot be used: " + Error::from_errno(errno).text);
}

struct Place {
  dev_t device = 0;
  ino_t inode = 0;
  bool operator==(const Place&) const = default;
};

Result<Place> place_of(int fd) {
  struct stat status {};
  if (::fstat(fd, &status) != 0) return Error::from_errno(errno);
  return Place{status.st_dev, status.st_ino};
}

// Is `directory` below `above`, or the same? Walks up to the root, so that links and bind mounts do not hide
// it.
Result<bool> is_within(int directory, int above) {
  constexpr int kDeepest = PATH_MAX / 2;  // one letter and a slash for each step
  const auto wanted = place_of(above);
  if (!wanted) return wanted.error();
  UniqueFd at(::openat(directory, ".", O_PATH | O_DIRECTORY | O_CLOEXEC));
  for (int step = 0; at && step < kDeepest; ++step) {
    const auto here = place_of(at.get());
    if (!here) return here.error();
    if (*here == *wanted) return true;
    UniqueFd parent(::openat(at.get(), "..", O_PATH | O_DIRECTORY | O_CLOEXEC));
    if (!parent) break;
    const auto next = place_of(parent.get());
    if (!next) return next.error();
    if (*next == *here) return false;
    at = std::move(parent);
  }
  return Error::from_errno(errno, "walking up from the directory");
}

Result<void> check_apart(const std::string& path, int mountpoint, int backing) {
  auto inside = is_within(mountpoint, backing);
  if (!inside) return std::move(inside).error();
  if (*inside) return unusable(path, "is inside the backing directory; choose one outside of it");
  auto around = is_within(backing, mountpoint);
  if (!around) return std::move(around).error();
  if (*around) return unusable(path, "contains the backing directory; choose one outside of it");
  return {};
}

// False where the file system has no such flag or we may not set it.
bool set_immutable(int fd, bool immutable) {
  int flags = 0;
  if (::ioctl(fd, FS_IOC_GETFLAGS, &flags) != 0) return false;
  const int wanted = immutable ? flags | FS_IMMUTABLE_FL : flags & ~FS_IMMUTABLE_FL;
  return wanted == flags || ::ioctl(fd, FS_IOC_SETFLAGS, &wanted) == 0;
}

bool is_immutable(int fd) {
  int flags = 0;
  return ::ioctl(fd, FS_IOC_GETFLAGS, &flags) == 0 && (flags & FS_IMMUTABLE_FL) != 0;
}

Result<mode_t> mode_of(int fd) {
  struct stat status {};
  if (::fstat(fd, &status) != 0) return Error::from_errno(errno);
  return status.st_mode & 07777;
}

}  // namespace

std::string_view to_string(Guard guard) {
  switch (guard) {
    case Guard::kNone:
      return "none";
    case Guard::kMode:
      return "read-only mode";
    case Guard::kImmutable:
      return "immutable";
  }
  return "none";
}

Mountpoint::Mountpoint(std::string path, UniqueFd directory)
    : path_(std::move(path)), directory_(std::move(directory)) {}

Result<Mountpoint> Mountpoint::open(const std::string& path, int backing) {
  auto table = read_mount_table();
  if (!table) return std::move(table).error();
  if (const auto mounted = find_mount(*table, path); mounted && mounted->is_fuse()) {
    return error(Kind::kBusy, "the mountpoint " + path + " is in use: " + mounted->source +
                                  " is mounted there as " + mounted->type +
                                  "; unmount it first: kmsfs umount " + path);
  }
  auto real = resolved(path);
  if (!real) return std::move(real).error();
  const UniqueFd named(::open(real->c_str(), O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!named && errno == ENOTDIR) return unusable(path, "is not a directory; make one: mkdir DIRECTORY");
  if (!named) return unusable(path, "cannot be opened: " + Error::from_errno(errno).text);
  KMSFS_TRY(check_apart(path, named.get(), backing));
  auto empty = is_empty_directory(named.get());
  if (!empty) return unusable(path, "cannot be read: " + empty.error().text);
  if (!*empty) {
    return unusable(path,
                    "is not empty; files in it would be hidden by the mount. Choose an empty directory");
  }
  UniqueFd directory(::openat(named.get(), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!directory) return unusable(path, "cannot be opened: " + Error::from_errno(errno).text);
  return Mountpoint(std::move(*real), std::move(directory));
}

Result<void> Mountpoint::prepare() {
  const auto mode = mode_of(directory_.get());
  if (!mode) return mode.error();
  if (::geteuid() == 0 || (*mode & S_IWUSR) != 0) return {};
  if (::fchmod(directory_.get(), *mode | S_IWUSR) != 0) {
    return unusable(
        path_, "is guarded by somebody else; whoever that was lifts it: kmsfs umount --unguard " + path_);
  }
  prepared_ = true;
  return {};
}

Guard Mountpoint::guard() {
  const auto mode = mode_of(directory_.get());
  if (!mode) return Guard::kNone;
  if (is_immutable(directory_.get()) || set_immutable(directory_.get(), true)) return Guard::kImmutable;
  if (::fchmod(directory_.get(), *mode & ~kWrite) != 0) return Guard::kNone;
  return Guard::kMode;
}

void Mountpoint::restore() {
  const auto mode = mode_of(directory_.get());
  if (prepared_ && mode) ::fchmod(directory_.get(), *mode & ~kWrite);
}

Result<void> Mountpoint::unguard(const std::string& path) {
  auto real = resolved(path);
  if (!real) return std::move(real).error();
  const UniqueFd directory(::open(real->c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!directory) return Error::from_errno(errno, "opening " + path);
  if (is_immutable(directory.get()) && !set_immutable(directory.get(), false)) {
    return error(Kind::kDenied, path + " is immutable, and only root may change that; run this as root");
  }
  const auto mode = mode_of(directory.get());
  if (!mode) return mode.error();
  if ((*mode & S_IWUSR) == 0 && ::fchmod(directory.get(), *mode | S_IWUSR) != 0) {
    return Error::from_errno(errno, "giving the owner of " + path + " write permission");
  }
  return {};
}

}  // namespace kmsfs::cli
