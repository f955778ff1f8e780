#include "kms/wire/authenticator.h"

#include <utility>

#include "kms/engine.h"
#include "kms/errors.h"
#include "kms/session.h"

namespace kmsfs::kms {

namespace {

constexpr std::size_t kKeptKeys = 4096;  // 64 bytes of locked memory each
constexpr std::size_t kUserAgentLimit = 512;
constexpr std::string_view kGlobalRegion = "us-east-1";

bool has_header(const HttpRequest& request, std::string_view name) {
  return !header_values(request.headers, name).empty();
}

Result<std::string> principal_of_peer(const HttpRequest& request, const Peer& peer) {
  if (has_header(request, "x-amz-security-token")) {
    return answer(Kind::kDenied, "MissingAuthenticationTokenException",
                  "Request is missing Authentication Token: it has a session token, but no Authorization.");
  }
  if (peer.principal.empty()) {
    const std::string uid = std::to_string(peer.uid);
    return answer(Kind::kDenied, "UnrecognizedClientException",
                  "No user of the KMS is known for uid " + uid +
                      ". The owner of the store can map it: kmsfs kms map-uid --uid " + uid +
                      " --user-name NAME --account-id ACCOUNT");
  }
  return peer.principal;
}

}  // namespace

Result<Invocation> Authenticator::authenticate(const HttpRequest& request, const Peer& peer,
                                               std::string_view service) {
  Invocation from;
  from.source_ip = peer.source_ip;
  from.secure_transport = peer.tls;
  from.user_agent = single_header(request.headers, "user-agent").substr(0, kUserAgentLimit);
  if (request.target.find("X-Amz-Signature=") != std::string_view::npos) {
    return answer(Kind::kDenied, "IncompleteSignatureException",
                  "Signatures in the query are not accepted; sign with an Authorization header.");
  }
  if (peer.unix_socket && !has_header(request, "authorization")) {
    auto principal = principal_of_peer(request, peer);
    if (!principal) return std::move(principal).error();
    from.principal = std::move(*principal);
    return from;
  }
  KMSFS_TRY(verify_signature(request, service, from));
  return from;
}

Result<void> Authenticator::verify_signature(const HttpRequest& request, std::string_view service,
                                             Invocation& from) {
  const SignableRequest signable{request.method, request.target, request.headers};
  auto claim = read_claim(signable);
  if (!claim) return std::move(claim).error();
  auto credential = find_credential(engine_, claim->access_key_id, claim->security_token);
  if (!credential) return std::move(credential).error();
  // Some clients sign for the global endpoint of STS.
  const bool global = service == "sts" && claim->scope.region == kGlobalRegion;
  const std::string_view region = global ? kGlobalRegion : std::string_view(engine_.region());
  KMSFS_TRY(check_claim(*claim, signable, region, service, clock_.wall_time()));

  const std::string name = claim->access_key_id + "/" + claim->scope.text();
  auto key = kept_key(name);
  const bool known = key != nullptr;
  if (!known) {
    auto derived = derive_signing_key(credential->secret.reveal(), claim->scope);
    if (!derived) return internal_failure(std::move(derived).error());
    key = std::make_shared<const SigningKey>(std::move(*derived));
  }
  KMSFS_TRY(check_signature(*claim, signable, request.body, *key));
  if (!known) keep_key(name, std::move(key));
  from.principal = std::move(credential->principal);
  from.session = std::move(credential->session);
  from.access_key_id = std::move(claim->access_key_id);
  return {};
}

std::shared_ptr<const SigningKey> Authenticator::kept_key(const std::string& name) {
  return keys_.with([&](auto& keys) {
    const auto found = keys.find(name);
    return found == keys.end() ? nullptr : found->second;
  });
}

void Authenticator::keep_key(const std::string& name, std::shared_ptr<const SigningKey> key) {
  keys_.with([&](auto& keys) {
    // Full of keys that are mostly of days gone by: those in use come back at once.
    if (keys.size() >= kKeptKeys) keys.clear();
    keys.insert_or_assign(name, std::move(key));
  });
}

}  // namespace kmsfs::kms
