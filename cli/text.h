// Numbers as people read them. Threads: pure functions.
#pragma once

#include <cstdint>
#include <string>

namespace kmsfs::cli {

std::string readable_size(std::uint64_t bytes);       // "812 bytes", "1.5 MiB (1572864 bytes)"
std::string readable_duration(std::int64_t seconds);  // "2 d 3 h 4 min 5 s"

}  // namespace kmsfs::cli
