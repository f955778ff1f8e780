#include "fs/new_file_keys.h"

#include <algorithm>
#include <optional>
#include <system_error>

namespace kmsfs {

NewFileKeys::NewFileKeys(const VolumeParameters& volume, KeyCache& keys, const Clock& clock)
    : volume_(volume), keys_(keys), clock_(clock) {}

NewFileKeys::~NewFileKeys() { stop(); }

void NewFileKeys::stop() {
  std::vector<std::thread> askers;
  std::deque<Kept> kept;
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
    askers.swap(askers_);
    kept.swap(kept_);
  }
  changed_.notify_all();
  for (auto& asker : askers) asker.join();
}

Result<NewFileKeys::Key> NewFileKeys::take() {
  if (auto kept = take_kept()) return std::move(*kept);
  const BootTime began = clock_.boot_time();
  auto key = ask();
  if (key && clock_.boot_time() - began >= kSlow) {
    std::lock_guard lock(mutex_);
    want_more();
  }
  return key;
}

Result<NewFileKeys::Key> NewFileKeys::ask() {
  const FileId id = FileId::random();
  auto key = keys_.generate(volume_.allowed_keys.front(), volume_.suite, file_context(volume_.id, id));
  if (!key) return std::move(key).error();
  return Key{id, std::move(*key)};
}

std::optional<NewFileKeys::Key> NewFileKeys::take_kept() {
  for (;;) {
    std::optional<Kept> next;  // dies without the lock
    {
      std::lock_guard lock(mutex_);
      if (kept_.empty()) return std::nullopt;
      next.emplace(std::move(kept_.front()));
      kept_.pop_front();
      ++taken_;
    }
    changed_.notify_one();
    const bool fresh = clock_.boot_time() - next->since < kKeptFor;
    if (fresh && next->key.data_key.handle.check()) return std::move(next->key);
  }
}

// A create() had to wait: twice as many ahead.
void NewFileKeys::want_more() {
  if (stopping_) return;
  wanted_ = std::min(std::max(wanted_ * 2, kAskers), kMost);
  try {
    while (askers_.size() < kAskers) askers_.emplace_back([this] { ask_ahead(); });
  } catch (const std::system_error&) {
    // With fewer threads it goes slower, and with none as without this class.
  }
  changed_.notify_all();
}

void NewFileKeys::ask_ahead() {
  std::unique_lock lock(mutex_);
  for (;;) {
    changed_.wait(lock, [this] { return stopping_ || kept_.size() + asked_for_ < wanted_; });
    if (stopping_) return;
    ++asked_for_;
    lock.unlock();
    auto key = ask();
    lock.lock();
    --asked_for_;
    if (!key) {
      wanted_ = 0;  // whoever makes a file hears why
    } else if (!stopping_ && kept_.size() < wanted_) {
      kept_.push_back({std::move(*key), clock_.boot_time()});
    }
  }
}

void NewFileKeys::maintain() {
  std::deque<Kept> gone;  // declared first, so that it dies without the lock
  std::lock_guard lock(mutex_);
  if (std::exchange(taken_, 0) == 0) wanted_ /= 2;
  const BootTime now = clock_.boot_time();
  while (!kept_.empty() && (kept_.size() > wanted_ || now - kept_.front().since >= kKeptFor)) {
    gone.push_back(std::move(kept_.front()));
    kept_.pop_front();
  }
}

}  // namespace kmsfs
