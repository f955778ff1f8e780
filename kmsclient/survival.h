// What keeps a KMS that is slow, down or busy from taking us, and us from taking it, further down: deadlines,
// pauses, a budget of retries, a circuit breaker, and a limit on calls at once.
//
// Always: nothing here waits longer than the deadline it was given. Times are on the Clock; pauses go through
// Pause, so that a test need not wait. Threads: any, together.
#pragma once

#include <chrono>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <optional>

#include "core/clock.h"
#include "core/guarded.h"
#include "core/result.h"

namespace kmsfs {

using Milliseconds = std::chrono::milliseconds;

struct SurvivalLimits {
  Milliseconds call_deadline{2000};       // of one request
  Milliseconds operation_deadline{5000};  // of all attempts and pauses together
  int attempts = 6;                       // 50+100+200+400+800 ms of pauses at most: within the deadline
  Milliseconds first_pause{50};           // doubles with each attempt; what is waited is drawn from 0 to that
  Milliseconds longest_pause{1000};
  Milliseconds longest_retry_after{5000};  // what a server may ask for
  int budget = 500;                        // tokens; a retry costs 5, a success gives 1 back
  int breaker_failures = 10;               // in a row
  Milliseconds breaker_pause{1000};        // how long it stays open
  std::size_t calls_at_once = 64;  // 3,200 a second from 20 ms away; connections, too, as each has one call
};

// How a thread waits; a test counts instead.
using Pause = std::function<void(Milliseconds)>;
Pause sleeping_pause();

class Deadline {
 public:
  Deadline(const Clock& clock, Milliseconds from_now) : clock_(&clock), at_(clock.boot_time() + from_now) {}
  Milliseconds left() const {
    const auto left = std::chrono::duration_cast<Milliseconds>(at_ - clock_->boot_time());
    return left > Milliseconds(0) ? left : Milliseconds(0);
  }
  bool passed() const { return left() == Milliseconds(0); }

 private:
  const Clock* clock_;
  BootTime at_;
};

// Full jitter: anything from nothing to first * 2^(retry - 1), at most the longest. `retry` counts from 1.
Milliseconds jittered_pause(const SurvivalLimits& limits, int retry);

// When everything fails, retries only make it worse: they stop when the budget is spent.
class RetryBudget {
 public:
  explicit RetryBudget(int tokens) : most_(tokens), tokens_(tokens) {}
  bool take();
  void give_back();

 private:
  static constexpr int kCost = 5;
  const int most_;
  Guarded<int> tokens_;
};

// Closed; open after so many failures in a row; then, after its pause, one call is let through to see.
class CircuitBreaker {
 public:
  CircuitBreaker(int failures, Milliseconds pause, const Clock& clock)
      : most_failures_(failures), pause_(pause), clock_(clock) {}

  // False while it is open. Whoever is let in reports how it went: exactly one of the two.
  bool admit();
  void succeeded();  // the KMS answered, if only to refuse or to throttle
  void failed();
  void abandoned();  // the call was not made after all
  bool is_open() const;

 private:
  struct State {
    int failures = 0;
    std::optional<BootTime> open_until;
    bool probing = false;
  };
  const int most_failures_;
  const Milliseconds pause_;
  const Clock& clock_;
  Guarded<State> state_;
};

// At most so many calls at once; the others wait for their turn, each until its deadline.
class Gate {
 public:
  explicit Gate(std::size_t places) : places_(places) {}

  class Place {
   public:
    explicit Place(Gate* gate) : gate_(gate) {}
    Place(Place&& other) noexcept : gate_(std::exchange(other.gate_, nullptr)) {}
    Place& operator=(Place&&) = delete;
    ~Place() {
      if (gate_ != nullptr) gate_->leave();
    }

   private:
    Gate* gate_;
  };
  std::optional<Place> enter(Milliseconds patience);

 private:
  void leave();
  std::mutex mutex_;
  std::condition_variable freed_;
  std::size_t places_;
};

}  // namespace kmsfs
