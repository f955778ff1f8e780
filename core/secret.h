// A key is a type, not bytes.
//
// A Secret<N, Tag> owns N bytes of locked memory. It moves, is never copied, cannot be printed or compared,
// and is wiped when it dies. reveal() is the one way out: reviewers search for it. Threads: a Secret is as
// safe to share as a const array; filling it is for its owner alone.
#pragma once

#include <cstddef>
#include <cstring>
#include <span>
#include <utility>

#include "core/locked_memory.h"
#include "core/random.h"
#include "core/result.h"

namespace kmsfs {

template <std::size_t N, typename Tag = void>
class Secret {
 public:
  static constexpr std::size_t kSize = N;

  // Zeros, to be filled through fill(). kNoMemory when locked memory is full.
  static Result<Secret> make() {
    void* memory = LockedMemory::allocate(N);
    if (memory == nullptr) return error(Kind::kNoMemory, "locked memory is full; raise RLIMIT_MEMLOCK");
    return Secret(static_cast<std::byte*>(memory));
  }
  static Result<Secret> random() {
    auto secret = make();
    if (secret) random_bytes(secret->fill());
    return secret;
  }
  static Result<Secret> copy_of(std::span<const std::byte, N> bytes) {
    auto secret = make();
    if (secret) std::memcpy(secret->fill().data(), bytes.data(), N);
    return secret;
  }

  Secret(Secret&& other) noexcept : memory_(std::exchange(other.memory_, nullptr)) {}
  Secret& operator=(Secret&& other) noexcept {
    if (this != &other) {
      LockedMemory::release(memory_);
      memory_ = std::exchange(other.memory_, nullptr);
    }
    return *this;
  }
  Secret(const Secret&) = delete;
  Secret& operator=(const Secret&) = delete;
  ~Secret() { LockedMemory::release(memory_); }

  std::span<const std::byte, N> reveal() const { return std::span<const std::byte, N>(memory_, N); }
  std::span<std::byte, N> fill() { return std::span<std::byte, N>(memory_, N); }

 private:
  explicit Secret(std::byte* memory) : memory_(memory) {}
  std::byte* memory_;
};

using DataKey = Secret<32, struct DataKeyTag>;        // one file's, a branch's or the volume's
using ContentKey = Secret<32, struct ContentKeyTag>;  // HKDF of a data key: seals blocks
using MacKey = Secret<32, struct MacKeyTag>;          // HKDF of a data key: HMAC-SHA256

}  // namespace kmsfs
