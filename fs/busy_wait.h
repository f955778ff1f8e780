// A BusyWait decides for one worker of a queue whether it looks for its next request at once, again and
// again, or sleeps until the kernel wakes it.
//
// Why look: while a worker hands over a reply it still runs on the program's processor, so the kernel wakes
// the program on another one if that is idle, and the next request again on the first, with cold caches and
// two sleeping processors to wake each time. A processor on which a worker looks for requests is not idle:
// the program stays where it is. Between looks the processor is offered to whoever else wants it.
//
// Always: a worker looks for at most kLimit after a request, and only if that request did not let it wait for
// long; who shares the processor with somebody who computes sleeps instead. So a mount at rest costs nothing,
// a slow stream of requests a twentieth of a processor, and a busy machine loses nothing. Threads: one.
#pragma once

#include <sched.h>

#include <chrono>

namespace kmsfs {

class BusyWait {
 public:
  using Clock = std::chrono::steady_clock;
  static constexpr auto kLimit = std::chrono::microseconds(50);
  static constexpr auto kLong = 20 * kLimit;
  static constexpr auto kCrowd = std::chrono::microseconds(1500);  // another had the processor for so long
  static constexpr auto kKeepOff = std::chrono::milliseconds(100);

  // A wait begins at `now`: whether to look.
  bool begin(Clock::time_point now) {
    begin_ = now;
    return soon_ && now >= not_before_;
  }
  // Offers the processor to others; whether to look again.
  bool go_on(Clock::time_point now) {
    ::sched_yield();
    const auto after = Clock::now();
    if (after - now >= kCrowd) not_before_ = after + kKeepOff;
    return after - begin_ < kLimit && after >= not_before_;
  }
  // The request came.
  void end(Clock::time_point now) { soon_ = now - begin_ < kLong; }

 private:
  Clock::time_point begin_{}, not_before_{};
  bool soon_ = false;  // the last request came soon
};

}  // namespace kmsfs
