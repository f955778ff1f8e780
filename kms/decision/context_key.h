// Condition keys: their names, resolved once at parsing, and their values in a request.
//
// Key names are case-insensitive, also the part after the prefix ("kms:EncryptionContext:App"); values are
// not.
// Threads: plain values.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "kms/decision/request.h"

namespace kmsfs::kms {

enum class ContextKeyName : std::uint8_t {
  kUnknown,  // nobody supplies it: always absent
  // with a part after the name
  kEncryptionContext,
  kPrincipalTag,
  kResourceTag,
  kRequestTag,
  // kms:
  kEncryptionContextKeys,
  kEncryptionAlgorithm,
  kRequestAlias,
  kResourceAliases,
  kKeySpec,
  kKeyUsage,
  kKeyOrigin,
  kCallerAccount,
  kViaService,
  kGrantIsForAwsResource,
  kGrantConstraintType,
  kGrantOperations,
  kGranteePrincipal,
  kRetiringPrincipal,
  kReEncryptOnSameKey,
  kBypassPolicyLockoutSafetyCheck,
  kMultiRegion,
  kPendingWindowInDays,
  kRotationPeriodInDays,
  // aws:
  kPrincipalArn,
  kPrincipalAccount,
  kPrincipalType,
  kPrincipalIsAwsService,
  kPrincipalServiceName,
  kUserName,
  kUserId,
  kSourceIp,
  kCurrentTime,
  kEpochTime,
  kSecureTransport,
  kUserAgent,
  kTagKeys,
  kTokenIssueTime,
  kMultiFactorAuthPresent,
  kRequestedRegion,
  kResourceAccount,
};

struct ContextKey {
  ContextKeyName name = ContextKeyName::kUnknown;
  std::string part;  // what follows "kms:EncryptionContext:" or "aws:PrincipalTag/"
  std::string text;  // as written, for people
};

ContextKey parse_context_key(std::string_view text);

// False for names that have the prefix kms: and are no condition key of it: a typing error.
bool is_plausible(const ContextKey& key);

// True for keys that can have several values.
bool is_multivalued(ContextKeyName name);

// The values of one key. Absent is not the same as empty.
class ContextValues {
 public:
  ContextValues(const ContextKey& key, const Request& request);
  ContextValues(const ContextValues&) = delete;
  ContextValues& operator=(const ContextValues&) = delete;

  bool present() const { return present_; }
  std::size_t size() const { return many_.empty() ? (single_ ? 1 : 0) : many_.size(); }
  std::string_view operator[](std::size_t i) const { return many_.empty() ? one_ : many_[i]; }

 private:
  void set(std::string_view value);
  void set_text(std::string_view value);  // absent if empty
  void set_bool(bool value) { set(value ? "true" : "false"); }
  void set_number(std::int64_t value);
  void set_time(std::int64_t milliseconds);
  void add(std::string_view value);
  bool set_supplied(const ContextKey& key, const SuppliedContext& supplied);
  void set_tag(const Tags* tags, std::string_view name);
  void set_from_key(ContextKeyName name, const KeyFacts& key);
  void set_from_grant(ContextKeyName name, const Grant& grant);
  void set_from_caller(ContextKeyName name, const Request& request);
  void set_from_call(ContextKeyName name, const Request& request);

  bool present_ = false;
  bool single_ = false;
  std::string_view one_;
  std::vector<std::string_view> many_;
  std::array<char, 40> scratch_{};
  std::string made_;  // a value that had to be put together
};

// The encryption context that conditions see: of a CreateGrant, that of the new grant's constraint. May be
// null.
const EncryptionContext* visible_encryption_context(const Request& request);

}  // namespace kmsfs::kms
