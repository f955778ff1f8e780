// Threads that ask the KMS on behalf of those who wait for its answer: a wait can end before the answer
// comes, and an answer can be asked for before anybody waits. Private to keycache/.
//
// Always: a question that somebody waits for finds a thread before one that is asked ahead, and those ahead
// never take all threads. Threads are started as they are needed. Threads: any, together; stop() by the
// owner.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace kmsfs::keycache {

class Askers {
 public:
  static constexpr std::size_t kMost = 64;       // questions under way: 3,200 a second from 20 ms away
  static constexpr std::size_t kMostAhead = 48;  // of them without anybody waiting
  static constexpr std::size_t kQueuedAhead = 256;

  Askers() = default;
  ~Askers() { stop(); }
  Askers(const Askers&) = delete;
  Askers& operator=(const Askers&) = delete;

  // False: there is no thread to be had; the caller asks itself.
  bool ask(std::function<void()> question);
  // False: enough is asked for ahead already.
  bool ask_ahead(std::function<void()> question);
  // Waits for questions under way; those not begun are dropped.
  void stop();

 private:
  using Questions = std::deque<std::function<void()>>;
  void run();
  bool find_thread();  // under mutex_
  bool may_begin_ahead() const { return !ahead_.empty() && ahead_at_work_ < kMostAhead; }

  std::mutex mutex_;
  std::condition_variable changed_;
  // Guarded by mutex_.
  Questions waited_for_, ahead_;
  std::size_t idle_ = 0, ahead_at_work_ = 0;
  bool stopping_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace kmsfs::keycache
