// A Gate lets threads in for short work on what may be taken away, and lets whoever takes it away wait until
// they are out. It is for what a lock would hold for too long, and takes four bytes.
//
// Always: when close() returns nobody is inside, and nobody comes in before open(). A gate begins closed.
// Threads: enter() by any, and it never waits; open() and close() by one at a time, which the owner sees to.
#pragma once

#include <atomic>
#include <cstdint>

namespace kmsfs {

class Gate {
 public:
  // Whoever came in leaves when this is destroyed.
  class Visit {
   public:
    explicit operator bool() const { return gate_ != nullptr; }
    ~Visit() {
      if (gate_ != nullptr) gate_->leave();
    }
    Visit(const Visit&) = delete;
    Visit& operator=(const Visit&) = delete;

   private:
    friend class Gate;
    explicit Visit(Gate* gate) : gate_(gate) {}
    Gate* const gate_;
  };

  // False if the gate is closed.
  Visit enter() {
    if ((state_.fetch_add(1, std::memory_order_acquire) & kClosed) == 0) return Visit(this);
    leave();
    return Visit(nullptr);
  }
  void open() { state_.fetch_and(~kClosed, std::memory_order_release); }
  void close() {
    auto state = state_.fetch_or(kClosed, std::memory_order_acq_rel) | kClosed;
    while (state != kClosed) {
      state_.wait(state, std::memory_order_acquire);
      state = state_.load(std::memory_order_acquire);
    }
  }

 private:
  static constexpr std::uint32_t kClosed = 1U << 31;

  void leave() {
    if (state_.fetch_sub(1, std::memory_order_release) == kClosed + 1) state_.notify_all();
  }

  std::atomic<std::uint32_t> state_{kClosed};  // and how many are inside, or at the door
};

}  // namespace kmsfs
