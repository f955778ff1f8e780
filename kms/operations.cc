#include "kms/operations.h"

#include <array>

namespace kmsfs::kms {

namespace {

constexpr bool kChanges = true, kReads = false;

// In the order of Operation.
constexpr std::array<OperationFacts, 13> kTable = {{
    {"CreateKey", "kms:CreateKey", kChanges, NameRule::kIdOrArn, StateRule::kAny},
    {"DescribeKey", "kms:DescribeKey", kReads, NameRule::kAliasToo, StateRule::kAny},
    {"ListKeys", "kms:ListKeys", kReads, NameRule::kIdOrArn, StateRule::kAny},
    {"CreateAlias", "kms:CreateAlias", kChanges, NameRule::kIdOrArn, StateRule::kNotPendingDeletion},
    {"ListAliases", "kms:ListAliases", kReads, NameRule::kIdOrArn, StateRule::kAny},
    {"GetKeyPolicy", "kms:GetKeyPolicy", kReads, NameRule::kIdOrArn, StateRule::kAny},
    {"EnableKey", "kms:EnableKey", kChanges, NameRule::kIdOrArn, StateRule::kNotPendingDeletion},
    {"DisableKey", "kms:DisableKey", kChanges, NameRule::kIdOrArn, StateRule::kNotPendingDeletion},
    {"GenerateDataKey", "kms:GenerateDataKey", kReads, NameRule::kAliasToo, StateRule::kEnabled},
    {"GenerateDataKeyWithoutPlaintext", "kms:GenerateDataKeyWithoutPlaintext", kReads, NameRule::kAliasToo,
     StateRule::kEnabled},
    {"Encrypt", "kms:Encrypt", kReads, NameRule::kAliasToo, StateRule::kEnabled},
    {"Decrypt", "kms:Decrypt", kReads, NameRule::kAliasToo, StateRule::kEnabled},
    {"ReEncrypt", "kms:ReEncryptFrom", kReads, NameRule::kAliasToo, StateRule::kEnabled},
}};
static_assert(kTable.size() == static_cast<std::size_t>(Operation::kReEncrypt) + 1);

}  // namespace

const OperationFacts& facts_of(Operation operation) { return kTable[static_cast<std::size_t>(operation)]; }

}  // namespace kmsfs::kms
