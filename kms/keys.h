// Keys and aliases in the store: making, changing, rotating and ending them.
//
// Always: a key, its indexes, materials, aliases and grants change in one transaction of the caller's.
// Threads: as the transaction.
#pragma once

#include <map>
#include <string>

#include "kms/engine.h"

namespace kmsfs::kms {

KeyDescription describe(const LoadedKey& key);

// The unique id of the user or role that an ARN means (of a session: its role's); nothing if there is none.
Result<std::optional<std::string>> identity_of(Engine& engine, const Transaction& transaction,
                                               std::string_view arn);
// The users, roles and sessions that a policy names, with their unique ids; MalformedPolicyDocumentException
// if one does not exist.
Result<std::map<std::string, std::string>> bound_principals(Engine& engine, const Transaction& transaction,
                                                            const Policy& policy);

struct NewKey {
  std::string account;
  std::string description;
  KeyManager manager = KeyManager::kCustomer;
  std::string policy;
  std::map<std::string, std::string> principals;
  Tags tags = {};
};
// A key with fresh material, for `account`.
Result<LoadedKey> make_key(Engine& engine, WriteTransaction& transaction, NewKey key);

// Writes the record, new or changed, and when it is due.
Result<void> write_key(WriteTransaction& transaction, const KeyRecord& record);

// New material for what is encrypted from now on; what was encrypted before still opens. An automatic
// rotation sets the next one.
Result<void> rotate(Engine& engine, WriteTransaction& transaction, KeyRecord& record, MaterialOrigin origin);

// Everything of it: materials, aliases, grants, tags.
Result<void> delete_key(WriteTransaction& transaction, const KeyRecord& record);

// AlreadyExistsException, LimitExceededException (50 per key).
Result<void> add_alias(Engine& engine, WriteTransaction& transaction, const LoadedKey& key,
                       const std::string& alias, std::optional<std::int64_t> created_ms = {});
Result<void> remove_alias(WriteTransaction& transaction, const LoadedKey& key, const std::string& alias);

// Deletes or rotates the key, if that is due, and records it as the KMS's own doing.
Result<void> settle_due(Engine& engine, const KeyId& id);
// All that is due, oldest first.
Result<void> settle_all_due(Engine& engine);
// The key that is due first, if one is due by now.
Result<std::optional<KeyId>> first_due(const Engine& engine, const Transaction& transaction);

}  // namespace kmsfs::kms
