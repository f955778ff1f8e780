// An Affinity says which processor the thread that it belongs to keeps to. Threads: that one, which makes it.
#pragma once

#include <sched.h>

#include <optional>

namespace kmsfs {

class Affinity {
 public:
  Affinity() { ::sched_getaffinity(0, sizeof anywhere_, &anywhere_); }

  // A processor that is switched off, or not for us: then anywhere.
  void keep_to(int processor) {
    if (kept_to_ == processor) return;
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(processor, &one);
    ::sched_setaffinity(0, sizeof one, &one);
    kept_to_ = processor;
  }
  void let_go() {
    if (kept_to_) ::sched_setaffinity(0, sizeof anywhere_, &anywhere_);
    kept_to_.reset();
  }
  bool is_kept() const { return kept_to_.has_value(); }

  // Of two: the one that is not `processor`.
  int other_than(int processor) const {
    for (int other = 0; other < CPU_SETSIZE; ++other) {
      if (other != processor && CPU_ISSET(other, &anywhere_)) return other;
    }
    return processor;
  }

 private:
  cpu_set_t anywhere_{};
  std::optional<int> kept_to_;
};

}  // namespace kmsfs
