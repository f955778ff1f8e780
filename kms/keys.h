// Making keys and aliases in the store: what CreateKey, CreateAlias and the store's administration have in
// common.
//
// Always: key, index, material and alias entries are written in one transaction of the caller's.
// Threads: as the transaction.
#pragma once

#include <map>
#include <string>

#include "kms/engine.h"

namespace kmsfs::kms {

KeyDescription describe(const LoadedKey& key);

// The users that a policy names, with their unique ids; MalformedPolicyDocumentException if one does not
// exist.
Result<std::map<std::string, std::string>> bound_principals(Engine& engine, const Transaction& transaction,
                                                            const Policy& policy);

struct NewKey {
  std::string account;
  std::string description;
  KeyManager manager = KeyManager::kCustomer;
  std::string policy;
  std::map<std::string, std::string> principals;
};
// A key with fresh material, for `account`; not written yet is only its record, which the caller may look at
// first.
Result<LoadedKey> make_key(Engine& engine, WriteTransaction& transaction, NewKey key);

Result<void> write_key(WriteTransaction& transaction, const KeyRecord& record);

// AlreadyExistsException, LimitExceededException (50 per key).
Result<void> add_alias(Engine& engine, WriteTransaction& transaction, const LoadedKey& key,
                       const std::string& alias);

}  // namespace kmsfs::kms
