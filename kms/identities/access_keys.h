// Access keys: what a user, or the root of an account, signs requests with.
//
// An access key is an id (AKIA and 16 more) and a secret of 40 characters of the base64 alphabet. The secret
// is shown once, when it is made; the store keeps it sealed under a key derived from the root key, and bound
// to its id and owner. Always: at most two per owner; a secret exists outside of its seal in locked memory
// only. Threads: any, as the transaction.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "core/secret.h"
#include "kms/engine.h"

namespace kmsfs::kms {

// 40 characters; of access keys and of sessions.
using SecretAccessKey = Secret<40, struct SecretAccessKeyTag>;
Result<SecretAccessKey> new_secret_access_key();

// A prefix of four letters and `size` more of A to Z and 2 to 7.
std::string new_unique_id(std::string_view prefix, std::size_t size);

struct AccessKey {
  std::string principal;  // ARN of a user or of an account's root
  bool active = true;     // a request signed with an inactive one is refused
  SecretAccessKey secret;
};
// Nothing: there is no such key.
Result<std::optional<AccessKey>> find_access_key(const Engine& engine, const Transaction& transaction,
                                                 std::string_view access_key_id);

}  // namespace kmsfs::kms
