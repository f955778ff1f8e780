#include "cli/text.h"

#include <array>
#include <cstdio>

namespace kmsfs::cli {

std::string readable_size(std::uint64_t bytes) {
  constexpr std::array kUnits = {"KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
  std::string exact = std::to_string(bytes) + (bytes == 1 ? " byte" : " bytes");
  if (bytes < 1024) return exact;
  double value = static_cast<double>(bytes) / 1024;
  std::size_t unit = 0;
  while (value >= 1024 && unit + 1 < kUnits.size()) {
    value /= 1024;
    ++unit;
  }
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), "%.1f %s", value, kUnits[unit]);
  return std::string(text.data()) + " (" + exact + ")";
}

std::string readable_duration(std::int64_t seconds) {
  constexpr std::int64_t kMinute = 60, kHour = 60 * kMinute, kDay = 24 * kHour;
  std::string out;
  if (seconds >= kDay) out += std::to_string(seconds / kDay) + " d ";
  if (seconds >= kHour) out += std::to_string(seconds % kDay / kHour) + " h ";
  if (seconds >= kMinute) out += std::to_string(seconds % kHour / kMinute) + " min ";
  return out + std::to_string(seconds % kMinute) + " s";
}

}  // namespace kmsfs::cli
