#include "kms/decision/statement_match.h"

#include <algorithm>

#include "kms/decision/decision.h"

namespace kmsfs::kms {

namespace {

bool action_matches(const Statement& statement, std::string_view action) {
  if (statement.actions.empty()) return false;
  const bool listed = std::any_of(statement.actions.begin(), statement.actions.end(),
                                  [&](const std::string& pattern) { return action_like(pattern, action); });
  return listed != statement.not_action;
}

bool resource_matches(const Statement& statement, PolicyUse use, const Request& request) {
  if (use == PolicyUse::kTrust) return true;
  if (statement.resources.empty()) return false;
  bool listed = false;
  for (const Pattern& pattern : statement.resources) {
    // A resource that cannot be resolved excludes nothing from NotResource: deny then, and do not allow.
    if (statement.not_resource && !pattern.resolves(request)) return statement.effect == Effect::kDeny;
    listed = listed || pattern.arn_like(request.resource, request);
  }
  return listed != statement.not_resource;
}

bool includes(const EncryptionContext& all, const EncryptionContext& part) {
  return std::all_of(part.begin(), part.end(), [&](const auto& pair) {
    const auto found = all.find(pair.first);
    return found != all.end() && found->second == pair.second;
  });
}

bool has_operation(const Grant& grant, std::string_view operation) {
  return std::any_of(grant.operations.begin(), grant.operations.end(),
                     [&](const std::string& granted) { return equals_ignore_case(granted, operation); });
}

bool constraint_holds(const Grant& grant, const Request& request) {
  const std::string_view operation = operation_of(request.action);
  if (equals_ignore_case(operation, "CreateGrant")) {
    return request.new_grant != nullptr && within_grant(grant, *request.new_grant);
  }
  if (equals_ignore_case(operation, "DescribeKey") || equals_ignore_case(operation, "RetireGrant"))
    return true;
  static const EncryptionContext kNoContext;
  const EncryptionContext& context =
      request.encryption_context != nullptr ? *request.encryption_context : kNoContext;
  switch (grant.constraint) {
    case GrantConstraint::kNone:
      return true;
    case GrantConstraint::kEncryptionContextEquals:
      return context == grant.constraint_context;
    case GrantConstraint::kEncryptionContextSubset:
      return includes(context, grant.constraint_context);
  }
  return false;
}

}  // namespace

std::string_view operation_of(std::string_view action) { return action.substr(action.find(':') + 1); }

StatementMatch match_statement(const Statement& statement, PolicyUse use, const Request& request) {
  const Hit hit = principal_hit(statement, use, *request.caller);
  if (hit == Hit::kNone) return {Hit::kNone, Miss::kPrincipal, nullptr};
  if (!action_matches(statement, request.action)) return {Hit::kNone, Miss::kAction, nullptr};
  if (!resource_matches(statement, use, request)) return {Hit::kNone, Miss::kResource, nullptr};
  for (const Condition& condition : statement.conditions) {
    if (!condition.holds(request)) return {Hit::kNone, Miss::kCondition, &condition};
  }
  return {hit, Miss::kNone, nullptr};
}

GrantMatch match_grant(const Grant& grant, const Request& request) {
  if (request.key == nullptr || grant.key_arn != request.key->arn || request.resource != request.key->arn) {
    return {Hit::kNone, GrantMiss::kOtherKey};
  }
  const Hit hit = grant_principal_hit(grant.grantee, grant.grantee_unique_id, *request.caller);
  if (hit == Hit::kNone) return {Hit::kNone, GrantMiss::kGrantee};
  const bool is_kms = request.action.size() > 4 && equals_ignore_case(request.action.substr(0, 4), "kms:");
  if (!is_kms || !has_operation(grant, operation_of(request.action)))
    return {Hit::kNone, GrantMiss::kOperation};
  if (!constraint_holds(grant, request)) return {Hit::kNone, GrantMiss::kConstraint};
  return {hit, GrantMiss::kNone};
}

bool within_grant(const Grant& held, const Grant& granted) {
  const bool operations_within =
      std::all_of(granted.operations.begin(), granted.operations.end(),
                  [&](const std::string& operation) { return has_operation(held, operation); });
  if (!operations_within || granted.key_arn != held.key_arn) return false;
  switch (held.constraint) {
    case GrantConstraint::kNone:
      return true;
    case GrantConstraint::kEncryptionContextEquals:
      return granted.constraint == GrantConstraint::kEncryptionContextEquals &&
             granted.constraint_context == held.constraint_context;
    case GrantConstraint::kEncryptionContextSubset:
      return granted.constraint != GrantConstraint::kNone &&
             includes(granted.constraint_context, held.constraint_context);
  }
  return false;
}

}  // namespace kmsfs::kms
