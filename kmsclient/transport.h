// The door to libcurl: one HTTP request, one reply.
//
// Always: the body of a reply is in locked memory from the callback on, and what libcurl allocates itself is
// wiped when it is freed; no redirect is followed; no proxy is used but the one that the environment names
// for the scheme (HTTPS_PROXY, HTTP_PROXY, NO_PROXY), and none where the call forbids it; certificates are
// verified. Connections are kept and used again. Start after the process's last fork and after
// start_crypto(). Threads: any, together; each call has a handle of its own.
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>

#include "core/bytes.h"
#include "kms/sensitive_bytes.h"
#include "kms/sigv4.h"

namespace kmsfs {

inline constexpr std::size_t kReplyLimit = std::size_t{1} << 20;

struct HttpCall {
  std::string method = "POST";
  std::string url;          // http:// or https://; whoever makes it has judged whether http is good enough
  std::string unix_socket;  // not empty: connect there instead
  std::string ca_bundle;    // a file; empty: the system's roots
  std::string proxy;        // empty: none
  std::string no_proxy;     // hosts that are reached without it
  std::span<const kms::OwnedHeader> headers;
  ByteView body;
  std::chrono::milliseconds deadline{2000};
};

struct HttpReply {
  int status = 0;
  kms::SensitiveBytes body;
  std::optional<std::chrono::milliseconds> retry_after;  // x-amz-retry-after
  std::string date;
  std::string error_type;  // x-amzn-errortype
};

// Why there is no reply.
struct TransportFailure {
  Error error;        // kUnavailable, or kNoMemory when locked memory is full
  bool retry = true;  // false: the next attempt would fail the same way
};

class Transport {
 public:
  Transport();
  ~Transport();
  Transport(const Transport&) = delete;
  Transport& operator=(const Transport&) = delete;

  // Either a reply, whatever its status, or the failure.
  std::variant<HttpReply, TransportFailure> send(const HttpCall& call);

 private:
  class Handle;
  class Handles;
  const std::unique_ptr<Handles> handles_;
};

}  // namespace kmsfs
