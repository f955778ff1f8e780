// The operations of the KMS as a table: what differs between them, beside what each one does.
// Threads: constant.
#pragma once

#include <cstdint>
#include <string_view>

namespace kmsfs::kms {

enum class Operation : std::uint8_t {
  kCreateKey,
  kDescribeKey,
  kListKeys,
  kCreateAlias,
  kListAliases,
  kGetKeyPolicy,
  kEnableKey,
  kDisableKey,
  kGenerateDataKey,
  kGenerateDataKeyWithoutPlaintext,
  kEncrypt,
  kDecrypt,
  kReEncrypt,
};

enum class StateRule : std::uint8_t {
  kAny,
  kEnabled,             // the key is used
  kNotPendingDeletion,  // the key is managed
};

enum class NameRule : std::uint8_t {
  kIdOrArn,
  kAliasToo,
};

struct OperationFacts {
  std::string_view name;    // as in the audit log
  std::string_view action;  // as in policies; ReEncrypt is two
  bool changes = false;     // the store; then its record is in the same transaction
  NameRule names = NameRule::kIdOrArn;
  StateRule states = StateRule::kAny;
};

const OperationFacts& facts_of(Operation operation);

}  // namespace kmsfs::kms
