// A Watchdog ends a test that waits for a mount which answers no more: it aborts the mount's connection, so
// that every call in it fails, and if that is not enough it kills the server.
//
// Always: it is a process of its own, for a thread of the waiting process could be held up by the very page
// fault that waits. It dies with the process that made it. Threads: made by one; progress() by any.
#pragma once

#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <string>
#include <thread>

namespace kmsfs::testing {

class Watchdog {
 public:
  // `connection`: the minor number of the mount's device. `limit` without progress is too long.
  Watchdog(pid_t server, unsigned connection, std::chrono::seconds limit) {
    void* memory = ::mmap(nullptr, sizeof(Shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) return;
    shared_ = new (memory) Shared;
    const pid_t parent = ::getpid();
    watcher_ = ::fork();
    if (watcher_ == 0) {
      ::prctl(PR_SET_PDEATHSIG, SIGKILL);
      ::close_range(3, ~0U, 0);
      if (::getppid() == parent) watch(server, connection, limit);
      ::_exit(0);
    }
  }
  Watchdog(const Watchdog&) = delete;
  Watchdog& operator=(const Watchdog&) = delete;
  ~Watchdog() {
    if (watcher_ > 0) {
      ::kill(watcher_, SIGKILL);
      ::waitpid(watcher_, nullptr, 0);
    }
    if (shared_ != nullptr) ::munmap(shared_, sizeof(Shared));
  }

  bool works() const { return watcher_ > 0; }
  void progress() { shared_->steps.fetch_add(1, std::memory_order_relaxed); }
  // It had to step in: what failed since then failed for that.
  bool stepped_in() const { return shared_->stepped_in; }

 private:
  struct Shared {
    std::atomic<std::uint64_t> steps{0};
    std::atomic<bool> stepped_in{false};
  };

  void watch(pid_t server, unsigned connection, std::chrono::seconds limit) {
    using Clock = std::chrono::steady_clock;
    std::uint64_t seen = shared_->steps;
    auto since = Clock::now();
    for (;;) {
      std::this_thread::sleep_for(std::chrono::milliseconds(100));
      if (const std::uint64_t now = shared_->steps; now != seen) {
        seen = now;
        since = Clock::now();
      }
      if (Clock::now() - since < limit) continue;
      if (shared_->stepped_in.exchange(true) || !abort(connection)) ::kill(server, SIGKILL);
      since = Clock::now() - limit + std::chrono::seconds(10);  // then harder
    }
  }

  static bool abort(unsigned connection) {
    const std::string path = "/sys/fs/fuse/connections/" + std::to_string(connection) + "/abort";
    int fd = ::open(path.c_str(), O_WRONLY | O_CLOEXEC);
    if (fd < 0 && ::mount("none", "/sys/fs/fuse/connections", "fusectl", 0, nullptr) == 0) {
      fd = ::open(path.c_str(), O_WRONLY | O_CLOEXEC);
    }
    const bool done = fd >= 0 && ::write(fd, "1", 1) == 1;
    if (fd >= 0) ::close(fd);
    return done;
  }

  Shared* shared_ = nullptr;
  pid_t watcher_ = -1;
};

}  // namespace kmsfs::testing
