// A FuseWorker takes one request after the other from its descriptor of /dev/fuse, has it handled, and
// replies on the descriptor that it came in on, as the kernel demands.
//
// Always: descriptor and buffers are this worker's own, so that workers do not wait for each other; buffers
// are made once and left out of core files (plain text passes through). Threads: serve_one() by one thread at
// a time; counters may be read by any.
#pragma once

#include "core/unique_fd.h"
#include "fs/fuse_handler.h"
#include "fs/leader_followers.h"

namespace kmsfs {

class FuseWorker final : public FuseHandler, public RequestSource {
 public:
  // `device`: the mount's; the worker clones it.
  static Result<std::unique_ptr<FuseWorker>> make(FuseConnection& connection, int device);

  // Reads a request: its size. 0: none that is still wanted, or a signal came. Blocks until do_not_block().
  // kUnavailable: the connection has ended.
  Result<std::size_t> take() override;
  bool has_request() override;
  bool took_much() const override { return took_much_; }
  bool wait_for_request(int or_this) override;
  void do_not_block() const;
  // Has the request handled that was taken.
  void serve(std::size_t size);

  // Did the last request only tell what the kernel does not remember any more?
  bool forgot() const { return last_opcode() == FUSE_FORGET || last_opcode() == FUSE_BATCH_FORGET; }
  void give_back_buffers() const;
  void close() { device_.reset(); }

 private:
  FuseWorker(FuseConnection& connection, UniqueFd device, FuseBuffer request, FuseBuffer reply);
  ssize_t send(iovec* parts, int count) override;
  std::byte* request() const;

  UniqueFd device_;
  const FuseBuffer request_memory_, reply_memory_;
  bool took_much_ = false;
};

}  // namespace kmsfs
