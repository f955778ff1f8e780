// Accounts, users, groups and roles in the store: what all operations on them have in common.
//
// Always: a principal is of an account that is there; its name is well-formed and taken once per kind and
// account; its unique id was never used before. Threads: as the transaction.
#pragma once

#include <optional>
#include <string>

#include "kms/engine.h"
#include "kms/identities/identity_records.h"

namespace kmsfs::kms {

// How a kind is called in texts ("user") and in names of operations and members ("User").
struct KindFacts {
  const char* word;
  const char* title;
  const char* unique_id_prefix;
  const char* cloud_type;  // AWS::IAM::User
  std::size_t longest_name;
  std::size_t policy_room;  // of all inline policies together, in characters that are no white space
};
const KindFacts& facts_of(EntityKind kind);

bool is_entity_name(std::string_view text, std::size_t longest);  // letters, digits and +=,.@_-

// Errors: InvalidInput, EntityAlreadyExists. No account given: one of 12 random digits.
Result<std::string> add_account(Engine& engine, WriteTransaction& transaction,
                                const std::optional<std::string>& wish = {});
// NoSuchEntity.
Result<AccountRecord> require_account(const Transaction& transaction, const std::string& account);

// `wish` says what it shall be; its unique id and time are made here. ValidationError, NoSuchEntity (the
// account), EntityAlreadyExists.
Result<PrincipalRecord> add_principal(Engine& engine, WriteTransaction& transaction, PrincipalRecord wish);
// NoSuchEntity.
Result<std::shared_ptr<const LoadedPrincipal>> require_principal(Engine& engine,
                                                                 const Transaction& transaction,
                                                                 EntityKind kind, const std::string& account,
                                                                 const std::string& name);
Result<void> write_principal(WriteTransaction& transaction, const PrincipalRecord& record);
std::string arn_of(const PrincipalRecord& record);

// Parsed, so well-formed, and with IAM's code if it is not.
Result<Policy> parse_identity_document(const std::string& document, PolicyUse use);

}  // namespace kmsfs::kms
