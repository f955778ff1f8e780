// A way to one service: requests signed, sent, and sent again where that helps.
//
// Always: one exchange ends within the operation's deadline; only transport errors, 5xx and throttling are
// tried again; errors name the endpoint and never hold what was sent. Threads: any, together.
#pragma once

#include <atomic>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/log.h"
#include "kmsclient/answers.h"
#include "kmsclient/credentials/credentials.h"
#include "kmsclient/endpoint.h"
#include "kmsclient/survival.h"
#include "kmsclient/transport.h"

namespace kmsfs {

// A request to a service of AWS's. Borrows.
struct ServiceRequest {
  std::string_view service;       // kms, sts: what it is signed for
  std::string_view region;        // likewise
  std::string_view content_type;  // application/x-amz-json-1.1
  std::string_view target;        // X-Amz-Target; empty: none
  ByteView body;
  Error (*error_of)(int status, std::string_view error_type, ByteView body) = &error_of_json;
};

// Sat, 28 Nov 2026 14:00:00 GMT
std::optional<WallTime> parse_http_date(const std::string& text);

class Channel {
 public:
  // `clock` must outlive it.
  Channel(Endpoint endpoint, std::shared_ptr<Transport> transport, const Clock& clock,
          const SurvivalLimits& limits, Pause pause);

  const Endpoint& endpoint() const { return endpoint_; }

  // `signer`: whose credentials sign; null: nobody's. The body of the reply, of a status 2xx.
  Result<kms::SensitiveBytes> exchange(const ServiceRequest& request, CredentialsHolder* signer,
                                       const Deadline& deadline);

 private:
  struct Attempt;
  Attempt attempt(const ServiceRequest& request, CredentialsHolder* signer, const Deadline& deadline);
  Attempt judge(const ServiceRequest& request, HttpReply reply);
  Result<std::vector<kms::OwnedHeader>> headers_of(const ServiceRequest& request,
                                                   const Credentials* credentials) const;
  bool correct_clock(const Error& error, const std::string& date);
  Error named(Error error) const;

  const Endpoint endpoint_;
  const std::shared_ptr<Transport> transport_;
  const Clock& clock_;
  const SurvivalLimits limits_;
  const Pause pause_;
  RetryBudget budget_;
  CircuitBreaker breaker_;
  Gate gate_;
  std::atomic<std::int64_t> clock_offset_ns_{0};  // what the service's clock is ahead of ours
};

}  // namespace kmsfs
