#include "fs/file_system_background.h"

#include <chrono>

namespace kmsfs {

void Background::start(std::function<void()> tick) {
  worker_ = std::thread([this] { run(); });
  if (tick) ticker_ = std::thread([this, tick = std::move(tick)] { tick_each_second(tick); });
}

void Background::add(std::function<void()> work) {
  {
    std::lock_guard lock(mutex_);
    if (stopping_) return;
    work_.push_back(std::move(work));
  }
  changed_.notify_all();
}

void Background::run() {
  std::unique_lock lock(mutex_);
  for (;;) {
    changed_.wait(lock, [&] { return stopping_ || !work_.empty(); });
    if (stopping_) return;
    auto work = std::move(work_.front());
    work_.pop_front();
    busy_ = true;
    lock.unlock();
    work();
    work = nullptr;
    lock.lock();
    busy_ = false;
    changed_.notify_all();
  }
}

void Background::tick_each_second(const std::function<void()>& tick) {
  std::unique_lock lock(mutex_);
  while (!changed_.wait_for(lock, std::chrono::seconds(1), [&] { return stopping_; })) {
    lock.unlock();
    tick();
    lock.lock();
  }
}

void Background::wait_until_idle() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return stopping_ || (work_.empty() && !busy_); });
}

void Background::stop() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
    work_.clear();
  }
  changed_.notify_all();
  if (worker_.joinable()) worker_.join();
  if (ticker_.joinable()) ticker_.join();
}

}  // namespace kmsfs
