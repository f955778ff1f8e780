// A FuseTransport carries requests from the kernel to a libfuse session and replies back.
//
// libfuse decodes and encodes; the transport reads and writes, with threads and buffers of its own, and
// repairs what Debian 12's libfuse (protocol 7.31) cannot say: it amends INIT's reply, keeps the raw request
// within the handlers' reach, turns newer layouts into those that libfuse knows, and hands requests that
// libfuse does not know to UnknownRequests. A handler replies before it returns, on the thread that it was
// called on. Threads: start(), wait() by one thread; the others by any.
#pragma once

#include <sys/uio.h>

#include <array>
#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/bytes.h"
#include "core/log.h"
#include "core/unique_fd.h"
#include "fs/fuse_wire.h"

struct fuse_session;

namespace kmsfs {

struct SessionCloser {
  void operator()(fuse_session* session) const;
};
using Session = std::unique_ptr<fuse_session, SessionCloser>;

// The request that this thread is at work on, as the kernel sent it.
struct FuseRequest {
  const fuse_in_header* header = nullptr;
  ByteView body;                     // what follows the header
  bool tells_groups = false;         // kernel and we have agreed upon groups in requests
  std::uint32_t setxattr_flags = 0;  // FUSE_SETXATTR_..., which libfuse does not hand on
  ByteSpan
      reply_buffer;  // for large replies: as large as the largest request, page aligned, this thread's own

  // The fixed part of the body. nullptr if the body is shorter.
  template <typename T>
  const T* as() const {
    return body.size() < sizeof(T) ? nullptr : reinterpret_cast<const T*>(body.data());  // NOLINT
  }
  // In requests that make a name: the caller's supplementary groups, as far as they matter in that directory.
  // Nothing if the kernel does not tell (before 6.3).
  std::optional<std::vector<gid_t>> groups() const;
};

// Of the calling worker. Only inside a handler.
const FuseRequest& current_request();
// For transports, around each request.
void set_current_request(const FuseRequest* request);

// The answer to a request that libfuse does not know.
struct RawAnswer {
  int error = 0;  // a positive errno
  std::size_t size = 0;
  alignas(8) std::array<std::byte, sizeof(wire::StatxOut)> bytes{};

  template <typename T>
  static RawAnswer of(const T& reply) {
    RawAnswer answer;
    static_assert(sizeof(T) <= sizeof(answer.bytes));
    answer.size = sizeof(T);
    std::memcpy(answer.bytes.data(), &reply, sizeof(T));
    return answer;
  }
  static RawAnswer failed(int error_number) {
    RawAnswer answer;
    answer.error = error_number;
    return answer;
  }
};
class UnknownRequests {
 public:
  virtual ~UnknownRequests() = default;
  virtual RawAnswer answer(const FuseRequest& request) = 0;
  // The kernel did not take this answer (the program is gone): what it names must be given back.
  virtual void undelivered(const FuseRequest& request, const RawAnswer& answer) = 0;
};

struct FuseFigures {
  std::map<std::string, std::uint64_t> operations;  // by name
  std::map<std::string, std::uint64_t> errors;      // by errno's name
  std::vector<std::string> negotiated;              // names of INIT flags
};

class FuseTransport {
 public:
  virtual ~FuseTransport() = default;

  // Answers INIT, then serves. From here on programs can use the mount.
  virtual Result<void> start() = 0;
  // Until all workers have ended: the kernel ended the connection, or stop().
  virtual void wait() = 0;
  // The same for a while: false if workers still run.
  virtual bool wait_for(std::chrono::milliseconds time) = 0;
  // Workers end as soon as they have replied to what they are at work on; returns when they have.
  virtual void stop() = 0;
  // After wait(), and when no notify() is under way. What programs still hold is ENOTCONN from here on.
  virtual void close() = 0;

  // A notification: `code` of fuse_notify_code, then its payload. Blocks while the kernel works on it: never
  // from a handler.
  virtual Result<void> notify(int code, const std::vector<ByteView>& payload) = 0;

  virtual std::string name() const = 0;
  virtual FuseFigures figures() const = 0;
};

}  // namespace kmsfs
