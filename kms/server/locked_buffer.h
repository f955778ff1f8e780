// The bytes of a request on their way in: locked memory, of which connections together get a share only, so
// that clients who send nothing but beginnings cannot take it from the keys.
//
// Threads: a budget any; a buffer its owner's.
#pragma once

#include <atomic>
#include <cstring>
#include <optional>
#include <utility>

#include "kms/sensitive_bytes.h"

namespace kmsfs::kms {

class MemoryBudget {
 public:
  explicit MemoryBudget(std::size_t bytes) : left_(static_cast<std::ptrdiff_t>(bytes)) {}
  bool take(std::size_t bytes) {
    if (left_.fetch_sub(static_cast<std::ptrdiff_t>(bytes)) >= static_cast<std::ptrdiff_t>(bytes))
      return true;
    give_back(bytes);
    return false;
  }
  void give_back(std::size_t bytes) { left_.fetch_add(static_cast<std::ptrdiff_t>(bytes)); }

 private:
  std::atomic<std::ptrdiff_t> left_;
};

class LockedBuffer {
 public:
  explicit LockedBuffer(MemoryBudget& budget) : budget_(budget) {}
  ~LockedBuffer() { budget_.give_back(capacity()); }
  LockedBuffer(const LockedBuffer&) = delete;
  LockedBuffer& operator=(const LockedBuffer&) = delete;

  std::size_t capacity() const { return memory_ ? memory_->size() : 0; }
  std::size_t used() const { return used_; }
  std::span<const std::byte> reveal() const {
    return memory_ ? memory_->reveal().first(used_) : std::span<const std::byte>();
  }
  std::span<std::byte> room() { return memory_ ? memory_->fill().subspan(used_) : std::span<std::byte>(); }
  void added(std::size_t bytes) { used_ += bytes; }

  // False when the budget, or locked memory, is used up; then nothing has changed.
  bool grow_to(std::size_t wanted) {
    if (wanted <= capacity()) return true;
    const std::size_t had = capacity();
    if (!budget_.take(wanted)) return false;
    auto grown = SensitiveBytes::make(wanted);
    if (!grown) {
      budget_.give_back(wanted);
      return false;
    }
    if (used_ != 0) std::memcpy(grown->fill().data(), memory_->reveal().data(), used_);
    memory_.emplace(std::move(*grown));
    budget_.give_back(had);
    return true;
  }
  // Forgets the first bytes.
  void drop_front(std::size_t bytes) {
    used_ -= bytes;
    if (used_ != 0) std::memmove(memory_->fill().data(), memory_->fill().data() + bytes, used_);
  }

 private:
  MemoryBudget& budget_;
  std::optional<SensitiveBytes> memory_;
  std::size_t used_ = 0;
};

}  // namespace kmsfs::kms
