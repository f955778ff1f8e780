// The FileSystem's own threads: one that runs queued work (calls into the kernel, which may wait for
// operations that they cause), one that ticks each second. Neither is ever waited for by an operation.
// Threads: add() any; stop() once, by the owner.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>

namespace kmsfs {

class Background {
 public:
  Background() = default;
  ~Background() { stop(); }
  Background(const Background&) = delete;
  Background& operator=(const Background&) = delete;

  // `tick`: each second; may be empty.
  void start(std::function<void()> tick);
  void add(std::function<void()> work);
  // Work not begun is dropped.
  void stop();
  void wait_until_idle();

 private:
  void run();
  void tick_each_second(const std::function<void()>& tick);

  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::function<void()>> work_;  // guarded by mutex_
  bool busy_ = false, stopping_ = false;    // guarded by mutex_
  std::thread worker_, ticker_;
};

}  // namespace kmsfs
