// A RingWorker is one thread's share in a FuseRing: it has the request of one entry after the other handled.
//
// Always: it keeps to the processor of its queue, so that a program that waits and its worker need no
// interrupt between processors; while requests are large it goes where there is time, as the program is then
// busy with what it got before. Threads: serve() by one thread at a time, between which there may be others.
#pragma once

#include "fs/affinity.h"
#include "fs/fuse_handler.h"
#include "fs/fuse_ring_entry.h"

namespace kmsfs {

class RingWorker final : public FuseHandler, public RequestWaiting {
 public:
  explicit RingWorker(FuseConnection& connection);

  // On a thread that works from here on, for this queue if it is for one.
  void begin_thread(std::optional<std::uint16_t> queue);
  // Has the entry's request handled and leaves the reply in the entry.
  void serve(RingEntry& entry);
  // Did the last request wait for something slow?
  bool waited() const { return waited_; }
  // Or did it go to where there is time?
  bool keeps_to_processor() const { return affinity_ && affinity_->is_kept(); }

  std::stop_token interruption() override;

 private:
  void wait_begins() override { waited_ = true; }
  ssize_t send(iovec* parts, int count) override;
  void go_where_work_is(ByteView request);

  RingEntry* entry_ = nullptr;  // while a request is being handled
  std::optional<Affinity> affinity_;
  std::optional<std::uint16_t> queue_;
  bool replied_ = false, waited_ = false, looked_for_signals_ = false;
  unsigned small_ones_ = 0;  // requests since the last large one
};

}  // namespace kmsfs
