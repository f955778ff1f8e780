// Threads that do what blocks: a request in the store, a passphrase through Argon2id.
//
// Always: at most `longest_queue` jobs wait; one more is refused. stop() drops what has not begun and waits
// for what has. Threads: submit() any; the rest for the owner.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace kmsfs::kms {

class WorkerPool {
 public:
  using Job = std::function<void()>;

  WorkerPool(std::size_t threads, std::size_t longest_queue);
  ~WorkerPool() { stop(); }
  WorkerPool(const WorkerPool&) = delete;
  WorkerPool& operator=(const WorkerPool&) = delete;

  bool submit(Job job);  // false: too many wait, or the pool has stopped
  void stop();

 private:
  void work();

  const std::size_t longest_queue_;
  std::mutex mutex_;  // guards the next two
  std::deque<Job> jobs_;
  bool stopped_ = false;
  std::condition_variable changed_;
  std::vector<std::thread> threads_;
};

}  // namespace kmsfs::kms
