// Frees a mountpoint when the time is up or when its test is gone, whatever its server, its programs and its
// test do: the connection to the kernel is aborted, so that nobody waits in it any more.
//
// A process of its own, because a test that serves a mount itself and is killed while it waits for that mount
// cannot die: the kernel waits for an answer of the dead. Threads: one at a time.
#pragma once

#include <poll.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <string>

namespace kmsfs::testing {

class MountWatchdog {
 public:
  explicit MountWatchdog(const std::string& mountpoint,
                         std::chrono::seconds limit = std::chrono::seconds(100)) {
    int ends[2];
    if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) return;
    const auto limit_ms = static_cast<int>(std::chrono::milliseconds(limit).count());
    // Nobody's child: who kills a test that takes too long kills its children too.
    const pid_t between = ::fork();
    if (between == 0) {
      if (::fork() == 0) watch(mountpoint.c_str(), ends[0], limit_ms);
      ::_exit(0);
    }
    while (between > 0 && ::waitpid(between, nullptr, 0) < 0 && errno == EINTR) {
    }
    ::close(ends[0]);
    test_end_ = ends[1];
  }
  MountWatchdog(const MountWatchdog&) = delete;
  MountWatchdog& operator=(const MountWatchdog&) = delete;
  ~MountWatchdog() {
    if (test_end_ < 0) return;
    const char all_is_well = 'w';
    while (::send(test_end_, &all_is_well, 1, MSG_NOSIGNAL) < 0 && errno == EINTR) {
    }
    ::close(test_end_);
  }

 private:
  // Between fork and exit, and from a process with threads: system calls alone.
  [[noreturn]] static void watch(const char* mountpoint, int our_end, int limit_ms) {
    ::setpgid(0, 0);
    // Nothing of the test may live on in here: neither its output nor its end of the connection.
    constexpr int kOurs = 3;
    if (our_end != kOurs) ::dup2(our_end, kOurs);
    for (int fd = 0; fd < kOurs; ++fd) ::close(fd);
    ::close_range(kOurs + 1, ~0U, 0);
    pollfd waited{kOurs, POLLIN, 0};
    while (::poll(&waited, 1, limit_ms) < 0 && errno == EINTR) {
    }
    char byte = 0;
    if ((waited.revents & POLLIN) != 0 && ::read(kOurs, &byte, 1) == 1) ::_exit(0);
    ::umount2(mountpoint, MNT_FORCE | UMOUNT_NOFOLLOW);   // aborts the connection
    ::umount2(mountpoint, MNT_DETACH | UMOUNT_NOFOLLOW);  // and frees the mountpoint
    ::_exit(1);
  }

  int test_end_ = -1;
};

}  // namespace kmsfs::testing
