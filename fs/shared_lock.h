// The lock that mounts of one volume take on a file while they change its content (docs/SHARING.md), and
// where in the backing file all our locks lie.
//
// Always: a lock belongs to the open file description, so it ends with the mount that took it, however that
// ends; one description holds at most one. It never waits for ever: a mount that was stopped in the middle of
// a change makes others fail with ETIMEDOUT. Locks change nothing on disk, so they are no part of the Disk.
// Threads: one description by one thread at a time.
#pragma once

#include <fcntl.h>

#include <chrono>
#include <cstdint>
#include <utility>

#include "core/result.h"

namespace kmsfs {

// No file is that large. Locks of programs lie below; what they lock "to the end" ends there.
inline constexpr off_t kLocksOfMounts = off_t{1} << 62;
inline constexpr off_t kContentLock = kLocksOfMounts;        // one byte: who changes content
inline constexpr off_t kWholeFileLock = kLocksOfMounts + 1;  // one byte: flock(2) of programs

// F_RDLCK, F_WRLCK or F_UNLCK on a range, for the open file description. Does not wait: false, and nothing is
// locked, if another one is in the way.
Result<bool> try_lock(int fd, short type, off_t start, off_t length);

class SharedLock {
 public:
  enum class Kind { kShared, kAlone };
  static constexpr std::chrono::seconds kPatience{60};  // a change takes milliseconds

  // `fd` must stay open until the lock is gone; open for writing if alone.
  static Result<SharedLock> take(int fd, Kind kind);
  SharedLock(SharedLock&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  SharedLock& operator=(SharedLock&&) = delete;
  ~SharedLock();

 private:
  explicit SharedLock(int fd) : fd_(fd) {}
  int fd_;
};

}  // namespace kmsfs
