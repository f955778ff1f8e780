#include "kms/decision/decision.h"

#include <algorithm>
#include <array>
#include <optional>

#include "kms/decision/statement_match.h"

namespace kmsfs::kms {

namespace {

// The operations that work on a key of another account (and roles can be assumed across accounts).
constexpr std::string_view kAcrossAccounts[] = {
    "kms:Decrypt",
    "kms:Encrypt",
    "kms:GenerateDataKey",
    "kms:GenerateDataKeyWithoutPlaintext",
    "kms:ReEncryptFrom",
    "kms:ReEncryptTo",
    "kms:DescribeKey",
    "kms:GetKeyRotationStatus",
    "kms:CreateGrant",
    "kms:ListGrants",
    "kms:RevokeGrant",
    "kms:RetireGrant",
    "kms:GenerateDataKeyPair",
    "kms:GenerateDataKeyPairWithoutPlaintext",
    "kms:GenerateMac",
    "kms:VerifyMac",
    "kms:GetPublicKey",
    "kms:Sign",
    "kms:Verify",
    "kms:DeriveSharedSecret",
    "sts:AssumeRole",
};

bool is_any_of(std::string_view action, std::span<const std::string_view> names) {
  return std::any_of(names.begin(), names.end(),
                     [&](std::string_view name) { return equals_ignore_case(action, name); });
}

// Aliases, and operations that name no key, have no policy of their own: the account's identity policies
// decide. Any other KMS operation is about a key, and without that key's policy it is denied.
bool identity_policies_alone_decide(const Request& request) {
  constexpr std::string_view kAliasActions[] = {"kms:CreateAlias", "kms:UpdateAlias", "kms:DeleteAlias"};
  // TagResource: the tags that a CreateKey brings along.
  constexpr std::string_view kKeylessActions[] = {"kms:CreateKey",
                                                  "kms:ListKeys",
                                                  "kms:ListAliases",
                                                  "kms:GenerateRandom",
                                                  "kms:TagResource",
                                                  "kms:ListRetirableGrants",
                                                  "kms:CreateCustomKeyStore",
                                                  "kms:UpdateCustomKeyStore",
                                                  "kms:DeleteCustomKeyStore",
                                                  "kms:ConnectCustomKeyStore",
                                                  "kms:DisconnectCustomKeyStore",
                                                  "kms:DescribeCustomKeyStores"};
  if (request.resource.find(":alias/") != std::string_view::npos)
    return is_any_of(request.action, kAliasActions);
  if (request.resource.find(":key/") != std::string_view::npos) return false;
  const bool is_kms = request.action.size() >= 4 && equals_ignore_case(request.action.substr(0, 4), "kms:");
  return is_kms ? is_any_of(request.action, kKeylessActions)
                : !equals_ignore_case(request.action, "sts:AssumeRole");
}

std::optional<std::uint32_t> first_match(const Policy& policy, Effect effect, const Request& request) {
  for (std::uint32_t i = 0; i < policy.statements.size(); ++i) {
    const Statement& statement = policy.statements[i];
    if (statement.effect == effect && match_statement(statement, policy.use, request).matched()) return i;
  }
  return std::nullopt;
}

std::optional<Finding> first_match(std::span<const NamedPolicy> policies, PolicyKind kind, Effect effect,
                                   const Request& request) {
  for (std::uint32_t i = 0; i < policies.size(); ++i) {
    if (const auto statement = first_match(*policies[i].document, effect, request)) {
      return Finding{kind, i, *statement};
    }
  }
  return std::nullopt;
}

std::span<const NamedPolicy> boundary_of(const PolicySet& policies) {
  return {policies.boundary, policies.boundary == nullptr ? 0U : 1U};
}

std::optional<Finding> explicit_deny(const Request& request, const PolicySet& policies) {
  if (policies.resource_policy != nullptr) {
    if (const auto statement = first_match(*policies.resource_policy, Effect::kDeny, request)) {
      return Finding{PolicyKind::kResource, 0, *statement};
    }
  }
  if (auto found = first_match(policies.identity, PolicyKind::kIdentity, Effect::kDeny, request))
    return found;
  if (auto found = first_match(boundary_of(policies), PolicyKind::kBoundary, Effect::kDeny, request))
    return found;
  return first_match(policies.session, PolicyKind::kSession, Effect::kDeny, request);
}

// The allows of the resource policy, by how closely they mean the caller. An allow may be there in several
// strengths: a role's can fail on a boundary where the account's fails on identity policies.
struct ResourceAllows {
  std::array<std::optional<std::uint32_t>, 4> statement_by_hit;

  const std::optional<std::uint32_t>& by(Hit hit) const {
    return statement_by_hit[static_cast<std::size_t>(hit)];
  }
  std::optional<std::uint32_t> any() const {
    for (const Hit hit : {Hit::kDirect, Hit::kRole, Hit::kAccount}) {
      if (by(hit)) return by(hit);
    }
    return std::nullopt;
  }
};

ResourceAllows resource_allows(const Request& request, const PolicySet& policies) {
  ResourceAllows allows;
  if (policies.resource_policy == nullptr) return allows;
  const Policy& policy = *policies.resource_policy;
  for (std::uint32_t i = 0; i < policy.statements.size(); ++i) {
    if (policy.statements[i].effect != Effect::kAllow) continue;
    const StatementMatch match = match_statement(policy.statements[i], policy.use, request);
    auto& slot = allows.statement_by_hit[static_cast<std::size_t>(match.hit)];
    if (match.matched() && !slot) slot = i;
  }
  return allows;
}

// What the caller's own side says.
struct OwnSide {
  bool identity = false;
  bool boundary = false;
  bool session = false;
  Finding identity_statement;  // kNone: the root of the account, which needs none

  bool all() const { return identity && boundary && session; }
  Reason lacking() const {
    if (!identity) return Reason::kNoIdentityPolicyAllows;
    return boundary ? Reason::kNoSessionPolicyAllows : Reason::kNoBoundaryAllows;
  }
};

OwnSide own_side(const Request& request, const PolicySet& policies) {
  OwnSide side;
  const auto identity = first_match(policies.identity, PolicyKind::kIdentity, Effect::kAllow, request);
  side.identity = identity || request.caller->type == CallerType::kAccountRoot;
  side.identity_statement = identity.value_or(Finding{});
  side.boundary =
      policies.boundary == nullptr ||
      first_match(boundary_of(policies), PolicyKind::kBoundary, Effect::kAllow, request).has_value();
  side.session = policies.session.empty() ||
                 first_match(policies.session, PolicyKind::kSession, Effect::kAllow, request).has_value();
  return side;
}

std::optional<Finding> allowing_grant(const Request& request, const PolicySet& policies, const OwnSide& own) {
  if (!own.session) return std::nullopt;
  for (std::uint32_t i = 0; i < policies.grants.size(); ++i) {
    const GrantMatch match = match_grant(policies.grants[i], request);
    if (match.miss != GrantMiss::kNone || (match.hit == Hit::kAccount && !(own.identity && own.boundary)))
      continue;
    return Finding{PolicyKind::kGrant, i, 0};
  }
  return std::nullopt;
}

Decision allowed(Reason reason, Finding first, Finding second = {}) {
  return {Verdict::kAllowed, reason, first, second};
}
Decision denied(Reason reason, Finding first = {}) { return {Verdict::kImplicitDeny, reason, first, {}}; }

Finding resource_finding(std::uint32_t statement) { return {PolicyKind::kResource, 0, statement}; }

// Allow statements of the resource policy for a caller of the same account; nullopt if they do not suffice.
std::optional<Decision> allowed_within_account(const ResourceAllows& allows, const OwnSide& own) {
  if (const auto direct = allows.by(Hit::kDirect)) {
    return allowed(Reason::kResourcePolicyNamesCaller, resource_finding(*direct));
  }
  if (const auto role = allows.by(Hit::kRole); role && own.boundary && own.session) {
    return allowed(Reason::kResourcePolicyNamesCaller, resource_finding(*role));
  }
  if (const auto account = allows.by(Hit::kAccount); account && own.all()) {
    return allowed(Reason::kResourcePolicyAndIdentity, resource_finding(*account), own.identity_statement);
  }
  return std::nullopt;
}

Decision decide_by_resource(const Request& request, const PolicySet& policies) {
  const bool same_account = request.caller->account == request.resource_account;
  const ResourceAllows allows = resource_allows(request, policies);
  const OwnSide own = own_side(request, policies);
  if (same_account) {
    if (auto decision = allowed_within_account(allows, own)) return *decision;
  } else if (allows.any() && own.all()) {
    return allowed(Reason::kResourcePolicyAndIdentity, resource_finding(*allows.any()),
                   own.identity_statement);
  }
  if (const auto grant = allowing_grant(request, policies, own)) return allowed(Reason::kGrant, *grant);
  if (!allows.any()) return denied(Reason::kNoResourcePolicyAllows);
  const bool role_only_lacks_limits = same_account && allows.by(Hit::kRole) && !(own.boundary && own.session);
  if (role_only_lacks_limits) {
    return denied(own.boundary ? Reason::kNoSessionPolicyAllows : Reason::kNoBoundaryAllows,
                  resource_finding(*allows.any()));
  }
  return denied(own.lacking(), resource_finding(*allows.any()));
}

Decision decide_by_identity(const Request& request, const PolicySet& policies) {
  const OwnSide own = own_side(request, policies);
  if (!own.all()) return denied(own.lacking(), own.identity_statement);
  return allowed(Reason::kIdentityPolicy, own.identity_statement);
}

// What no policy can allow.
std::optional<Reason> out_of_reach(const Request& request) {
  if (request.caller->account == request.resource_account) return std::nullopt;
  if (request.key != nullptr && request.key->manager == KeyManager::kService) {
    return Reason::kServiceManagedKeyOfAnotherAccount;
  }
  if (!is_any_of(request.action, kAcrossAccounts)) return Reason::kNotAcrossAccounts;
  return std::nullopt;
}

}  // namespace

Decision decide(const Request& request, const PolicySet& policies) {
  if (const auto reason = out_of_reach(request)) return denied(*reason);
  if (const auto deny = explicit_deny(request, policies)) {
    return {Verdict::kExplicitDeny, Reason::kExplicitDeny, *deny, {}};
  }
  if (identity_policies_alone_decide(request)) return decide_by_identity(request, policies);
  return decide_by_resource(request, policies);
}

Decision decide_retire_grant(const Request& request, const PolicySet& policies, const Grant& grant) {
  if (request.key != nullptr && request.key->manager == KeyManager::kService &&
      request.caller->account != request.key->account) {
    return denied(Reason::kServiceManagedKeyOfAnotherAccount);
  }
  if (const auto deny = explicit_deny(request, policies)) {
    return {Verdict::kExplicitDeny, Reason::kExplicitDeny, *deny, {}};
  }
  const OwnSide own = own_side(request, policies);
  const auto has_right = [&](std::string_view principal, std::string_view unique_id) {
    const Hit hit = grant_principal_hit(principal, unique_id, *request.caller);
    return hit == Hit::kAccount ? own.all() : hit != Hit::kNone && own.session;
  };
  const bool grantee_may_retire =
      std::find(grant.operations.begin(), grant.operations.end(), "RetireGrant") != grant.operations.end();
  if (has_right(grant.retiring, grant.retiring_unique_id) ||
      (grantee_may_retire && has_right(grant.grantee, grant.grantee_unique_id))) {
    return allowed(Reason::kRetiringRight, {});
  }
  if (grant.issuing_account == request.caller->account && own.all()) {
    return allowed(Reason::kIdentityPolicy, own.identity_statement);
  }
  return denied(own.session ? Reason::kNoIdentityPolicyAllows : Reason::kNoSessionPolicyAllows);
}

Result<void> check_lockout(const Request& request, const PolicySet& policies, const Policy& new_policy) {
  PolicySet under_new_policy = policies;
  under_new_policy.resource_policy = &new_policy;
  Request put = request;
  put.action = "kms:PutKeyPolicy";
  if (decide(put, under_new_policy).allowed()) return {};
  Error failed =
      error(Kind::kInvalid, "The new key policy will not allow you to update the key policy in the future.");
  failed.code = kMalformedPolicy;
  return failed;
}

}  // namespace kmsfs::kms
