// FUSE_INTERRUPT: ends the waits of programs that shall end.
//
// The kernel says once per request that a signal came for the program that waits for its answer, and not
// which signal. Files on a disk are opened and read without interruption, and few programs know EINTR from
// them: a timer, or a child that ended, must not make an open() fail. So a wait ends when the program has to
// die, or is asked to end by SIGINT, SIGTERM, SIGHUP or SIGQUIT; after another signal it is looked at again
// each kLookAgain.
//
// Always: an interruption counts, whether it is read before its request begins to wait or after. A request
// that waits for nothing slow costs nothing here. Threads: any, together; of() and end() by the thread that
// works on the request.
#pragma once

#include <sys/types.h>

#include <array>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <stop_token>
#include <string>
#include <thread>
#include <unordered_map>

namespace kmsfs {

// Is the program (its thread, by /proc) to end, or asked to? Also if nobody can tell.
bool wants_to_end(pid_t thread);
// The same from the text of /proc/THREAD/status.
bool wants_to_end(const std::string& status);
// Has a signal come for it that it has not heard yet? Also if nobody can tell.
bool signal_came(pid_t thread);
bool signal_came(const std::string& status);

class FuseInterrupts {
 public:
  static constexpr std::chrono::milliseconds kLookAgain{50};

  FuseInterrupts() = default;
  ~FuseInterrupts();
  FuseInterrupts(const FuseInterrupts&) = delete;
  FuseInterrupts& operator=(const FuseInterrupts&) = delete;

  // The request begins to wait; the same token again until end().
  std::stop_token of(std::uint64_t request, pid_t thread);
  void end(std::uint64_t request);
  // Between of() and end(): any signal came, or everything ends.
  bool signalled(std::uint64_t request);
  // The kernel says that a signal came.
  void interrupt(std::uint64_t request);
  // The connection is over: nobody waits any more.
  void end_all();

 private:
  struct Wait {
    std::stop_source source;
    pid_t thread = 0;
    bool signalled = false;
  };
  void look_again();  // a thread of its own, from the first signal on

  std::mutex mutex_;
  std::condition_variable changed_;
  // Guarded by mutex_.
  std::unordered_map<std::uint64_t, Wait> waits_;
  std::array<std::uint64_t, 256> early_{};  // the last interruptions of requests that did not wait (yet)
  std::size_t next_early_ = 0;
  std::size_t signalled_ = 0;  // of waits_
  bool stopping_ = false;
  bool over_ = false;
  std::thread looker_;
};

}  // namespace kmsfs
