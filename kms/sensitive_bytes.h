// Bytes of a length known only at run time, in locked memory: plain texts on their way out of the KMS.
//
// As Secret: it moves, is never copied, cannot be printed, and is wiped when it dies. Threads: as a const
// array.
#pragma once

#include <cstddef>
#include <span>
#include <utility>

#include "core/locked_memory.h"
#include "core/result.h"

namespace kmsfs::kms {

class SensitiveBytes {
 public:
  // Zeros, to be filled. kNoMemory when locked memory is full.
  static Result<SensitiveBytes> make(std::size_t size) {
    void* memory = LockedMemory::allocate(size == 0 ? 1 : size);
    if (memory == nullptr) return error(Kind::kNoMemory, "locked memory is full; raise RLIMIT_MEMLOCK");
    return SensitiveBytes(static_cast<std::byte*>(memory), size);
  }

  SensitiveBytes(SensitiveBytes&& other) noexcept
      : memory_(std::exchange(other.memory_, nullptr)), size_(std::exchange(other.size_, 0)) {}
  SensitiveBytes& operator=(SensitiveBytes&& other) noexcept {
    std::swap(memory_, other.memory_);
    std::swap(size_, other.size_);
    return *this;
  }
  SensitiveBytes(const SensitiveBytes&) = delete;
  SensitiveBytes& operator=(const SensitiveBytes&) = delete;
  ~SensitiveBytes() { LockedMemory::release(memory_); }

  std::size_t size() const { return size_; }
  std::span<const std::byte> reveal() const { return {memory_, size_}; }
  std::span<std::byte> fill() { return {memory_, size_}; }

 private:
  SensitiveBytes(std::byte* memory, std::size_t size) : memory_(memory), size_(size) {}
  std::byte* memory_;
  std::size_t size_;
};

}  // namespace kmsfs::kms
