// The operations of the KMS as a table: what differs between them, beside what each one does.
// Threads: constant.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

namespace kmsfs::kms {

enum class Operation : std::uint8_t {
  kCreateKey,
  kDescribeKey,
  kListKeys,
  kCreateAlias,
  kUpdateAlias,
  kDeleteAlias,
  kListAliases,
  kGetKeyPolicy,
  kPutKeyPolicy,
  kListKeyPolicies,
  kEnableKey,
  kDisableKey,
  kScheduleKeyDeletion,
  kCancelKeyDeletion,
  kEnableKeyRotation,
  kDisableKeyRotation,
  kGetKeyRotationStatus,
  kRotateKeyOnDemand,
  kListKeyRotations,
  kGenerateDataKey,
  kGenerateDataKeyWithoutPlaintext,
  kEncrypt,
  kDecrypt,
  kReEncrypt,
  kGenerateRandom,
  kCreateGrant,
  kListGrants,
  kRevokeGrant,
  kRetireGrant,
  kListRetirableGrants,
  kTagResource,
  kUntagResource,
  kListResourceTags,
  kUpdateKeyDescription,
};

enum class StateRule : std::uint8_t {
  kAny,
  kEnabled,             // the key is used
  kNotPendingDeletion,  // the key is managed
  kPendingDeletion,     // its deletion is called off
};

enum class NameRule : std::uint8_t {
  kIdOrArn,
  kAliasToo,
};

struct OperationFacts {
  std::string_view name;    // as in the audit log and in X-Amz-Target
  std::string_view action;  // as in policies; ReEncrypt is two
  bool changes = false;     // the store; then its record is in the same transaction
  NameRule names = NameRule::kIdOrArn;
  StateRule states = StateRule::kAny;
  bool manages = false;  // or shares the key: never a service-managed one
};

const OperationFacts& facts_of(Operation operation);
// In the order of Operation.
std::span<const OperationFacts> all_operations();
std::optional<Operation> operation_named(std::string_view name);

}  // namespace kmsfs::kms
