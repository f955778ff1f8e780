#include "fs/open_pattern.h"

#include <algorithm>

namespace kmsfs {

OpenPattern::Stream& OpenPattern::stream_at(std::size_t position) {
  for (Stream& stream : streams_) {
    const std::size_t near = stream.length < kLater ? kNear : kNearLater;
    if (position + near < stream.next || position > stream.next + near) continue;
    ++stream.length;
    return stream;
  }
  if (streams_.empty() && trusted_window_ != 0 && position <= kNearLater) {
    Stream& trusted = streams_.emplace_back();
    trusted.length = kSeveral;
    trusted.window = trusted_window_;
    return trusted;
  }
  if (streams_.size() < kStreams) return streams_.emplace_back();
  auto oldest = std::min_element(streams_.begin(), streams_.end(),
                                 [](const Stream& a, const Stream& b) { return a.used < b.used; });
  return *oldest = Stream();
}

OpenPattern::Range OpenPattern::opened(std::size_t position) {
  Stream& stream = stream_at(position);
  last_ = static_cast<std::size_t>(&stream - streams_.data());
  stream.used = ++uses_;
  stream.next = std::max(stream.next, position + 1);
  stream.asked = std::max(stream.asked, stream.next);
  follows_ = stream.length >= kSeveral;
  // Half a window ahead is enough for now: few, large steps.
  if (!follows_ || stream.asked - stream.next > stream.window / 2) return {};
  const Range range{stream.asked, stream.next + stream.window};
  stream.asked = range.end;
  stream.window = std::min(stream.window * 2, kLargestWindow);
  return range;
}

void OpenPattern::stopped_at(std::size_t position) {
  if (last_ < streams_.size()) streams_[last_].asked = position;
}

}  // namespace kmsfs
