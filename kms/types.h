// What every KMS knows: encryption contexts, key descriptions, identifiers.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "core/bytes.h"

namespace kmsfs {

// Name-value pairs that a wrap is bound to; compared as an exact set, case-sensitive, and written to audit
// logs in clear: ids belong in it, names never.
using EncryptionContext = std::map<std::string, std::string>;

enum class KeyState { kEnabled, kDisabled, kPendingDeletion };
enum class KeyManager { kCustomer, kService };  // service-managed keys can be neither shared nor re-policied

struct KeyDescription {
  std::string arn;      // arn:aws:kms:REGION:ACCOUNT:key/UUID
  std::string key_id;   // UUID
  std::string account;  // 12 digits
  std::string description;
  KeyState state = KeyState::kEnabled;
  KeyManager manager = KeyManager::kCustomer;
  std::int64_t created_ms = 0;                   // since the epoch
  std::string key_material_id = {};              // what encrypts now: 64 hexadecimal digits
  std::optional<std::int64_t> deletion_ms = {};  // only while deletion is pending
};

}  // namespace kmsfs
