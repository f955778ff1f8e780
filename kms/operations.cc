#include "kms/operations.h"

#include <algorithm>
#include <array>

namespace kmsfs::kms {

namespace {

constexpr bool kChanges = true, kReads = false, kManages = true;
constexpr NameRule kIdOrArn = NameRule::kIdOrArn, kAliasToo = NameRule::kAliasToo;
constexpr StateRule kAny = StateRule::kAny, kEnabled = StateRule::kEnabled,
                    kNotPending = StateRule::kNotPendingDeletion;

// In the order of Operation.
constexpr std::array<OperationFacts, 34> kTable = {{
    {"CreateKey", "kms:CreateKey", kChanges, kIdOrArn, kAny},
    {"DescribeKey", "kms:DescribeKey", kReads, kAliasToo, kAny},
    {"ListKeys", "kms:ListKeys", kReads, kIdOrArn, kAny},
    {"CreateAlias", "kms:CreateAlias", kChanges, kIdOrArn, kNotPending, kManages},
    {"UpdateAlias", "kms:UpdateAlias", kChanges, kIdOrArn, kNotPending, kManages},
    {"DeleteAlias", "kms:DeleteAlias", kChanges, kIdOrArn, kAny, kManages},
    {"ListAliases", "kms:ListAliases", kReads, kIdOrArn, kAny},
    {"GetKeyPolicy", "kms:GetKeyPolicy", kReads, kIdOrArn, kAny},
    {"PutKeyPolicy", "kms:PutKeyPolicy", kChanges, kIdOrArn, kAny, kManages},
    {"ListKeyPolicies", "kms:ListKeyPolicies", kReads, kIdOrArn, kAny},
    {"EnableKey", "kms:EnableKey", kChanges, kIdOrArn, kNotPending, kManages},
    {"DisableKey", "kms:DisableKey", kChanges, kIdOrArn, kNotPending, kManages},
    {"ScheduleKeyDeletion", "kms:ScheduleKeyDeletion", kChanges, kIdOrArn, kNotPending, kManages},
    {"CancelKeyDeletion", "kms:CancelKeyDeletion", kChanges, kIdOrArn, StateRule::kPendingDeletion, kManages},
    {"EnableKeyRotation", "kms:EnableKeyRotation", kChanges, kIdOrArn, kEnabled, kManages},
    {"DisableKeyRotation", "kms:DisableKeyRotation", kChanges, kIdOrArn, kEnabled, kManages},
    {"GetKeyRotationStatus", "kms:GetKeyRotationStatus", kReads, kIdOrArn, kAny},
    {"RotateKeyOnDemand", "kms:RotateKeyOnDemand", kChanges, kIdOrArn, kEnabled, kManages},
    {"ListKeyRotations", "kms:ListKeyRotations", kReads, kIdOrArn, kAny},
    {"GenerateDataKey", "kms:GenerateDataKey", kReads, kAliasToo, kEnabled},
    {"GenerateDataKeyWithoutPlaintext", "kms:GenerateDataKeyWithoutPlaintext", kReads, kAliasToo, kEnabled},
    {"Encrypt", "kms:Encrypt", kReads, kAliasToo, kEnabled},
    {"Decrypt", "kms:Decrypt", kReads, kAliasToo, kEnabled},
    {"ReEncrypt", "kms:ReEncryptFrom", kReads, kAliasToo, kEnabled},
    {"GenerateRandom", "kms:GenerateRandom", kReads, kIdOrArn, kAny},
    {"CreateGrant", "kms:CreateGrant", kChanges, kIdOrArn, kEnabled, kManages},
    {"ListGrants", "kms:ListGrants", kReads, kIdOrArn, kAny},
    {"RevokeGrant", "kms:RevokeGrant", kChanges, kIdOrArn, kAny},
    {"RetireGrant", "kms:RetireGrant", kChanges, kIdOrArn, kAny},
    {"ListRetirableGrants", "kms:ListRetirableGrants", kReads, kIdOrArn, kAny},
    {"TagResource", "kms:TagResource", kChanges, kIdOrArn, kNotPending, kManages},
    {"UntagResource", "kms:UntagResource", kChanges, kIdOrArn, kNotPending, kManages},
    {"ListResourceTags", "kms:ListResourceTags", kReads, kIdOrArn, kAny},
    {"UpdateKeyDescription", "kms:UpdateKeyDescription", kChanges, kIdOrArn, kNotPending, kManages},
}};
static_assert(kTable.size() == static_cast<std::size_t>(Operation::kUpdateKeyDescription) + 1);
static_assert(kTable[static_cast<std::size_t>(Operation::kGenerateDataKey)].name == "GenerateDataKey");
static_assert(kTable[static_cast<std::size_t>(Operation::kCreateGrant)].name == "CreateGrant");

}  // namespace

const OperationFacts& facts_of(Operation operation) { return kTable[static_cast<std::size_t>(operation)]; }

std::span<const OperationFacts> all_operations() { return kTable; }

std::optional<Operation> operation_named(std::string_view name) {
  const auto found = std::ranges::find(kTable, name, &OperationFacts::name);
  if (found == kTable.end()) return {};
  return static_cast<Operation>(found - kTable.begin());
}

}  // namespace kmsfs::kms
