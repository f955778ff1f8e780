// The process's locked memory: the arena in which every key byte lives, and nothing else of the process does.
//
// Always: memory handed out is 64-byte aligned, zero, never swapped, never in a core file, and (mode secret)
// not even readable by root through /proc or ptrace. It is wiped before it is handed back. Book-keeping lives
// outside it. Full means full: allocate() says nullptr, nothing ever spills to the ordinary heap. One per
// process, like malloc: start() once in main, before threads and before the first secret; never after that
// may the process fork (a child made anyway finds the arena absent or zero).
// Threads: any, after start().
#pragma once

#include <cstddef>
#include <string_view>

#include "core/result.h"

namespace kmsfs {

class LockedMemory {
 public:
  enum class Mode { kSecret, kLocked, kUnlocked };  // memfd_secret(2); mlock(2); neither (tests only)
  struct Options {
    bool allow_secret = true;
    bool allow_locked = true;
    bool allow_unlocked = false;
    std::size_t capacity = 0;  // bytes; 0: what RLIMIT_MEMLOCK gives, within reason
  };
  struct Usage {
    std::size_t capacity = 0;  // bytes that may be in use at once
    std::size_t mapped = 0;    // bytes mapped so far
    std::size_t used = 0;      // bytes handed out
  };

  // kUnsupported, with a text that says what to change, where no allowed mode works.
  static Result<void> start(const Options& options);
  static Mode mode();
  static Usage usage();

  // Size classes 64 B, 256 B, 1 KiB, 2 KiB, 4 KiB, then whole pages up to 1 MiB. nullptr when full or not
  // started.
  static void* allocate(std::size_t size) noexcept;
  // Wipes, then frees. nullptr is fine; anything else must have come from allocate().
  static void release(void* memory) noexcept;
  static bool contains(const void* memory) noexcept;
  static std::size_t size_of(const void* memory) noexcept;  // the size class of an allocation
  // Where it stands in the arena, in bytes: names a slot without giving its address away.
  static std::size_t position_of(const void* memory) noexcept;
};

std::string_view to_string(LockedMemory::Mode mode);

}  // namespace kmsfs
