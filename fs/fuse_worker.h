// A FuseWorker takes one request after the other from its descriptor of /dev/fuse, has it handled, and
// replies on the descriptor that it came in on, as the kernel demands.
//
// Always: descriptor and buffers are this worker's own, so that workers do not wait for each other; buffers
// are made once and left out of core files (plain text passes through). Threads: serve_one() by one thread at
// a time; counters may be read by any.
#pragma once

#include <sys/uio.h>

#include <atomic>

#include "fs/fuse_figures.h"
#include "fs/fuse_init.h"
#include "fs/fuse_transport.h"

namespace kmsfs {

// What all workers of a mount share. `negotiated` is set by whoever handles INIT, before other workers run.
struct FuseConnection {
  FuseConnection(Session libfuse, UnknownRequests& others, InitChoices wanted, Logger log)
      : session(std::move(libfuse)), unknown(others), choices(wanted), logger(std::move(log)) {}

  Session session;
  UnknownRequests& unknown;
  const InitChoices choices;
  const Logger logger;
  std::uint64_t negotiated = 0;
};

class FuseWorker {
 public:
  // Memory of our own, page aligned.
  class Buffer {
   public:
    static Result<Buffer> make(std::size_t size);
    Buffer(Buffer&& other) noexcept;
    Buffer& operator=(Buffer&&) = delete;
    ~Buffer();
    std::byte* data() const { return data_; }
    ByteSpan span() const { return {data_, size_}; }
    void give_back() const;  // to the system; zeros from now on

   private:
    Buffer(std::byte* data, std::size_t size) : data_(data), size_(size) {}
    std::byte* data_;
    std::size_t size_;
  };

  // `device`: the mount's; the worker clones it.
  static Result<std::unique_ptr<FuseWorker>> make(FuseConnection& connection, int device);

  // Reads one request and has it handled. kUnavailable: the connection has ended.
  Result<void> serve_one();
  void give_back_buffers() const;
  void close() { device_.reset(); }

  // libfuse's ways out and in. Threads that are no workers (notifications) write as they are.
  static ssize_t write_out(int fd, iovec* parts, int count, void*);
  static ssize_t read_in(int fd, void* buffer, std::size_t size, void*);

  FuseCounters counters;

 private:
  FuseWorker(FuseConnection& connection, UniqueFd device, Buffer request, Buffer reply);
  void handle(std::byte* at, std::size_t size);
  std::size_t narrow_setxattr(std::byte* at, std::size_t size);
  void answer_unknown();
  void amend_init_reply(iovec& body) const;
  ssize_t reply(iovec* parts, int count);

  FuseConnection& connection_;
  UniqueFd device_;
  const Buffer request_memory_, reply_memory_;
  FuseRequest request_;
};

}  // namespace kmsfs
