// Data that can be reached only through its lock.
//
//   Guarded<Table> table_;
//   table_.with([&](Table& table) { ... });
//
// Never call a KMS, reply to the kernel, or wait for another thread inside with().
#pragma once

#include <mutex>
#include <shared_mutex>
#include <utility>

namespace kmsfs {

template <typename T>
class Guarded {
 public:
  template <typename... Args>
  explicit Guarded(Args&&... args) : value_(std::forward<Args>(args)...) {}
  Guarded(const Guarded&) = delete;
  Guarded& operator=(const Guarded&) = delete;

  template <typename F>
  decltype(auto) with(F&& use) {
    std::lock_guard lock(mutex_);
    return std::forward<F>(use)(value_);
  }
  template <typename F>
  decltype(auto) with(F&& use) const {
    std::lock_guard lock(mutex_);
    return std::forward<F>(use)(value_);
  }

 private:
  mutable std::mutex mutex_;
  T value_;
};

// As Guarded, for data read far more often than changed: read() may run together with read().
template <typename T>
class SharedGuarded {
 public:
  template <typename... Args>
  explicit SharedGuarded(Args&&... args) : value_(std::forward<Args>(args)...) {}
  SharedGuarded(const SharedGuarded&) = delete;
  SharedGuarded& operator=(const SharedGuarded&) = delete;

  template <typename F>
  decltype(auto) read(F&& use) const {
    std::shared_lock lock(mutex_);
    return std::forward<F>(use)(value_);
  }
  template <typename F>
  decltype(auto) write(F&& use) {
    std::lock_guard lock(mutex_);
    return std::forward<F>(use)(value_);
  }

 private:
  mutable std::shared_mutex mutex_;
  T value_;
};

}  // namespace kmsfs
