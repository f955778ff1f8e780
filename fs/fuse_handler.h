// A FuseHandler has requests handled, one after the other, by libfuse or by UnknownRequests, and sends what
// they answer. Transports derive from it: they know where requests come from and where replies go.
//
// Threads: handle() by one thread at a time; counters may be read by any.
#pragma once

#include <sys/uio.h>

#include "core/waiting.h"
#include "fs/fuse_figures.h"
#include "fs/fuse_init.h"
#include "fs/fuse_interrupts.h"
#include "fs/fuse_transport.h"

namespace kmsfs {

// What all handlers of a mount share. `choices` are made before INIT; `negotiated` is set by whoever handles
// INIT, before others run.
struct FuseConnection {
  FuseConnection(Session libfuse, UnknownRequests& others, InitChoices wanted, Logger log)
      : session(std::move(libfuse)), unknown(others), choices(wanted), logger(std::move(log)) {}

  Session session;
  UnknownRequests& unknown;
  InitChoices choices;
  const Logger logger;
  std::uint64_t negotiated = 0;
  FuseInterrupts interrupts;
};

// A thread of a transport that waits for something slow while it handles a request: what ends the wait is an
// interruption of that request. Threads: the one that waits.
class RequestWaiting : public Waiting {
 public:
  explicit RequestWaiting(FuseInterrupts& interrupts) : interrupts_(interrupts) {}
  void begin() final;
  void end() final;
  std::stop_token interruption() override;
  bool signalled() final;

 private:
  // Of waits that nest, the outermost begins and has ended.
  virtual void wait_begins() = 0;
  virtual void wait_has_ended() {}

  FuseInterrupts& interrupts_;
  int depth_ = 0;
};

// A transport's own memory: page aligned, left out of core files (plain text passes through).
class FuseBuffer {
 public:
  static Result<FuseBuffer> make(std::size_t size);
  FuseBuffer(FuseBuffer&& other) noexcept;
  FuseBuffer& operator=(FuseBuffer&&) = delete;
  ~FuseBuffer();
  std::byte* data() const { return data_; }
  ByteSpan span() const { return {data_, size_}; }
  void give_back() const;  // to the system; zeros from now on

 private:
  FuseBuffer(std::byte* data, std::size_t size) : data_(data), size_(size) {}
  std::byte* data_;
  std::size_t size_;
};

class FuseHandler {
 public:
  // libfuse's ways out and in. Threads that handle no request (notifications) write as they are.
  static ssize_t write_out(int fd, iovec* parts, int count, void*);
  static ssize_t read_in(int fd, void* buffer, std::size_t size, void*);

  FuseCounters counters;

 protected:
  explicit FuseHandler(FuseConnection& connection) : connection_(connection) {}
  virtual ~FuseHandler() = default;

  // The request of `size` bytes at `at`, which may be moved a little towards its end. The reply is sent when
  // this returns, if the request wants one.
  void handle(std::byte* at, std::size_t size, ByteSpan reply_buffer);
  // Does the request, or its reply, carry so much that handling it takes far longer than changing threads?
  static bool is_large(ByteView request);
  // Of the last request that was handled.
  std::uint32_t last_opcode() const { return opcode_; }

  FuseConnection& connection_;

 private:
  // As writev(2): a fuse_out_header, then what follows it.
  virtual ssize_t send(iovec* parts, int count) = 0;
  ssize_t reply(iovec* parts, int count);
  std::size_t narrow_setxattr(std::byte* at, std::size_t size);
  void dispatch(std::byte* at, std::size_t size);
  bool may_be_made() const;
  void answer_unknown();
  bool send_raw(RawAnswer answer);  // false: not delivered
  void amend_init_reply(iovec& body) const;

  FuseRequest request_;
  std::uint32_t opcode_ = 0;
};

}  // namespace kmsfs
