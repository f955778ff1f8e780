// Waits for SIGTERM, SIGINT and SIGHUP in a thread of its own and calls `action` there.
//
// block_signals() comes before the first thread, so that no other thread ever runs a handler: a frame of one
// could hold key bytes.
#pragma once

#include <atomic>
#include <functional>
#include <thread>

namespace kmsfs::cli {

void block_signals();  // those three, for this thread and all it starts; SIGPIPE is ignored

class SignalThread {
 public:
  explicit SignalThread(std::function<void(int signal)> action);
  ~SignalThread();  // waits for an action under way

 private:
  std::function<void(int)> action_;
  std::atomic<bool> done_{false};
  std::thread thread_;
};

}  // namespace kmsfs::cli
