// Decisions in sentences, for operators and for error messages.
#include "kms/decision/decision.h"
#include "kms/decision/statement_match.h"

namespace kmsfs::kms {

namespace {

std::string statement_name(const Policy& policy, std::uint32_t index) {
  const std::string& sid = policy.statements[index].sid;
  return sid.empty() ? "statement " + std::to_string(index + 1) : "statement '" + sid + "'";
}

struct NamedStatement {
  std::string policy;
  std::string statement;
};

NamedStatement name_of(const Finding& finding, const PolicySet& policies) {
  switch (finding.kind) {
    case PolicyKind::kNone:
      return {};
    case PolicyKind::kResource:
      return {policies.resource_policy->use == PolicyUse::kTrust ? "trust policy" : "key policy",
              statement_name(*policies.resource_policy, finding.statement)};
    case PolicyKind::kIdentity: {
      const NamedPolicy& policy = policies.identity[finding.policy];
      return {"identity policy '" + policy.name + "'", statement_name(*policy.document, finding.statement)};
    }
    case PolicyKind::kBoundary:
      return {"permissions boundary '" + policies.boundary->name + "'",
              statement_name(*policies.boundary->document, finding.statement)};
    case PolicyKind::kSession: {
      const NamedPolicy& policy = policies.session[finding.policy];
      return {"session policy '" + policy.name + "'", statement_name(*policy.document, finding.statement)};
    }
    case PolicyKind::kGrant:
      return {"grants", "grant " + policies.grants[finding.policy].id};
  }
  return {};
}

std::string phrase(const Finding& finding, const PolicySet& policies) {
  const NamedStatement name = name_of(finding, policies);
  if (finding.kind == PolicyKind::kNone) return "the root of the account needs no identity policy";
  if (finding.kind == PolicyKind::kGrant) return name.statement;
  return name.statement + " of the " + name.policy;
}

std::string lacking(const Decision& decision, const PolicySet& policies, std::string_view what) {
  std::string text = std::string("no ").append(what).append(" allows it");
  if (decision.first.kind != PolicyKind::kNone)
    text += ", though " + phrase(decision.first, policies) + " does";
  return text;
}

std::string reason_sentence(const Decision& decision, const Request& request, const PolicySet& policies) {
  switch (decision.reason) {
    case Reason::kResourcePolicyNamesCaller:
      return phrase(decision.first, policies) + " allows it";
    case Reason::kResourcePolicyAndIdentity:
      return phrase(decision.first, policies) + " allows it to the account, and " +
             (decision.second.kind == PolicyKind::kNone
                  ? phrase(decision.second, policies)
                  : phrase(decision.second, policies) + " to the caller");
    case Reason::kIdentityPolicy:
      return phrase(decision.first, policies) +
             (decision.first.kind == PolicyKind::kNone ? "" : " allows it");
    case Reason::kGrant:
      return phrase(decision.first, policies) + " allows it";
    case Reason::kRetiringRight:
      return "the grant gives the right to retire it";
    case Reason::kExplicitDeny:
      return phrase(decision.first, policies) + " forbids it, and a deny always wins";
    case Reason::kNoResourcePolicyAllows:
      return request.resource.find(":key/") != std::string_view::npos
                 ? "neither the key policy nor a grant allows it; identity policies alone open no key"
                 : "the trust policy does not allow it";
    case Reason::kNoIdentityPolicyAllows:
      return lacking(decision, policies, "identity policy of the caller");
    case Reason::kNoBoundaryAllows:
      return lacking(decision, policies, "permissions boundary");
    case Reason::kNoSessionPolicyAllows:
      return lacking(decision, policies, "session policy");
    case Reason::kNotAcrossAccounts:
      return "this operation does not work across accounts, whatever the policies say";
    case Reason::kServiceManagedKeyOfAnotherAccount:
      return "a service-managed key serves its own account only";
  }
  return {};
}

std::string denied_by(PolicyKind kind) {
  switch (kind) {
    case PolicyKind::kIdentity:
      return "an identity-based policy";
    case PolicyKind::kBoundary:
      return "a permissions boundary";
    case PolicyKind::kSession:
      return "a session policy";
    default:
      return "a resource-based policy";
  }
}

std::string why_statement(const Statement& statement, const StatementMatch& match) {
  const char* inverted_principal =
      statement.not_principal ? "NotPrincipal exempts the caller" : "names another principal";
  const char* inverted_action =
      statement.not_action ? "NotAction exempts the action" : "is about other actions";
  const char* inverted_resource =
      statement.not_resource ? "NotResource exempts the resource" : "is about other resources";
  switch (match.miss) {
    case Miss::kPrincipal:
      return inverted_principal;
    case Miss::kAction:
      return inverted_action;
    case Miss::kResource:
      return inverted_resource;
    case Miss::kCondition:
      return "condition " + match.failed->op.text + " on " + match.failed->key.text + " does not hold";
    case Miss::kNone:
      break;
  }
  if (statement.effect == Effect::kDeny) return "applies, and forbids it";
  return match.hit == Hit::kAccount ? "applies: it leaves the decision to the account's identity policies"
                                    : "applies, and allows it";
}

std::string_view why_grant(const GrantMatch& match) {
  switch (match.miss) {
    case GrantMiss::kOtherKey:
      return "is for another key";
    case GrantMiss::kGrantee:
      return "is for another principal";
    case GrantMiss::kOperation:
      return "does not include the operation";
    case GrantMiss::kConstraint:
      return "its constraint does not hold";
    case GrantMiss::kNone:
      break;
  }
  return match.hit == Hit::kAccount ? "applies: it leaves the decision to the account's identity policies"
                                    : "applies, and allows it";
}

void add_steps(const Policy& policy, PolicyKind kind, std::uint32_t index, const Request& request,
               const PolicySet& policies, std::vector<Step>& steps) {
  for (std::uint32_t i = 0; i < policy.statements.size(); ++i) {
    const Statement& statement = policy.statements[i];
    const StatementMatch match = match_statement(statement, policy.use, request);
    const Finding where{kind, index, i};
    NamedStatement name = name_of(where, policies);
    steps.push_back({where, std::move(name.policy), std::move(name.statement),
                     statement.effect == Effect::kAllow, match.matched(), why_statement(statement, match)});
  }
}

}  // namespace

std::string sentence(const Decision& decision, const Request& request, const PolicySet& policies) {
  const std::string reason = reason_sentence(decision, request, policies);
  return (decision.allowed() ? "Allowed: " : "Denied: ") + reason + ".";
}

std::string access_denied_message(const Decision& decision, const Request& request) {
  const bool across_accounts = request.caller->account != request.resource_account;
  std::string message = "User: " + request.caller->arn + " is not authorized to perform: ";
  message.append(request.action).append(" on resource: ").append(request.resource);
  const auto nothing_allows = [&](std::string_view what) {
    return message.append(" because no ")
        .append(what)
        .append(" allows the ")
        .append(request.action)
        .append(" action");
  };
  switch (decision.reason) {
    case Reason::kExplicitDeny:
      if (across_accounts && decision.first.kind == PolicyKind::kResource) break;
      return message + " with an explicit deny in " + denied_by(decision.first.kind);
    case Reason::kNoIdentityPolicyAllows:
      return nothing_allows("identity-based policy");
    case Reason::kNoBoundaryAllows:
      return nothing_allows("permissions boundary");
    case Reason::kNoSessionPolicyAllows:
      return nothing_allows("session policy");
    default:
      if (across_accounts) break;
      return nothing_allows("resource-based policy");
  }
  // Another account learns neither whether the key exists nor what its policy says.
  return message +
         " because the resource does not exist in this Region, no resource-based policies allow access, or a "
         "resource-based policy explicitly denies access";
}

Explanation explain(const Request& request, const PolicySet& policies) {
  Explanation explanation;
  explanation.decision = decide(request, policies);
  explanation.summary = sentence(explanation.decision, request, policies);
  if (policies.resource_policy != nullptr) {
    add_steps(*policies.resource_policy, PolicyKind::kResource, 0, request, policies, explanation.steps);
  }
  for (std::uint32_t i = 0; i < policies.identity.size(); ++i) {
    add_steps(*policies.identity[i].document, PolicyKind::kIdentity, i, request, policies, explanation.steps);
  }
  if (policies.boundary != nullptr) {
    add_steps(*policies.boundary->document, PolicyKind::kBoundary, 0, request, policies, explanation.steps);
  }
  for (std::uint32_t i = 0; i < policies.session.size(); ++i) {
    add_steps(*policies.session[i].document, PolicyKind::kSession, i, request, policies, explanation.steps);
  }
  for (std::uint32_t i = 0; i < policies.grants.size(); ++i) {
    const GrantMatch match = match_grant(policies.grants[i], request);
    const Finding where{PolicyKind::kGrant, i, 0};
    NamedStatement name = name_of(where, policies);
    explanation.steps.push_back({where, std::move(name.policy), std::move(name.statement), true,
                                 match.miss == GrantMiss::kNone, std::string(why_grant(match))});
  }
  return explanation;
}

}  // namespace kmsfs::kms
