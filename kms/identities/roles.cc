// What only roles have: a trust policy, a description, and how long a session may last.
#include <utility>

#include "kms/identities/administration_door.h"
#include "kms/identities/identity_errors.h"
#include "kms/identities/principals.h"
#include "kms/keys.h"

namespace kmsfs::kms {

namespace {

constexpr std::int64_t kShortestLimit = 3600, kLongestLimit = 43200;  // seconds
constexpr std::size_t kLongestDescription = 1000, kLongestTrustPolicy = 2048;

}  // namespace

RoleWishes role_wishes(Parameters& in) {
  return {in.text_if_given("Description"), in.number_if_given("MaxSessionDuration")};
}

Result<void> set_role_facts(PrincipalRecord& role, const RoleWishes& wishes) {
  if (wishes.description) role.role.description = *wishes.description;
  if (wishes.max_session_seconds) role.role.max_session_seconds = *wishes.max_session_seconds;
  if (role.role.description.size() > kLongestDescription) {
    return validation_error("a description has at most 1000 bytes");
  }
  if (role.role.max_session_seconds < kShortestLimit || role.role.max_session_seconds > kLongestLimit) {
    return validation_error("MaxSessionDuration is 3600 to 43200 seconds");
  }
  return {};
}

Result<void> set_trust_policy(AdminCall& call, PrincipalRecord& role, const std::string& document) {
  if (document.size() > kLongestTrustPolicy) {
    return quota_exceeded("ACLSizePerRole", kLongestTrustPolicy);
  }
  auto policy = parse_identity_document(document, PolicyUse::kTrust);
  if (!policy) return std::move(policy).error();
  auto principals = bound_principals(call.engine, call.transaction, *policy);
  if (!principals) {
    return principals.error().kind == Kind::kInvalid
               ? malformed_document("Invalid principal in policy: " + principals.error().text)
               : std::move(principals).error();
  }
  role.role.trust_policy = document;
  role.role.principals = std::move(*principals);
  return {};
}

Result<Json> update_role(AdminCall& call) {
  const std::string name = call.in.text("RoleName");
  const RoleWishes wishes = role_wishes(call.in);
  KMSFS_TRY(call.in.complete());
  auto role = call.principal(name);
  if (!role) return std::move(role).error();
  PrincipalRecord changed = (*role)->record;
  KMSFS_TRY(set_role_facts(changed, wishes));
  KMSFS_TRY(call.write(changed));
  return Json::object();
}

Result<Json> update_trust_policy(AdminCall& call) {
  const std::string name = call.in.text("RoleName"), document = call.in.document("PolicyDocument");
  KMSFS_TRY(call.in.complete());
  auto role = call.principal(name);
  if (!role) return std::move(role).error();
  PrincipalRecord changed = (*role)->record;
  KMSFS_TRY(set_trust_policy(call, changed, document));
  KMSFS_TRY(call.write(changed));
  return Json::object();
}

}  // namespace kmsfs::kms
