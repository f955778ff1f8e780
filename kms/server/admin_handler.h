// DIR/admin.sock: the store's owner and root administer the KMS while it is served.
//
// POST / with `X-Amz-Target: KmsfsAdmin.NAME`, JSON in and out. NAME is an operation of
// kms/identities/administration_call.h, or one of the server itself:
//
//   SealStatus               → {"Sealed": true or false, "Store": DIR, "Version": "…"}
//   Unseal                   the body is the passphrase itself, not JSON, so that it stays in locked memory
//                            (a newline at its end does not count; empty for a store with a key file)
//   Seal                     → as SealStatus
//   Backup {"Directory": D}  → {"Directory": D}; D is absolute, and made
//   ReloadTls                → {}
//
// An error is {"__type": CODE, "message": TEXT}: 400 what the caller can change, 403 another uid, 500 the
// rest (sealed, too: KMSInternalException). Always: only root and the server's own uid are heard
// (SO_PEERCRED), whatever the socket's mode has become. Threads: any.
#pragma once

#include "kms/server/request_handler.h"
#include "kms/server/store_gate.h"
#include "kms/server/tls.h"

namespace kmsfs::kms {

class AdminHandler final : public RequestHandler {
 public:
  // `certificate`: null if the server speaks no TLS.
  AdminHandler(StoreGate& gate, TlsCertificate* certificate, const Clock& clock, Logger logger)
      : gate_(gate), certificate_(certificate), clock_(clock), logger_(std::move(logger)) {}
  HttpAnswer handle(const HttpRequest& request, const Client& client) override;
  HttpAnswer refuse(const Refusal& refusal) override {
    return answer_with_error(refusal.status, refusal.code, refusal.message, clock_);
  }

 private:
  Result<Body> call(std::string_view operation, ByteView body, uid_t by);
  Result<Body> unseal(ByteView passphrase, uid_t by);
  Result<void> record(std::string_view event, uid_t by);
  Result<Body> back_up(ByteView json, uid_t by);
  Body seal_status() const;

  StoreGate& gate_;
  TlsCertificate* const certificate_;
  const Clock& clock_;
  const Logger logger_;
};

}  // namespace kmsfs::kms
