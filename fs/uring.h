// A Uring is one thread's io_uring: it hands entries to the kernel and gets them back with requests.
//
// The only door to liburing; without it at build time, make() says so. Threads: all by the thread that called
// make(), which must not end while the kernel has entries that came through here, unless everything ends.
#pragma once

#include <functional>
#include <memory>

#include "fs/fuse_ring_entry.h"

namespace kmsfs {

class Uring {
 public:
  // `device`: /dev/fuse of the mount; -1 to try whether there can be a Uring. As many entries can be with the
  // kernel at once. kUnsupported: the kernel, or the build, has no io_uring that would do.
  static Result<std::unique_ptr<Uring>> make(unsigned entries, int device);
  ~Uring();
  Uring(const Uring&) = delete;
  Uring& operator=(const Uring&) = delete;

  // The kernel may put requests into the entry from now on.
  Result<void> add(RingEntry& entry);
  // Sends the entry's reply; the kernel may put the next request into it.
  Result<void> commit(RingEntry& entry);
  // Comes back once, with no entry, when the descriptor is readable.
  Result<void> watch(int fd);

  // Hands over what was added and committed, and returns what came back so far.
  Result<void> submit();
  // The same, and waits for something. Returns early after a signal.
  Result<void> submit_and_wait();
  // What came back: with 0 a request is in the entry; otherwise it is the kernel's no more, for that reason.
  void take_back(const std::function<void(RingEntry*, int error_number)>& take);

 private:
  struct Ring;
  explicit Uring(std::unique_ptr<Ring> ring);
  std::unique_ptr<Ring> ring_;
};

}  // namespace kmsfs
