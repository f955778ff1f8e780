// A thread that serves others says when it waits for something slow, so that whoever runs it can let another
// thread serve meanwhile.
//
// A server registers a Waiting for each of its threads; code that may wait long (for a KMS in the network)
// puts a LongWait around the wait and need not know who runs it. On other threads a LongWait does nothing.
// Threads: of_this_thread() is per thread; begin() and end() are called on that thread, in pairs that may
// nest.
#pragma once

namespace kmsfs {

class Waiting {
 public:
  virtual ~Waiting() = default;
  virtual void begin() = 0;
  virtual void end() = 0;

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

 private:
  Waiting* const waiting_;
};

}  // namespace kmsfs
