#include "fs/disk.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <limits>

namespace kmsfs {

namespace {

constexpr std::size_t kMaxXattrRetries =
    8;  // the value or the list may grow between asking its size and reading it

Error last_error() { return Error::from_errno(errno); }

Result<void> done(int result) {
  if (result < 0) return last_error();
  return {};
}

template <typename Call>
auto retried(Call call) {
  auto result = call();
  while (result < 0 && errno == EINTR) result = call();
  return result;
}

// off_t is signed: an offset past its end is the file system's EFBIG, not a negative number.
bool fits(std::uint64_t offset, std::uint64_t size) {
  constexpr std::uint64_t kMax = std::numeric_limits<off_t>::max();
  return offset <= kMax && size <= kMax - offset;
}

// Names what `fd` names, an O_PATH descriptor's symbolic link included: the jump through /proc is not
// followed further.
class ProcPath {
 public:
  explicit ProcPath(int fd) { std::snprintf(text_.data(), text_.size(), "/proc/self/fd/%d", fd); }
  const char* c_str() const { return text_.data(); }

 private:
  std::array<char, 32> text_{};
};

}  // namespace

Result<UniqueFd> RealDisk::open_at(int directory, const std::string& name, int flags, mode_t mode) {
  flags |= O_NOFOLLOW | O_CLOEXEC;
  if ((flags & O_PATH) == 0) flags |= O_NONBLOCK | O_NOCTTY;
  const int fd = retried([&] { return ::openat(directory, name.c_str(), flags, mode); });
  if (fd < 0) return last_error();
  return UniqueFd(fd);
}

Result<UniqueFd> RealDisk::reopen(int path_fd, int flags) {
  flags |= O_CLOEXEC;
  if ((flags & O_PATH) == 0) flags |= O_NONBLOCK | O_NOCTTY;
  const ProcPath path(path_fd);
  const int fd = retried([&] { return ::open(path.c_str(), flags); });
  if (fd < 0) return last_error();
  return UniqueFd(fd);
}

Result<std::size_t> RealDisk::read_at(int fd, std::uint64_t offset, ByteSpan out) {
  if (!fits(offset, out.size())) return Error::from_errno(EOVERFLOW);
  std::size_t filled = 0;
  while (filled < out.size()) {
    const ssize_t got = retried([&] {
      return ::pread(fd, out.data() + filled, out.size() - filled, static_cast<off_t>(offset + filled));
    });
    if (got < 0) return last_error();
    if (got == 0) break;
    filled += static_cast<std::size_t>(got);
  }
  return filled;
}

Result<void> RealDisk::write_at(int fd, std::uint64_t offset, ByteView data) {
  if (!fits(offset, data.size())) return Error::from_errno(EFBIG);
  while (!data.empty()) {
    const ssize_t put =
        retried([&] { return ::pwrite(fd, data.data(), data.size(), static_cast<off_t>(offset)); });
    if (put < 0) return last_error();
    if (put == 0) return Error::from_errno(EIO);
    offset += static_cast<std::uint64_t>(put);
    data = data.subspan(static_cast<std::size_t>(put));
  }
  return {};
}

Result<void> RealDisk::resize(int fd, std::uint64_t size) {
  if (!fits(size, 0)) return Error::from_errno(EFBIG);
  return done(retried([&] { return ::ftruncate(fd, static_cast<off_t>(size)); }));
}

Result<void> RealDisk::sync(int fd) {
  return done(retried([&] { return ::fsync(fd); }));
}

Result<void> RealDisk::sync_data(int fd) {
  return done(retried([&] { return ::fdatasync(fd); }));
}

Result<void> RealDisk::allocate(int fd, int mode, std::uint64_t offset, std::uint64_t size) {
  if (!fits(offset, size)) return Error::from_errno(EFBIG);
  return done(
      retried([&] { return ::fallocate(fd, mode, static_cast<off_t>(offset), static_cast<off_t>(size)); }));
}

Result<std::uint64_t> RealDisk::seek(int fd, std::uint64_t offset, int whence) {
  if (!fits(offset, 0)) return Error::from_errno(ENXIO);
  const off_t found = ::lseek(fd, static_cast<off_t>(offset), whence);
  if (found < 0) return last_error();
  return static_cast<std::uint64_t>(found);
}

Result<void> RealDisk::make_directory_at(int directory, const std::string& name, mode_t mode) {
  return done(::mkdirat(directory, name.c_str(), mode));
}

Result<void> RealDisk::make_node_at(int directory, const std::string& name, mode_t mode, dev_t device) {
  return done(::mknodat(directory, name.c_str(), mode, device));
}

Result<void> RealDisk::symlink_at(const std::string& target, int directory, const std::string& name) {
  return done(::symlinkat(target.c_str(), directory, name.c_str()));
}

Result<std::string> RealDisk::read_link(int path_fd) { return read_link_at(path_fd, {}); }

Result<std::string> RealDisk::read_link_at(int directory, const std::string& name) {
  std::array<char, 4097> target;  // longer than any target that Linux makes
  const ssize_t size = ::readlinkat(directory, name.c_str(), target.data(), target.size());
  if (size < 0) return last_error();
  return std::string(target.data(), static_cast<std::size_t>(size));
}

Result<void> RealDisk::link_at(int path_fd, int directory, const std::string& name) {
  // AT_EMPTY_PATH would do it in one, but only with CAP_DAC_READ_SEARCH.
  return done(::linkat(AT_FDCWD, ProcPath(path_fd).c_str(), directory, name.c_str(), AT_SYMLINK_FOLLOW));
}

Result<void> RealDisk::unlink_at(int directory, const std::string& name, int flags) {
  return done(::unlinkat(directory, name.c_str(), flags));
}

Result<void> RealDisk::rename_at(int from, const std::string& old_name, int to, const std::string& new_name,
                                 unsigned flags) {
  const bool renamed = ::renameat2(from, old_name.c_str(), to, new_name.c_str(), flags) == 0;
  if (renamed || errno != EINVAL || flags != RENAME_NOREPLACE) return done(renamed ? 0 : -1);
  // Some network file systems know no flags. A directory replaces nothing but an empty one, which ours
  // are only while they are made; other things get the new name before they lose the old one.
  auto attributes = stat_at(from, old_name);
  if (!attributes) return std::move(attributes).error();
  if (S_ISDIR(attributes->st_mode)) return done(::renameat(from, old_name.c_str(), to, new_name.c_str()));
  KMSFS_TRY(done(::linkat(from, old_name.c_str(), to, new_name.c_str(), 0)));
  return done(::unlinkat(from, old_name.c_str(), 0));
}

Result<struct stat> RealDisk::stat(int fd) {
  struct stat attributes {};
  if (::fstat(fd, &attributes) < 0) return last_error();
  return attributes;
}

Result<struct stat> RealDisk::stat_at(int directory, const std::string& name) {
  struct stat attributes {};
  if (::fstatat(directory, name.c_str(), &attributes, AT_SYMLINK_NOFOLLOW) < 0) return last_error();
  return attributes;
}

Result<std::optional<timespec>> RealDisk::birth_time(int fd) {
  struct statx attributes {};
  if (::statx(fd, "", AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW, STATX_BTIME, &attributes) < 0) return last_error();
  if ((attributes.stx_mask & STATX_BTIME) == 0) return std::optional<timespec>{};
  return std::optional(timespec{attributes.stx_btime.tv_sec, attributes.stx_btime.tv_nsec});
}

Result<struct statvfs> RealDisk::stat_file_system(int fd) {
  struct statvfs figures {};
  if (retried([&] { return ::fstatvfs(fd, &figures); }) < 0) return last_error();
  return figures;
}

bool RealDisk::keeps_order_of_names(int fd) {
  struct statfs figures {};
  if (retried([&] { return ::fstatfs(fd, &figures); }) < 0) return false;
  // One journal that everything goes through; of tmpfs a crash leaves nothing.
  return figures.f_type == EXT4_SUPER_MAGIC || figures.f_type == XFS_SUPER_MAGIC ||
         figures.f_type == TMPFS_MAGIC;
}

Result<void> RealDisk::change_mode(int fd, mode_t mode) { return done(::chmod(ProcPath(fd).c_str(), mode)); }

Result<void> RealDisk::change_owner(int fd, uid_t uid, gid_t gid) {
  return done(::fchownat(fd, "", uid, gid, AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW));
}

Result<void> RealDisk::change_times(int fd, const timespec (&times)[2]) {
  // By the descriptor itself: a way through /proc is three times the work.
  if (::utimensat(fd, "", times, AT_EMPTY_PATH) == 0) return {};
  if (errno != EINVAL) return last_error();  // EINVAL: a kernel before 5.8
  return done(::utimensat(AT_FDCWD, ProcPath(fd).c_str(), times, 0));
}

Result<void> RealDisk::set_xattr(int fd, const std::string& name, ByteView value, int flags) {
  return done(::setxattr(ProcPath(fd).c_str(), name.c_str(), value.data(), value.size(), flags));
}

Result<Bytes> RealDisk::get_xattr(int fd, const std::string& name) {
  const ProcPath path(fd);
  Bytes value(256);  // most fit, and then one call is enough
  for (std::size_t attempt = 0; attempt < kMaxXattrRetries; ++attempt) {
    const ssize_t size = ::getxattr(path.c_str(), name.c_str(), value.data(), value.size());
    if (size >= 0) {
      value.resize(static_cast<std::size_t>(size));
      return value;
    }
    if (errno != ERANGE) return last_error();
    const ssize_t needed = ::getxattr(path.c_str(), name.c_str(), nullptr, 0);
    if (needed < 0) return last_error();
    value.resize(std::max<std::size_t>(static_cast<std::size_t>(needed), 1));
  }
  return Error::from_errno(EAGAIN);
}

Result<std::vector<std::string>> RealDisk::list_xattr(int fd) {
  const ProcPath path(fd);
  std::vector<char> list(1024);
  for (std::size_t attempt = 0; attempt < kMaxXattrRetries; ++attempt) {
    const ssize_t size = ::listxattr(path.c_str(), list.data(), list.size());
    if (size >= 0) {
      std::vector<std::string> names;
      const std::string_view all(list.data(), static_cast<std::size_t>(size));
      for (std::size_t at = 0; at < all.size();) {
        const std::size_t end = std::min(all.find('\0', at), all.size());
        names.emplace_back(all.substr(at, end - at));
        at = end + 1;
      }
      return names;
    }
    if (errno != ERANGE) return last_error();
    const ssize_t needed = ::listxattr(path.c_str(), nullptr, 0);
    if (needed < 0) return last_error();
    list.resize(std::max<std::size_t>(static_cast<std::size_t>(needed), 1));
  }
  return Error::from_errno(EAGAIN);
}

Result<void> RealDisk::remove_xattr(int fd, const std::string& name) {
  return done(::removexattr(ProcPath(fd).c_str(), name.c_str()));
}

}  // namespace kmsfs
