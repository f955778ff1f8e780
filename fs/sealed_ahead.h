// Whole blocks of a write that were sealed before it, in a buffer of the thread that did so: of worth for its
// next write only, and only if that writes the same bytes to the same place. Threads: the one that sealed.
#pragma once

#include <cstddef>
#include <cstdint>

namespace kmsfs {

struct SealedAhead {
  std::uint64_t offset = 0;  // of the write
  std::size_t size = 0;      // of what it writes; 0: nothing is sealed
  std::uint64_t use = 0;     // of the thread's buffer
};

}  // namespace kmsfs
