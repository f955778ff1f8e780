// Which files of a directory will be opened next, judged by those that were.
//
// Files have positions in some order (of a listing, of names). Who opens several that follow one another in
// it is taken to go on: that is a stream, and what lies ahead of it is wanted, the more the longer it goes
// on. Several programs may follow the order at once, together or each from another position; who takes the
// next one from a common queue opens it a little earlier or later than its turn. Opens in no order want
// nothing. Threads: one at a time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace kmsfs {

class OpenPattern {
 public:
  static constexpr std::size_t kStreams = 32;
  static constexpr std::size_t kSeveral = 3;     // opens in a row that make a stream
  static constexpr std::size_t kNear = 3;        // positions that a beginning stream may be off
  static constexpr std::size_t kNearLater = 24;  // ... and one that has gone on for a while
  static constexpr std::size_t kLater = 8;
  static constexpr std::size_t kFirstWindow = 8;
  static constexpr std::size_t kLargestWindow = 128;

  struct Range {
    std::size_t first = 0, end = 0;
    std::size_t size() const { return end - first; }
  };

  // That file is opened now. Which others should be asked for; often none, because that was said before.
  Range opened(std::size_t position);
  // What was said last was followed only so far.
  void stopped_at(std::size_t position);
  bool follows() const { return follows_; }  // the last one opened belongs to a stream
  std::size_t window() const { return last_ < streams_.size() ? streams_[last_].window : kFirstWindow; }
  // The first file opened, if it is one of the first in order, begins a stream at once: whoever opens it
  // followed the order elsewhere so far.
  void trust(std::size_t window) { trusted_window_ = window; }

 private:
  struct Stream {
    std::size_t next = 0;   // one after the last that was opened
    std::size_t asked = 0;  // one after the last that was asked for
    std::size_t length = 1;
    std::size_t window = kFirstWindow;
    std::uint64_t used = 0;
  };
  Stream& stream_at(std::size_t position);

  std::vector<Stream> streams_;
  std::size_t last_ = 0;  // of streams_
  std::size_t trusted_window_ = 0;
  std::uint64_t uses_ = 0;
  bool follows_ = false;
};

}  // namespace kmsfs
