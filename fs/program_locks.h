// Locks that programs take on the files of a shared volume, by fcntl(2) and flock(2), so that they hold
// across mounts: each owner has an open file description of the backing file, and its locks are OFD locks
// there.
//
// Always: a lock is gone when its owner closes the file, when the last handle that took it closes, and when
// the mount ends, however that ends. A lock of the whole file (flock) is a byte of its own, because network
// file systems turn flock into the other kind. Who waits asks again and again, so that a signal, the end of
// the mount and a server that forgets waiters all end the wait; it is a LongWait, which holds up nobody else.
// Threads: any, together. No lock of ours is held while the backing file system is asked.
#pragma once

#include <atomic>
#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <tuple>

#include "core/result.h"
#include "core/unique_fd.h"

namespace kmsfs {

class ProgramLocks {
 public:
  using Node = std::uint64_t;
  using Handle = std::uint64_t;
  struct Owner {
    Node node = 0;
    bool whole_file = false;  // flock: the owner is an open file of the program; fcntl: a process
    std::uint64_t id = 0;     // as the kernel names it
    auto operator<=>(const Owner&) const = default;
  };
  struct Range {
    short type = 0;               // F_RDLCK, F_WRLCK, F_UNLCK
    off_t start = 0, length = 0;  // length 0: to the end
  };
  using Opener = std::function<Result<UniqueFd>(int flags)>;

  // EAGAIN if another lock is in the way and this is not to wait; EINTR if a signal came first.
  Result<void> set(const Owner& owner, Handle handle, Range wanted, bool wait, const Opener& open);
  // What is in the way of that lock; F_UNLCK if nothing is.
  Result<Range> find_blocker(const Owner& owner, Range wanted, const Opener& open) const;
  // The owner has closed the file.
  void drop(const Owner& owner);
  void drop_handle(Node node, Handle handle);

 private:
  struct Held {
    Held(UniqueFd file, bool may_write) : fd(std::move(file)), writable(may_write) {}
    ~Held();
    const UniqueFd fd;
    const bool writable;
  };
  struct Entry {
    std::shared_ptr<Held> held;  // also by those who wait for a lock
    std::set<Handle> handles;
  };

  std::shared_ptr<Held> held_by(const Owner& owner) const;
  Result<std::shared_ptr<Held>> open_for(const Owner& owner, Handle handle, const Opener& open);
  Result<void> wait_for(const Held& held, const Range& wanted);
  void tell_waiters();

  std::atomic<std::uint64_t> owners_{0};  // of entries_: most files are never locked
  mutable std::mutex mutex_;
  std::condition_variable released_;
  // Guarded by mutex_.
  std::map<Owner, Entry> entries_;
  std::uint64_t releases_ = 0;
};

}  // namespace kmsfs
