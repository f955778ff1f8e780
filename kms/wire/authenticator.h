// Who sends a request: the peer of a unix socket, or whoever signed it.
//
// Always: a request that carries a signature, or parts of one, is judged by it, wherever it comes from. Steps
// and refusals are in AWS's order: the claim is read, its access key looked up, scope, clock and signed
// headers checked, then the signature. Derived signing keys are kept in locked memory, only of requests that
// were genuine; the access key is looked up for each request, so one that is made inactive counts at once.
// Threads: any, together.
#pragma once

#include <map>
#include <memory>
#include <string>

#include "core/clock.h"
#include "core/guarded.h"
#include "kms/requests.h"
#include "kms/wire/protocol.h"

namespace kmsfs::kms {

class Engine;

class Authenticator {
 public:
  Authenticator(Engine& engine, const Clock& clock) : engine_(engine), clock_(clock) {}

  // `service`: kms or sts. kDenied with the AWS code; kUnavailable where the store fails.
  Result<Invocation> authenticate(const HttpRequest& request, const Peer& peer, std::string_view service);

 private:
  Result<void> verify_signature(const HttpRequest& request, std::string_view service, Invocation& from);
  std::shared_ptr<const SigningKey> kept_key(const std::string& name);
  void keep_key(const std::string& name, std::shared_ptr<const SigningKey> key);

  Engine& engine_;
  const Clock& clock_;
  // Access key id and scope → key.
  Guarded<std::map<std::string, std::shared_ptr<const SigningKey>>> keys_;
};

}  // namespace kmsfs::kms
