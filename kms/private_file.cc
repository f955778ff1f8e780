#include "kms/private_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

namespace kmsfs::kms {

namespace {

Result<UniqueFd> open_checked(const std::string& path, std::string_view what, int flags, mode_t type,
                              std::string_view right_mode) {
  const std::string named = std::string(what) + " " + path;
  UniqueFd fd(::open(path.c_str(), flags | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
  if (!fd) {
    if (errno == ELOOP) return error(Kind::kDenied, named + " is a symbolic link; name the real one");
    return Error::from_errno(errno, named);
  }
  struct stat status {};
  if (::fstat(fd.get(), &status) != 0) return Error::from_errno(errno, named);
  if ((status.st_mode & S_IFMT) != type) {
    return error(Kind::kInvalid,
                 named + (type == S_IFDIR ? " is not a directory" : " is not a regular file"));
  }
  if (status.st_uid != ::geteuid()) {
    return error(Kind::kDenied, named + " belongs to uid " + std::to_string(status.st_uid) + ", not to uid " +
                                    std::to_string(::geteuid()) + "; it must be your own");
  }
  if ((status.st_mode & 077) != 0) {
    return error(Kind::kDenied,
                 named + " is open to others; run: chmod " + std::string(right_mode) + " " + path);
  }
  return fd;
}

}  // namespace

Result<UniqueFd> open_private_file(const std::string& path, std::string_view what, int flags) {
  return open_checked(path, what, flags, S_IFREG, "600");
}

Result<UniqueFd> open_private_directory(const std::string& path, std::string_view what) {
  return open_checked(path, what, O_RDONLY | O_DIRECTORY, S_IFDIR, "700");
}

Result<void> make_private_directory(const std::string& path) {
  for (std::size_t slash = path.find('/', 1);; slash = path.find('/', slash + 1)) {
    const std::string part = path.substr(0, slash);
    if (::mkdir(part.c_str(), 0700) != 0 && errno != EEXIST)
      return Error::from_errno(errno, "making " + part);
    if (slash == std::string::npos) return {};
  }
}

Result<std::size_t> read_up_to(int fd, ByteSpan out) {
  std::size_t done = 0;
  while (done < out.size()) {
    const ssize_t got = ::read(fd, out.data() + done, out.size() - done);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return Error::from_errno(errno, "reading");
    if (got == 0) break;
    done += static_cast<std::size_t>(got);
  }
  return done;
}

Result<void> write_all(int fd, ByteView bytes) {
  while (!bytes.empty()) {
    const ssize_t put = ::write(fd, bytes.data(), bytes.size());
    if (put < 0 && errno == EINTR) continue;
    if (put < 0) return Error::from_errno(errno, "writing");
    bytes = bytes.subspan(static_cast<std::size_t>(put));
  }
  return {};
}

}  // namespace kmsfs::kms
