#include "keycache/askers.h"

#include <pthread.h>

#include <system_error>
#include <utility>

namespace kmsfs::keycache {

bool Askers::ask(std::function<void()> question) {
  {
    std::lock_guard lock(mutex_);
    if (stopping_ || !find_thread()) return false;
    waited_for_.push_back(std::move(question));
  }
  changed_.notify_one();
  return true;
}

bool Askers::ask_ahead(std::function<void()> question) {
  {
    std::lock_guard lock(mutex_);
    if (stopping_ || ahead_.size() >= kQueuedAhead || !find_thread()) return false;
    ahead_.push_back(std::move(question));
  }
  changed_.notify_one();
  return true;
}

// One that is idle, a new one, or (when there are as many as there may be) one that will be idle.
bool Askers::find_thread() {
  if (idle_ > waited_for_.size() + ahead_.size() || threads_.size() >= kMost) return true;
  try {
    threads_.emplace_back([this] { run(); });
    ::pthread_setname_np(threads_.back().native_handle(), "kmsfs-asker");
  } catch (const std::system_error&) {
    return !threads_.empty();
  }
  return true;
}

void Askers::run() {
  std::unique_lock lock(mutex_);
  for (;;) {
    ++idle_;
    changed_.wait(lock, [this] { return stopping_ || !waited_for_.empty() || may_begin_ahead(); });
    --idle_;
    if (stopping_) return;
    const bool ahead = waited_for_.empty();
    Questions& from = ahead ? ahead_ : waited_for_;
    std::function<void()> question = std::move(from.front());
    from.pop_front();
    ahead_at_work_ += ahead ? 1 : 0;
    lock.unlock();
    question();
    question = nullptr;
    lock.lock();
    ahead_at_work_ -= ahead ? 1 : 0;
  }
}

void Askers::stop() {
  std::vector<std::thread> threads;
  Questions waited_for, ahead;  // what they hold dies without the lock
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
    threads.swap(threads_);
    waited_for.swap(waited_for_);
    ahead.swap(ahead_);
  }
  changed_.notify_all();
  for (auto& thread : threads) thread.join();
}

}  // namespace kmsfs::keycache
