#include "core/clock.h"

#include <ctime>

namespace kmsfs {

namespace {

std::chrono::nanoseconds now(clockid_t id) {
  timespec time{};
  ::clock_gettime(id, &time);
  return std::chrono::seconds(time.tv_sec) + std::chrono::nanoseconds(time.tv_nsec);
}

}  // namespace

BootTime SystemClock::boot_time() const { return now(CLOCK_BOOTTIME); }
WallTime SystemClock::wall_time() const { return now(CLOCK_REALTIME); }

}  // namespace kmsfs
