#include "fs/fuse_ring_worker.h"

#include <sys/prctl.h>

#include <cerrno>
#include <cstring>
#include <utility>

namespace kmsfs {
namespace {

constexpr unsigned kSmallAgain = 8;  // so many small ones in a row are another kind of work

}  // namespace

RingWorker::RingWorker(FuseConnection& connection)
    : FuseHandler(connection), RequestWaiting(connection.interrupts) {}

void RingWorker::begin_thread(std::optional<std::uint16_t> queue) {
  // Writing out for the kernel must not wait for memory that the kernel frees by writing out through us.
  ::prctl(PR_SET_IO_FLUSHER, 1, 0, 0, 0);
  Waiting::of_this_thread() = this;
  queue_ = queue;
  affinity_.emplace();
  if (queue_) affinity_->keep_to(*queue_);
}

void RingWorker::serve(RingEntry& entry) {
  const ByteSpan request = entry.request();
  entry_ = &entry;
  replied_ = waited_ = looked_for_signals_ = false;
  if (!request.empty()) {
    go_where_work_is(request);
    handle(request.data(), request.size(), entry.payload());
  }
  if (!replied_) entry.set_failed(EIO);  // nothing that comes over a ring goes without an answer
  entry_ = nullptr;
}

void RingWorker::go_where_work_is(ByteView request) {
  const bool large = is_large(request);
  small_ones_ = large ? 0 : small_ones_ + 1;
  if (large) affinity_->let_go();
  if (queue_ && small_ones_ >= kSmallAgain) affinity_->keep_to(*queue_);
}

ssize_t RingWorker::send(iovec* parts, int count) {
  if (replied_) {
    errno = EINVAL;
    return -1;
  }
  const ssize_t size = entry_->set_reply(parts, count);
  replied_ = size >= 0;
  return size;
}

// The kernel forgets to tell of a signal that came after it gave the request to an entry and before the
// entry's thread took it. That signal is still pending.
std::stop_token RingWorker::interruption() {
  std::stop_token token = RequestWaiting::interruption();
  const fuse_in_header& request = *current_request().header;
  if (!std::exchange(looked_for_signals_, true) && signal_came(static_cast<pid_t>(request.pid)))
    connection_.interrupts.interrupt(request.unique);
  return token;
}

}  // namespace kmsfs
