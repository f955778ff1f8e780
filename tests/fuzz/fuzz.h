// What the fuzz targets share. A target is a function of the bytes that it is given: it aborts when a promise
// is broken (what was read back differs, what was forged was accepted), and the sanitizers see to the rest.
//
// With the preset fuzz, libFuzzer drives the targets; in every other build replay.cc runs them once over
// their corpus, as tests.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>

#include "core/bytes.h"
#include "core/locked_memory.h"
#include "core/xaes.h"

// NOLINTNEXTLINE: the name is libFuzzer's
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace kmsfs::fuzz {

inline void require(bool holds, const char* promise) {
  if (holds) return;
  std::fprintf(stderr, "broken promise: %s\n", promise);
  std::abort();
}

// Once per process, before the first use of a key.
inline void start_cryptography() {
  static const bool started = [] {
    LockedMemory::Options options;
    options.allow_unlocked = true;
    return LockedMemory::start(options).ok() && start_crypto().ok();
  }();
  require(started, "locked memory and cryptography start");
}

inline ByteView view(const std::uint8_t* data, std::size_t size) {
  return std::as_bytes(std::span(data, size));
}

}  // namespace kmsfs::fuzz
