// Counters of requests and replies: one set per worker, so that counting costs no shared cache line.
// Threads: count_*() by one thread; add_to() by any.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>

#include "fs/fuse_transport.h"

namespace kmsfs {

class alignas(64) FuseCounters {
 public:
  void count_request(std::uint32_t opcode) { increment(requests_[opcode < wire::kOpcodes ? opcode : 0]); }
  void count_error(int error_number) {
    const auto index = static_cast<std::size_t>(error_number);
    increment(errors_[index < kErrors ? index : 0]);
  }
  void add_to(FuseFigures& figures) const;

 private:
  static constexpr std::size_t kErrors = 134;  // Linux's highest errno is 133
  using Counter = std::atomic<std::uint64_t>;
  // The only writer is the owner: no locked instruction needed.
  static void increment(Counter& counter) {
    counter.store(counter.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
  }

  std::array<Counter, wire::kOpcodes> requests_{};
  std::array<Counter, kErrors> errors_{};
};

}  // namespace kmsfs
