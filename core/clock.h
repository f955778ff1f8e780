// The seam of time. Production code takes a Clock; tests give a ManualClock.
// Threads: any.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>

namespace kmsfs {

// Time since boot, suspend included (CLOCK_BOOTTIME): what deadlines are measured in.
using BootTime = std::chrono::nanoseconds;
// Time since the epoch, for records that people read.
using WallTime = std::chrono::nanoseconds;

class Clock {
 public:
  virtual ~Clock() = default;
  virtual BootTime boot_time() const = 0;
  virtual WallTime wall_time() const = 0;
};

class SystemClock final : public Clock {
 public:
  BootTime boot_time() const override;
  WallTime wall_time() const override;
};

// Stands still until told otherwise.
class ManualClock final : public Clock {
 public:
  BootTime boot_time() const override { return BootTime(boot_.load()); }
  WallTime wall_time() const override { return WallTime(wall_.load()); }
  void advance(std::chrono::nanoseconds by) {
    boot_ += by.count();
    wall_ += by.count();
  }
  void set_wall_time(WallTime now) { wall_ = now.count(); }

 private:
  std::atomic<std::int64_t> boot_{1'000'000'000};
  std::atomic<std::int64_t> wall_{1'700'000'000'000'000'000};
};

}  // namespace kmsfs
