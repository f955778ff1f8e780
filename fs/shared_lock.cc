#include "fs/shared_lock.h"

#include <algorithm>
#include <cerrno>
#include <optional>
#include <thread>

#include "core/waiting.h"

namespace kmsfs {
namespace {

constexpr std::chrono::microseconds kFirstPause{50}, kLongestPause{2000};
// A wait this long is worth another worker.
constexpr std::chrono::milliseconds kShortWait{1};

}  // namespace

Result<bool> try_lock(int fd, short type, off_t start, off_t length) {
  struct flock range {};
  range.l_type = type;
  range.l_whence = SEEK_SET;
  range.l_start = start;
  range.l_len = length;
  for (;;) {
    if (::fcntl(fd, F_OFD_SETLK, &range) == 0) return true;
    if (errno == EAGAIN || errno == EACCES) return false;
    if (errno != EINTR) return Error::from_errno(errno, "locking a backing file");
  }
}

// Asks again and again instead of waiting in the kernel: not every network file system lets go of a waiter,
// and holders are quick.
Result<SharedLock> SharedLock::take(int fd, Kind kind) {
  const short type = kind == Kind::kAlone ? F_WRLCK : F_RDLCK;
  const auto began = std::chrono::steady_clock::now();
  std::optional<LongWait> long_wait;
  for (auto pause = kFirstPause;; pause = std::min(pause * 2, kLongestPause)) {
    auto locked = try_lock(fd, type, kContentLock, 1);
    if (!locked) return std::move(locked).error();
    if (*locked) return SharedLock(fd);
    const auto waited = std::chrono::steady_clock::now() - began;
    if (waited > kPatience)
      return Error::from_errno(ETIMEDOUT, "another mount does not end its change of a file");
    if (waited > kShortWait && !long_wait) long_wait.emplace();
    std::this_thread::sleep_for(pause);
  }
}

SharedLock::~SharedLock() {
  // What cannot be unlocked is gone with the connection to the server, or goes with the descriptor.
  if (fd_ >= 0) (void)try_lock(fd_, F_UNLCK, kContentLock, 1).ok();
}

}  // namespace kmsfs
