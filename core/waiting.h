// A thread that serves others says when it waits for something slow, so that whoever runs it can let another
// thread serve meanwhile, and can end the wait when nobody is left to be served.
//
// A server registers a Waiting for each of its threads; code that may wait long (for a KMS in the network,
// for a lock) puts a LongWait around the wait and need not know who runs it. On other threads a LongWait does
// nothing. Who waits in a LongWait ends when its interruption() is asked to stop, with interrupted().
// Threads: of_this_thread() is per thread; begin(), interruption() and end() are called on that thread, in
// pairs that may nest.
#pragma once

#include <cerrno>
#include <stop_token>

#include "core/result.h"

namespace kmsfs {

class Waiting {
 public:
  virtual ~Waiting() = default;
  virtual void begin() = 0;
  virtual void end() = 0;
  // Between begin() and end(): a signal came for whoever is served, or nobody is any more.
  virtual bool signalled() { return false; }
  // Between begin() and end(): asked to stop when whoever is served has gone, or wants to go.
  virtual std::stop_token interruption() { return {}; }

  // nullptr: this thread serves nobody.
  static Waiting*& of_this_thread() {
    static thread_local Waiting* current = nullptr;
    return current;
  }
};

class LongWait {
 public:
  LongWait() : waiting_(Waiting::of_this_thread()) {
    if (waiting_ != nullptr) waiting_->begin();
  }
  ~LongWait() {
    if (waiting_ != nullptr) waiting_->end();
  }
  LongWait(const LongWait&) = delete;
  LongWait& operator=(const LongWait&) = delete;

  // For waits that any signal ends (EINTR), such as that for a lock; looked at from time to time.
  bool signalled() const { return waiting_ != nullptr && waiting_->signalled(); }

  // std::condition_variable_any waits for it, a std::stop_callback hears of it. Never asked to stop on
  // threads that serve nobody.
  std::stop_token interruption() const {
    return waiting_ != nullptr ? waiting_->interruption() : std::stop_token();
  }
  static Error interrupted() { return Error::from_errno(EINTR, "the program that waited has gone"); }

 private:
  Waiting* const waiting_;
};

}  // namespace kmsfs
