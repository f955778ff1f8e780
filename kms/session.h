// Sessions of roles: temporary credentials whose token carries everything, so that nothing is stored.
//
// A session token is sealed under a key derived from the store's root key, and holds what SessionFacts says
// and the session's secret access key. Always: a token opens only with its access key id, until it expires,
// and as long as the role of that unique id exists; whatever else is wrong with one, the answer is the same
// UnrecognizedClientException. Errors of a token are kDenied. Threads: any, together.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "kms/identities/access_keys.h"
#include "kms/requests.h"

namespace kmsfs::kms {

struct SessionFacts {
  std::string account;
  std::string role_name;
  std::string role_unique_id;  // AROA…
  std::string session_name;
  std::string access_key_id;  // ASIA…
  std::int64_t issued_ms = 0;
  std::int64_t expires_ms = 0;
  std::string policy;  // the session policy, as it was given; empty: none
  std::shared_ptr<const Policy> parsed_policy;

  std::string arn() const;       // arn:aws:sts::ACCOUNT:assumed-role/ROLE/SESSION
  std::string role_arn() const;  // arn:aws:iam::ACCOUNT:role/ROLE
};

// What signs requests of a session, as AssumeRole gives it out.
struct Session {
  std::shared_ptr<const SessionFacts> facts;  // access key id, expiry, ARN
  SecretAccessKey secret;
  std::string token;                // base64
  std::string assumed_role_id;      // AROA…:SESSION
  std::int64_t packed_percent = 0;  // how much of the room for a session policy is used
};

struct AssumeRoleRequest {
  std::string role_arn = {};
  std::string session_name = {};                      // 2 to 64 of letters, digits and +=,.@_-
  std::optional<std::int64_t> duration_seconds = {};  // 900 to the role's limit; none: 3600
  std::string policy = {};                            // session policy, a document; empty: none
  std::string external_id = {};                       // for conditions on sts:ExternalId
};
Result<Session> assume_role(Engine& engine, const Invocation& from, const AssumeRoleRequest& request);

struct CallerIdentityReply {
  std::string account;
  std::string arn;
  std::string user_id;  // AIDA…, AROA…:SESSION, or the account of a root
};
Result<CallerIdentityReply> get_caller_identity(Engine& engine, const Invocation& from);

// What a request is signed with, found by what stands in it. The principal and the session go into the
// Invocation once the signature has been verified with the secret.
struct Credential {
  std::string principal;                        // ARN
  std::shared_ptr<const SessionFacts> session;  // null: of a long-term access key
  SecretAccessKey secret;
};
// `session_token`: empty where the request has none. Errors, all kDenied: UnrecognizedClientException for an
// unknown or inactive access key, for a token that is missing or no good, and for one that was not asked for;
// ExpiredTokenException.
Result<Credential> find_credential(Engine& engine, std::string_view access_key_id,
                                   std::string_view session_token);

}  // namespace kmsfs::kms
