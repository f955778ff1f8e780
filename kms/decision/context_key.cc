#include "kms/decision/context_key.h"

#include <charconv>
#include <ctime>

#include "kms/decision/pattern.h"

namespace kmsfs::kms {

namespace {

using Name = ContextKeyName;

struct KnownKey {
  std::string_view text;
  Name name;
};

constexpr KnownKey kPrefixes[] = {
    {"kms:EncryptionContext:", Name::kEncryptionContext},
    {"aws:PrincipalTag/", Name::kPrincipalTag},
    {"aws:ResourceTag/", Name::kResourceTag},
    {"aws:RequestTag/", Name::kRequestTag},
};

constexpr KnownKey kKeys[] = {
    {"kms:EncryptionContextKeys", Name::kEncryptionContextKeys},
    {"kms:EncryptionAlgorithm", Name::kEncryptionAlgorithm},
    {"kms:RequestAlias", Name::kRequestAlias},
    {"kms:ResourceAliases", Name::kResourceAliases},
    {"kms:KeySpec", Name::kKeySpec},
    {"kms:CustomerMasterKeySpec", Name::kKeySpec},
    {"kms:KeyUsage", Name::kKeyUsage},
    {"kms:CustomerMasterKeyUsage", Name::kKeyUsage},
    {"kms:KeyOrigin", Name::kKeyOrigin},
    {"kms:CallerAccount", Name::kCallerAccount},
    {"kms:ViaService", Name::kViaService},
    {"kms:GrantIsForAWSResource", Name::kGrantIsForAwsResource},
    {"kms:GrantConstraintType", Name::kGrantConstraintType},
    {"kms:GrantOperations", Name::kGrantOperations},
    {"kms:GranteePrincipal", Name::kGranteePrincipal},
    {"kms:RetiringPrincipal", Name::kRetiringPrincipal},
    {"kms:ReEncryptOnSameKey", Name::kReEncryptOnSameKey},
    {"kms:BypassPolicyLockoutSafetyCheck", Name::kBypassPolicyLockoutSafetyCheck},
    {"kms:MultiRegion", Name::kMultiRegion},
    {"kms:ScheduleKeyDeletionPendingWindowInDays", Name::kPendingWindowInDays},
    {"kms:RotationPeriodInDays", Name::kRotationPeriodInDays},
    {"aws:PrincipalArn", Name::kPrincipalArn},
    {"aws:PrincipalAccount", Name::kPrincipalAccount},
    {"aws:PrincipalType", Name::kPrincipalType},
    {"aws:PrincipalIsAWSService", Name::kPrincipalIsAwsService},
    {"aws:PrincipalServiceName", Name::kPrincipalServiceName},
    {"aws:username", Name::kUserName},
    {"aws:userid", Name::kUserId},
    {"aws:SourceIp", Name::kSourceIp},
    {"aws:CurrentTime", Name::kCurrentTime},
    {"aws:EpochTime", Name::kEpochTime},
    {"aws:SecureTransport", Name::kSecureTransport},
    {"aws:UserAgent", Name::kUserAgent},
    {"aws:TagKeys", Name::kTagKeys},
    {"aws:TokenIssueTime", Name::kTokenIssueTime},
    {"aws:MultiFactorAuthPresent", Name::kMultiFactorAuthPresent},
    {"aws:RequestedRegion", Name::kRequestedRegion},
    {"aws:ResourceAccount", Name::kResourceAccount},
};

// Condition keys of the AWS KMS whose facts do not exist here: known, and always absent.
constexpr std::string_view kNeverPresent[] = {
    "kms:ExpirationModel",
    "kms:MacAlgorithm",
    "kms:MessageType",
    "kms:MultiRegionKeyType",
    "kms:PrimaryRegion",
    "kms:ReplicaRegion",
    "kms:SigningAlgorithm",
    "kms:ValidTo",
    "kms:WrappingAlgorithm",
    "kms:WrappingKeySpec",
    "kms:DataKeyPairSpec",
    "kms:KeyAgreementAlgorithm",
    "kms:TrailingDaysWithoutKeyUsage",
};

bool starts_with_ignore_case(std::string_view text, std::string_view prefix) {
  return text.size() >= prefix.size() && equals_ignore_case(text.substr(0, prefix.size()), prefix);
}

std::string_view principal_type(CallerType type) {
  switch (type) {
    case CallerType::kAccountRoot:
      return "Account";
    case CallerType::kUser:
      return "User";
    case CallerType::kAssumedRole:
      return "AssumedRole";
    case CallerType::kService:
      return "AWSService";
  }
  return {};
}

}  // namespace

ContextKey parse_context_key(std::string_view text) {
  ContextKey key;
  key.text = text;
  for (const KnownKey& known : kPrefixes) {
    if (text.size() > known.text.size() && starts_with_ignore_case(text, known.text)) {
      key.name = known.name;
      key.part = text.substr(known.text.size());
      return key;
    }
  }
  for (const KnownKey& known : kKeys) {
    if (equals_ignore_case(text, known.text)) {
      key.name = known.name;
      return key;
    }
  }
  return key;
}

bool is_plausible(const ContextKey& key) {
  if (key.name != Name::kUnknown || !starts_with_ignore_case(key.text, "kms:")) return true;
  for (const std::string_view known : kNeverPresent) {
    if (equals_ignore_case(key.text, known)) return true;
  }
  return starts_with_ignore_case(key.text, "kms:RecipientAttestation:");
}

bool is_multivalued(ContextKeyName name) {
  return name == Name::kEncryptionContextKeys || name == Name::kResourceAliases ||
         name == Name::kGrantOperations || name == Name::kTagKeys;
}

const EncryptionContext* visible_encryption_context(const Request& request) {
  if (request.new_grant == nullptr) return request.encryption_context;
  return request.new_grant->constraint == GrantConstraint::kNone ? nullptr
                                                                 : &request.new_grant->constraint_context;
}

void ContextValues::set(std::string_view value) {
  present_ = true;
  single_ = true;
  one_ = value;
}

void ContextValues::set_text(std::string_view value) {
  if (!value.empty()) set(value);
}

void ContextValues::set_number(std::int64_t value) {
  const auto end = std::to_chars(scratch_.data(), scratch_.data() + scratch_.size(), value);
  set({scratch_.data(), static_cast<std::size_t>(end.ptr - scratch_.data())});
}

void ContextValues::set_time(std::int64_t milliseconds) {
  const std::time_t seconds = milliseconds / 1000;
  std::tm utc{};
  if (::gmtime_r(&seconds, &utc) == nullptr) return;
  set({scratch_.data(), std::strftime(scratch_.data(), scratch_.size(), "%Y-%m-%dT%H:%M:%SZ", &utc)});
}

void ContextValues::add(std::string_view value) {
  present_ = true;
  many_.push_back(value);
}

void ContextValues::set_tag(const Tags* tags, std::string_view name) {
  if (tags == nullptr) return;
  if (const auto exact = tags->find(std::string(name)); exact != tags->end()) {
    set(exact->second);
    return;
  }
  // Key names ignore case: names that differ from it in case alone all count.
  for (const auto& [tag, value] : *tags) {
    if (equals_ignore_case(tag, name)) add(value);
  }
}

ContextValues::ContextValues(const ContextKey& key, const Request& request) {
  if (request.supplied != nullptr && set_supplied(key, *request.supplied)) return;
  switch (key.name) {
    case Name::kUnknown:
      return;
    case Name::kEncryptionContext:
      set_tag(visible_encryption_context(request), key.part);
      return;
    case Name::kPrincipalTag:
      set_tag(&request.caller->tags, key.part);
      return;
    case Name::kRequestTag:
      set_tag(request.request_tags, key.part);
      return;
    case Name::kResourceTag:
      set_tag(request.key == nullptr ? nullptr : &request.key->tags, key.part);
      return;
    default:
      break;
  }
  if (request.key != nullptr) set_from_key(key.name, *request.key);
  if (request.new_grant != nullptr) set_from_grant(key.name, *request.new_grant);
  set_from_caller(key.name, request);
  set_from_call(key.name, request);
}

bool ContextValues::set_supplied(const ContextKey& key, const SuppliedContext& supplied) {
  const auto found = supplied.find(to_lower(key.text));
  if (found == supplied.end()) return false;
  present_ = true;
  for (const std::string& value : found->second) add(value);
  return true;
}

void ContextValues::set_from_key(ContextKeyName name, const KeyFacts& key) {
  switch (name) {
    case Name::kKeySpec:
      return set_text(key.spec);
    case Name::kKeyUsage:
      return set_text(key.usage);
    case Name::kKeyOrigin:
      return set_text(key.origin);
    case Name::kMultiRegion:
      return set_bool(key.multi_region);
    case Name::kResourceAliases:
      for (const std::string& alias : key.aliases) add(alias);
      return;
    default:
      return;
  }
}

void ContextValues::set_from_grant(ContextKeyName name, const Grant& grant) {
  switch (name) {
    case Name::kGrantConstraintType:
      if (grant.constraint == GrantConstraint::kEncryptionContextEquals) set("EncryptionContextEquals");
      if (grant.constraint == GrantConstraint::kEncryptionContextSubset) set("EncryptionContextSubset");
      return;
    case Name::kGrantOperations:
      for (const std::string& operation : grant.operations) add(operation);
      return;
    case Name::kGranteePrincipal:
      return set_text(grant.grantee);
    case Name::kRetiringPrincipal:
      return set_text(grant.retiring);
    default:
      return;
  }
}

void ContextValues::set_from_caller(ContextKeyName name, const Request& request) {
  const Caller& caller = *request.caller;
  const bool is_session = caller.type == CallerType::kAssumedRole;
  switch (name) {
    case Name::kCallerAccount:
    case Name::kPrincipalAccount:
      return set_text(caller.account);
    case Name::kPrincipalArn:
      return set_text(is_session ? caller.role_arn : caller.arn);
    case Name::kPrincipalType:
      return set(principal_type(caller.type));
    case Name::kPrincipalIsAwsService:
      return set_bool(caller.type == CallerType::kService);
    case Name::kPrincipalServiceName:
      if (caller.type == CallerType::kService) set(caller.arn);
      return;
    case Name::kUserName:
      if (caller.type == CallerType::kUser) set_text(caller.name);
      return;
    case Name::kUserId:
      if (!is_session || caller.unique_id.empty()) return set_text(caller.unique_id);
      made_ = caller.unique_id + ":" + caller.name;
      return set(made_);
    case Name::kTokenIssueTime:
      if (caller.token_issued_ms) set_time(*caller.token_issued_ms);
      return;
    case Name::kMultiFactorAuthPresent:
      if (caller.multi_factor) set_bool(*caller.multi_factor);
      return;
    default:
      return;
  }
}

void ContextValues::set_from_call(ContextKeyName name, const Request& request) {
  const Circumstances& call = *request.circumstances;
  const auto flag = [this](std::optional<bool> value) {
    if (value) set_bool(*value);
  };
  const auto number = [this](std::optional<std::int64_t> value) {
    if (value) set_number(*value);
  };
  switch (name) {
    case Name::kSourceIp:
      return set_text(call.source_ip);
    case Name::kUserAgent:
      return set_text(call.user_agent);
    case Name::kRequestedRegion:
      return set_text(call.region);
    case Name::kViaService:
      return set_text(call.via_service);
    case Name::kSecureTransport:
      return set_bool(call.secure_transport);
    case Name::kCurrentTime:
      return set_time(call.now_ms);
    case Name::kEpochTime:
      return set_number(call.now_ms / 1000);
    case Name::kResourceAccount:
      return set_text(request.resource_account);
    case Name::kEncryptionAlgorithm:
      return set_text(request.encryption_algorithm);
    case Name::kRequestAlias:
      return set_text(request.request_alias);
    case Name::kGrantIsForAwsResource:
      return flag(request.grant_is_for_aws_resource);
    case Name::kReEncryptOnSameKey:
      return flag(request.reencrypt_on_same_key);
    case Name::kBypassPolicyLockoutSafetyCheck:
      return flag(request.bypass_policy_lockout_safety_check);
    case Name::kPendingWindowInDays:
      return number(request.pending_window_days);
    case Name::kRotationPeriodInDays:
      return number(request.rotation_period_days);
    case Name::kEncryptionContextKeys:
      if (const EncryptionContext* context = visible_encryption_context(request)) {
        for (const auto& [key, value] : *context) add(key);
      }
      return;
    case Name::kTagKeys:
      if (request.request_tags != nullptr) {
        for (const auto& [key, value] : *request.request_tags) add(key);
      }
      if (request.tag_keys != nullptr) {
        for (const std::string& key : *request.tag_keys) add(key);
      }
      return;
    default:
      return;
  }
}

}  // namespace kmsfs::kms
