#include "tests/mount/model_sides.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <memory>
#include <thread>
#include <utility>
#include <vector>

namespace kmsfs::testing {
namespace {

constexpr std::time_t kLongAgo = 1'000'000'000;  // times before were set by a step, times after by the clock
constexpr char kAccessAcl[] = "system.posix_acl_access", kDefaultAcl[] = "system.posix_acl_default";

std::string result_of(ssize_t result) {
  return result < 0 ? ::strerrorname_np(errno) : std::to_string(result);
}

std::string hash_of(std::string_view bytes) { return std::to_string(std::hash<std::string_view>{}(bytes)); }

std::string told(const timespec& time) {
  return time.tv_sec < kLongAgo ? std::to_string(time.tv_sec) + "." + std::to_string(time.tv_nsec) : "now";
}

std::string exact(const timespec& time) {
  return std::to_string(time.tv_sec) + "." + std::to_string(time.tv_nsec);
}

std::string told(const struct stat& s) {
  std::string out = "mode " + std::to_string(s.st_mode) + " links " + std::to_string(s.st_nlink) + " owner " +
                    std::to_string(s.st_uid) + ":" + std::to_string(s.st_gid) + " modified " +
                    told(s.st_mtim);
  if (!S_ISDIR(s.st_mode)) out += " size " + std::to_string(s.st_size);
  if (S_ISCHR(s.st_mode) || S_ISBLK(s.st_mode)) out += " device " + std::to_string(s.st_rdev);
  return out;
}

std::vector<std::string> names_in(const std::string& directory) {
  std::vector<std::string> names;
  const std::unique_ptr<DIR, int (*)(DIR*)> open(::opendir(directory.c_str()), ::closedir);
  if (open == nullptr) return {std::string("not listed: ") + ::strerrorname_np(errno)};
  while (const dirent* entry = ::readdir(open.get())) {
    const std::string name = entry->d_name;
    if (name != "." && name != "..") names.push_back(name);
  }
  std::sort(names.begin(), names.end());
  return names;
}

std::string content_of(const std::string& path) {
  const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOATIME));
  std::string content;
  std::string buffer(256 * 1024, '\0');
  ssize_t got = 0;
  while ((got = ::read(fd.get(), buffer.data(), buffer.size())) > 0) {
    content.append(buffer, 0, static_cast<std::size_t>(got));
  }
  return got < 0 ? result_of(got) : hash_of(content);
}

std::string attribute_of(const std::string& path, const std::string& name) {
  char value[512];
  const ssize_t size = ::lgetxattr(path.c_str(), name.c_str(), value, sizeof value);
  return size < 0 ? result_of(size) : hash_of({value, static_cast<std::size_t>(size)});
}

std::string attribute_name(const Step& step) { return "user.x" + std::to_string(step.fill % 4); }

// Calls `visit(path below, its attributes)` for all that is in a directory, parents first.
template <typename Visit>
void walk(const std::string& top, const std::string& below, Visit& visit) {
  for (const std::string& name : names_in(top + below)) {
    const std::string path = below + "/" + name;
    struct stat s {};
    if (::lstat((top + path).c_str(), &s) != 0) s = {};
    visit(path, s);
    if (S_ISDIR(s.st_mode)) walk(top, path, visit);
  }
}

// An entry for user 1000, who may read, and a mask: docs of acl(5), as the kernel takes it.
std::string acl_of(const Step& step) {
  struct Entry {
    std::uint16_t tag, permissions;
    std::uint32_t id;
  };
  const auto bits = static_cast<std::uint16_t>(step.fill % 8);
  const Entry entries[] = {
      {0x01, 7, ~0U}, {0x02, bits, 1000}, {0x04, 5, ~0U}, {0x10, bits, ~0U}, {0x20, 4, ~0U}};
  const std::uint32_t version = 2;
  std::string out(reinterpret_cast<const char*>(&version), sizeof version);
  out.append(reinterpret_cast<const char*>(entries), sizeof entries);
  return out;
}

std::string read_through(int fd, std::int64_t at, std::size_t size) {
  std::string buffer(size, '\0');
  const ssize_t got = ::pread(fd, buffer.data(), size, at);
  if (got < 0) return result_of(got);
  return std::to_string(got) + ":" + hash_of({buffer.data(), static_cast<std::size_t>(got)});
}

// Through a mapping of all of the file; nothing if that does not reach so far.
template <typename Use>
std::string mapped(int fd, int protection, int flags, std::size_t least, Use use) {
  struct stat s {};
  if (::fstat(fd, &s) != 0) return result_of(-1);
  if (!S_ISREG(s.st_mode) || s.st_size < static_cast<off_t>(least)) return "too short";
  const auto size = static_cast<std::size_t>(s.st_size);
  void* map = ::mmap(nullptr, size, protection, flags, fd, 0);
  if (map == MAP_FAILED) return result_of(-1);
  std::string answer = use(static_cast<char*>(map), size);
  ::munmap(map, size);
  return answer;
}

std::string write_mapped(int fd, const Step& step, int flags) {
  const auto at = static_cast<std::size_t>(step.at);
  return mapped(fd, PROT_READ | PROT_WRITE, flags, at + step.size, [&](char* map, std::size_t size) {
    std::memcpy(map + at, step.data().data(), step.size);
    return flags == MAP_SHARED && step.flags == 0 ? result_of(::msync(map, size, MS_SYNC))
                                                  : std::string("written");
  });
}

std::string copy_range(int from, int to, const Step& step) {
  off_t from_at = step.at, to_at = step.other_at;
  std::size_t left = step.size;
  while (left > 0) {  // how much one call copies is its own choice
    const ssize_t done = ::copy_file_range(from, &from_at, to, &to_at, left, 0);
    if (done < 0) return result_of(done);
    if (done == 0) break;
    left -= static_cast<std::size_t>(done);
  }
  return std::to_string(step.size - left);
}

// Where holes are is each file system's own affair; that data is not overlooked is not.
std::string seek(int fd, const Step& step) {
  struct stat s {};
  if (::fstat(fd, &s) != 0) return result_of(-1);
  if (!S_ISREG(s.st_mode)) return "no file";
  const off_t found = ::lseek(fd, step.at, step.flags % 2 == 0 ? SEEK_DATA : SEEK_HOLE);
  if (found < 0 && errno != ENXIO) return result_of(found);
  if (step.at >= s.st_size) return found < 0 ? "past the end" : "found something past the end";
  if (step.flags % 2 != 0) return found >= step.at && found <= s.st_size ? "found" : "a hole out of bounds";
  const off_t end = found < 0 ? s.st_size : found;
  std::string skipped(static_cast<std::size_t>(std::min<off_t>(end - step.at, 1 << 20)), '\0');
  const ssize_t got = ::pread(fd, skipped.data(), skipped.size(), step.at);
  if (got < 0) return errno == EBADF ? "found" : result_of(got);
  return skipped.find_first_not_of('\0') == std::string::npos ? "found" : "overlooked data";
}

std::string direct(const std::string& path, const Step& step) {
  const UniqueFd fd(::open(path.c_str(), O_RDWR | O_CREAT | O_DIRECT | O_NONBLOCK | O_CLOEXEC, 0640));
  if (!fd) return result_of(-1);
  constexpr std::size_t kPage = 4096;
  const std::size_t size = (step.size / kPage + 1) * kPage;
  const off_t at = step.at / static_cast<off_t>(kPage) * static_cast<off_t>(kPage);
  struct Free {
    void operator()(char* memory) const { ::free(memory); }
  };
  const std::unique_ptr<char, Free> buffer(static_cast<char*>(std::aligned_alloc(kPage, size)));
  std::memset(buffer.get(), step.fill, size);
  std::string out = result_of(::pwrite(fd.get(), buffer.get(), size, at));
  const ssize_t got = ::pread(fd.get(), buffer.get(), size, at / 2 / 4096 * 4096);
  return out + " " + result_of(got) + ":" +
         (got > 0 ? hash_of({buffer.get(), static_cast<std::size_t>(got)}) : "");
}

}  // namespace

std::string describe(const std::string& directory) {
  std::string out;
  auto visit = [&](const std::string& path, const struct stat& s) {
    out += path.substr(0, 40) + " " + told(s);
    if (S_ISREG(s.st_mode)) out += " content " + content_of(directory + path);
    for (const std::string name : {"user.x0", "user.x1", "user.x2", "user.x3", kAccessAcl, kDefaultAcl}) {
      const std::string value = attribute_of(directory + path, name);
      if (value != "ENODATA" && value != "EOPNOTSUPP" && value != "EPERM") out += " " + name + " " + value;
    }
    out += "\n";
  };
  walk(directory, "", visit);
  return out;
}

Sides::Sides(std::string mounted, std::string native, Fault fault)
    : sides_{std::move(mounted), std::move(native)}, fault_(fault) {
  for (const std::string& side : sides_) ::mkdir(side.c_str(), 0755);
}

std::string Sides::run(const Step& step) {
  if (step.deed == Deed::kWatchTimes) {
    watching_ = true;
    // A clock that stands between two changes would make them look like none.
    std::this_thread::sleep_for(std::chrono::milliseconds(12));
    for (int side = 0; side < 2; ++side) before_[side] = times(side);
    return "";
  }
  if (uses_empty_slot(step) || is_not_comparable(step)) return "";
  std::string answers[2];
  for (int side = 0; side < 2; ++side) {
    errno = 0;
    answers[side] = answer(side, step);
  }
  std::string difference;
  if (answers[0] != answers[1])
    difference = "mounted " + answers[0].substr(0, 300) + ", native " + answers[1].substr(0, 300);
  if (step.deed == Deed::kOpen || step.deed == Deed::kOpenUnnamed) {
    Handle& handle = slots_[step.slot];
    if (!handle.fd[0] || !handle.fd[1]) handle = Handle();
  }
  if (watching_ && difference.empty()) difference = compare_watched_times();
  watching_ = false;
  return difference;
}

Sides::Times Sides::times(int side) const {
  Times all;
  auto visit = [&](const std::string& path, const struct stat& s) {
    all.emplace(s.st_ino, FileTimes{path, exact(s.st_ctim), exact(s.st_mtim)});
  };
  walk(sides_[side], "", visit);
  return all;
}

// Of what was there before and is still there, told by its name before. A change time may move more often in
// a mount (docs/POSIX.md): the state slot is written at the last close, which the kernel tells when it likes.
std::string Sides::compare_watched_times() const {
  std::map<std::string, std::string> changed[2];
  for (const int side : {1, 0}) {
    const Times now = times(side);
    for (const auto& [inode, before] : before_[side]) {
      const auto found = now.find(inode);
      if (found == now.end()) continue;
      std::string what;
      const bool tells = side == 1 || changed[1][before.path].find("ctime") != std::string::npos;
      if (found->second.change != before.change && tells) what += " ctime";
      if (found->second.modification != before.modification) what += " mtime";
      changed[side][before.path] = what;
    }
  }
  std::string out;
  for (const auto& [path, what] : changed[0]) {
    if (what == changed[1][path]) continue;
    out += " of " + path.substr(0, 30) + " mounted:" + what + ", native:" + changed[1][path];
  }
  return out.empty() ? "" : "other times changed" + out;
}

std::string Sides::compare_trees() const {
  const std::string mounted = describe(sides_[0]), native = describe(sides_[1]);
  if (mounted == native) return "";
  return "the trees differ; mounted:\n" + mounted + "native:\n" + native;
}

void Sides::close_handles() {
  for (Handle& handle : slots_) handle = Handle();
}

bool Sides::uses_empty_slot(const Step& step) const {
  switch (step.deed) {
    case Deed::kCopyRange:
      if (!slots_[step.other_slot].fd[0]) return true;
      [[fallthrough]];
    case Deed::kClose:
    case Deed::kWrite:
    case Deed::kRead:
    case Deed::kWriteMapped:
    case Deed::kReadMapped:
    case Deed::kWritePrivately:
    case Deed::kTruncate:
    case Deed::kAllocate:
    case Deed::kSeek:
    case Deed::kSync:
    case Deed::kLinkHandle:
    case Deed::kStatHandle:
    case Deed::kTimesOfHandle:
    case Deed::kLockFile:
    case Deed::kLockRange:
      return !slots_[step.slot].fd[0];
    default:
      return false;
  }
}

// docs/POSIX.md: the kernel does not hand on a truncation to the size that a file has.
bool Sides::is_not_comparable(const Step& step) const {
  struct stat s {};
  if (step.deed == Deed::kTruncate) return ::fstat(fd(1, step.slot), &s) == 0 && s.st_size == step.at;
  if (step.deed == Deed::kTruncatePath)
    return ::stat(at(1, step.path).c_str(), &s) == 0 && s.st_size == step.at;
  return false;
}

std::string Sides::open(int side, const Step& step) {
  UniqueFd& fd = slots_[step.slot].fd[side];
  // Never waiting for the other end of a FIFO.
  const int flags = step.deed == Deed::kOpenUnnamed ? O_TMPFILE | O_RDWR : step.flags;
  fd.reset(::open(at(side, step.path).c_str(), flags | O_NONBLOCK | O_CLOEXEC, 0640));
  return fd ? "opened" : result_of(-1);
}

std::string Sides::answer(int side, const Step& step) {
  switch (step.deed) {
    case Deed::kOpen:
    case Deed::kOpenUnnamed:
      return open(side, step);
    case Deed::kCopyRange:
      return copy_range(fd(side, step.slot), fd(side, step.other_slot), step);
    case Deed::kClose:
      slots_[step.slot].fd[side].reset();
      return "closed";
    default:
      return slots_[step.slot].fd[0] ? on_handle(side, step) : on_path(side, step);
  }
}

std::string Sides::on_handle(int side, const Step& step) {
  const int handle = fd(side, step.slot);
  switch (step.deed) {
    case Deed::kWrite: {
      const std::string data = step.data();
      return result_of(::pwrite(handle, data.data(), data.size(), step.at));
    }
    case Deed::kRead:
      return read_through(handle, step.at, step.size);
    case Deed::kWriteMapped:
      return write_mapped(handle, step, MAP_SHARED);
    case Deed::kWritePrivately:
      return write_mapped(handle, step, MAP_PRIVATE);
    case Deed::kReadMapped:
      return mapped(handle, PROT_READ, MAP_SHARED, 1, [](const char* map, std::size_t size) {
        return hash_of({map, size});
      });
    case Deed::kTruncate:
      return result_of(::ftruncate(handle, step.at));
    case Deed::kAllocate:
      if (side == 0 && fault_ == Fault::kForgetsPunching && (step.flags & FALLOC_FL_PUNCH_HOLE) != 0)
        return "0";
      return result_of(::fallocate(handle, step.flags, step.at, static_cast<off_t>(step.size)));
    case Deed::kSeek:
      return seek(handle, step);
    case Deed::kSync:
      return result_of(step.flags % 2 == 0 ? ::fsync(handle) : ::fdatasync(handle));
    case Deed::kLinkHandle:
      return result_of(::linkat(AT_FDCWD, ("/proc/self/fd/" + std::to_string(handle)).c_str(), AT_FDCWD,
                                at(side, step.path).c_str(), AT_SYMLINK_FOLLOW));
    case Deed::kStatHandle: {
      struct stat s {};
      return ::fstat(handle, &s) == 0 ? told(s) : result_of(-1);
    }
    case Deed::kTimesOfHandle: {
      const timespec times[2] = {{0, UTIME_OMIT}, {step.at, static_cast<long>(step.size)}};
      return result_of(::futimens(handle, times));
    }
    case Deed::kLockFile:
      return result_of(::flock(handle, step.flags));
    case Deed::kLockRange: {
      struct flock lock {};
      lock.l_type = static_cast<short>(step.flags);
      lock.l_whence = SEEK_SET;
      lock.l_start = step.at;
      lock.l_len = static_cast<off_t>(step.size);
      return result_of(::fcntl(handle, F_OFD_SETLK, &lock));
    }
    default:
      return on_path(side, step);
  }
}

std::string Sides::on_path(int side, const Step& step) {
  const std::string path = at(side, step.path), other = at(side, step.other_path);
  const char* const p = path.c_str();
  switch (step.deed) {
    case Deed::kDirect:
      return direct(path, step);
    case Deed::kTruncatePath:
      return result_of(::truncate(p, step.at));
    case Deed::kSyncDirectory: {
      const UniqueFd directory(::open(p, O_RDONLY | O_DIRECTORY | O_NONBLOCK | O_CLOEXEC));
      return directory ? result_of(::fsync(directory.get())) : result_of(-1);
    }
    case Deed::kRename:
      return result_of(::renameat2(AT_FDCWD, p, AT_FDCWD, other.c_str(), static_cast<unsigned>(step.flags)));
    case Deed::kUnlink:
      return result_of(::unlink(p));
    case Deed::kLink:
      return result_of(::link(p, other.c_str()));
    case Deed::kSymlink:
      return result_of(::symlink(("n" + std::to_string(step.fill % 12)).c_str(), p));
    case Deed::kReadLink: {
      char target[256];
      const ssize_t size = ::readlink(p, target, sizeof target);
      return size < 0 ? result_of(size) : std::string(target, static_cast<std::size_t>(size));
    }
    case Deed::kMakeDirectory:
      return result_of(::mkdir(p, 0755));
    case Deed::kRemoveDirectory:
      return result_of(::rmdir(p));
    case Deed::kMakeNode:
      // As a character device /dev/null, as a block device none that there is.
      return result_of(
          ::mknod(p, static_cast<mode_t>(step.flags), S_ISCHR(step.flags) ? makedev(1, 3) : makedev(60, 77)));
    case Deed::kList: {
      std::string out;
      for (const std::string& name : names_in(path)) out += name.substr(0, 40) + "\n";
      return out;
    }
    case Deed::kStat: {
      struct stat s {};
      return ::lstat(p, &s) == 0 ? told(s) : result_of(-1);
    }
    case Deed::kAccess:
      return result_of(::access(p, step.flags));
    case Deed::kMode:
      return result_of(::chmod(p, static_cast<mode_t>(step.flags)));
    case Deed::kOwner:
      return result_of(::lchown(p, step.fill % 2 == 0 ? 1000U : 0U, step.fill % 3 == 0 ? 1000U : ~0U));
    case Deed::kTimes: {
      const timespec times[2] = {{0, UTIME_OMIT}, {step.at, static_cast<long>(step.size)}};
      return result_of(::utimensat(AT_FDCWD, p, times, step.flags % 2 == 0 ? AT_SYMLINK_NOFOLLOW : 0));
    }
    case Deed::kSetXattr: {
      const std::string value = step.data().substr(0, step.size % 300);
      return result_of(::lsetxattr(p, attribute_name(step).c_str(), value.data(), value.size(), step.flags));
    }
    case Deed::kGetXattr:
      return attribute_of(path, attribute_name(step));
    case Deed::kListXattr: {
      char names[1024];
      const ssize_t size = ::llistxattr(p, names, sizeof names);
      if (size < 0) return result_of(size);
      std::vector<std::string> all;
      for (const char* name = names; name < names + size; name += all.back().size() + 1)
        all.emplace_back(name);
      std::sort(all.begin(), all.end());
      std::string out;
      for (const std::string& name : all) out += name + " ";
      return out;
    }
    case Deed::kRemoveXattr:
      return result_of(::lremovexattr(p, attribute_name(step).c_str()));
    case Deed::kSetAcl: {
      const std::string acl = acl_of(step);
      return result_of(
          ::setxattr(p, step.flags % 2 == 0 ? kAccessAcl : kDefaultAcl, acl.data(), acl.size(), 0));
    }
    case Deed::kStatFileSystem: {
      struct statvfs s {};
      return ::statvfs(p, &s) == 0 ? "names of " + std::to_string(s.f_namemax) : result_of(-1);
    }
    default:
      return "";
  }
}

}  // namespace kmsfs::testing
