// The KMS for everybody: unix socket, HTTP and HTTPS.
//
// Whoever comes over a unix socket is the principal that the store maps the peer's uid to, as it says at that
// moment. Threads: any.
#pragma once

#include "kms/server/request_handler.h"
#include "kms/server/store_gate.h"

namespace kmsfs::kms {

class ApiHandler final : public RequestHandler {
 public:
  ApiHandler(const StoreGate& gate, const Clock& clock, Logger logger)
      : gate_(gate), clock_(clock), logger_(std::move(logger)) {}
  HttpAnswer handle(const HttpRequest& request, const Client& client) override;
  HttpAnswer refuse(const Refusal& refusal) override {
    return answer_with_error(refusal.status, refusal.code, refusal.message, clock_);
  }

 private:
  const StoreGate& gate_;
  const Clock& clock_;
  const Logger logger_;
};

}  // namespace kmsfs::kms
