// What the store keeps of accounts, users, groups, roles and access keys, typed.
//
// Written and read as kms/records.h says. Always: parsing checks every member; a damaged record is
// kUnavailable and never half a record. Threads: plain values; parsed records are shared const.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/bytes.h"
#include "kms/decision/decision.h"

namespace kmsfs::kms {

enum class EntityKind : std::uint8_t { kUser, kGroup, kRole };

struct IdentityPolicy {
  std::string name;
  std::string document;
};

// A role's: who may assume it.
struct RoleFacts {
  std::string trust_policy;                       // as it was put
  std::map<std::string, std::string> principals;  // named in it: ARN → unique id when it was put
  std::string description;
  std::int64_t max_session_seconds = 3600;
};

struct PrincipalRecord {  // a user, a group or a role
  EntityKind kind = EntityKind::kUser;
  std::string account;
  std::string name;
  std::string unique_id;  // AIDA…, AGPA…, AROA…: another one after deletion and creation
  std::int64_t created_ms = 0;
  std::vector<IdentityPolicy> policies;  // inline
  std::string boundary;                  // permissions boundary, a document; empty: none
  Tags tags;
  std::vector<std::string> groups;       // names; users only
  std::vector<std::string> access_keys;  // ids; users only
  RoleFacts role;                        // roles only
};

struct AccountRecord {
  std::int64_t created_ms = 0;
  std::vector<std::string> access_keys;  // ids, of the account's root
};

struct AccessKeyRecord {
  std::string principal;  // ARN of a user or of an account's root
  bool active = true;
  std::int64_t created_ms = 0;
  Bytes sealed_secret;
};

// As the decision needs them: documents parsed, facts laid out. Made once per generation.
struct LoadedPrincipal {
  PrincipalRecord record;
  Caller caller;  // of a role: what its sessions have in common
  std::vector<NamedPolicy> policies;
  std::optional<NamedPolicy> boundary;
  std::optional<Policy> trust;  // roles
};

Bytes write_record(const PrincipalRecord& record);
Bytes write_record(const AccountRecord& record);
Bytes write_record(const AccessKeyRecord& record);

Result<PrincipalRecord> parse_principal_record(ByteView stored);
Result<AccountRecord> parse_account_record(ByteView stored);
Result<AccessKeyRecord> parse_access_key_record(ByteView stored);

Result<LoadedPrincipal> load_principal(PrincipalRecord record);

std::string entity_arn(EntityKind kind, std::string_view account, std::string_view name);

}  // namespace kmsfs::kms
