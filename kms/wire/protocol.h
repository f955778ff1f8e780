// The KMS as an HTTP server sees it: one request in, one answer out.
//
// GET /health says 200 and nothing else. POST / is a call of the KMS (X-Amz-Target: TrentService.NAME, AWS
// JSON 1.1) or of STS (a form: AssumeRole, GetCallerIdentity). Whoever calls over TCP signs (SigV4); over a
// unix socket an unsigned request is by the peer's principal, a signed one by whoever signed it.
//
// Always: nothing of an unauthenticated request reaches the service or the audit log; its refusals are
// counted and logged, at most one line in ten seconds. An answer has a request id, the same as in the audit
// record. Threads: any, together; a call blocks on the disk.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/bytes.h"
#include "core/clock.h"
#include "core/log.h"
#include "kms/canonical_request.h"
#include "kms/sigv4.h"
#include "kms/wire/body.h"

namespace kmsfs::kms {

class Service;

// For the server: what it need not read further than this.
inline constexpr std::size_t kHttpBodyLimit =
    std::size_t{96} * 1024;  // a policy of 32 KiB, escaped, and slack
inline constexpr std::size_t kHttpHeaderLimit =
    std::size_t{16} * 1024;  // all headers; session tokens have up to 4 KiB

// Borrows everything, until handle() returns.
struct HttpRequest {
  std::string_view method;
  std::string_view target;              // as on the request line
  std::span<const HttpHeader> headers;  // in the order received
  ByteView body;
};

struct Peer {
  bool unix_socket = false;
  // Of a unix socket: the ARN that the store maps the peer's uid to; empty if it maps it to none.
  std::string principal;
  std::uint32_t uid = 0;  // of a unix socket
  std::string source_ip;  // of TCP
  bool tls = false;
};

// The server adds Content-Length and Connection, and nothing that identifies it.
struct HttpAnswer {
  int status = 200;
  std::vector<OwnedHeader> headers;
  Body body;
};

class Protocol {
 public:
  // All must outlive it.
  Protocol(Service& service, const Clock& clock, Logger logger);
  ~Protocol();
  Protocol(const Protocol&) = delete;
  Protocol& operator=(const Protocol&) = delete;

  HttpAnswer handle(const HttpRequest& request, const Peer& peer);

  std::uint64_t unauthenticated_requests() const;  // refused since the start

 private:
  struct State;
  const std::unique_ptr<State> state_;
};

// What a server answers while its store is sealed: health, and to all else KMSInternalException, 500.
HttpAnswer answer_while_sealed(const HttpRequest& request, const Clock& clock);
// For what the server itself refuses: a body or header too large, a request that is no HTTP.
HttpAnswer answer_with_error(int status, std::string_view code, std::string_view message, const Clock& clock);

}  // namespace kmsfs::kms
