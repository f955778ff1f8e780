// How session tokens are written.
//
//   base64 of: version 1 | XAES-256-GCM (core/xaes.h) of
//     secret access key 40 | issued 8 | expires 8 | account | role | role's unique id | session | policy
//
// Texts are a length of 2 bytes and that many bytes. AAD = "kmsfs kms session token 1/" ‖ access key id.
// Always: every token that was not made here for this access key id gets the same answer. Threads: any.
#pragma once

#include <string>
#include <string_view>

#include "core/xaes.h"
#include "kms/session.h"

namespace kmsfs::kms {

Result<std::string> seal_session_token(const Xaes256Gcm& seal, const SessionFacts& facts,
                                       const SecretAccessKey& secret);

struct OpenedToken {
  SessionFacts facts;  // parsed_policy included
  SecretAccessKey secret;
};
// UnrecognizedClientException. Says nothing about whether the session is still good.
Result<OpenedToken> open_session_token(const Xaes256Gcm& seal, std::string_view access_key_id,
                                       std::string_view token);

Error invalid_token();

}  // namespace kmsfs::kms
