// Principals of a statement: how they are written, and which callers they mean.
//
// Threads: any; pure functions.
#pragma once

#include <string_view>

#include "core/result.h"
#include "kms/decision/policy.h"

namespace kmsfs::kms {

// "*", an account (12 digits or its root's ARN), the ARN of a user, role or session, or a unique id. No
// wildcards inside ARNs, no groups.
Result<PrincipalPattern> parse_aws_principal(std::string_view text);
Result<PrincipalPattern> parse_service_principal(std::string_view text);

// How closely a statement means a caller; the order matters.
enum class Hit : std::uint8_t {
  kNone,
  kAccount,  // its account: delegation in an Allow, everybody of it in a Deny
  kRole,     // the role of its session
  kDirect,   // itself, or everyone
};

// Statements without principals (identity policies) mean whoever they are attached to: kDirect.
Hit principal_hit(const Statement& statement, PolicyUse use, const Caller& caller);

// Does the principal of a grant mean this caller? kAccount: only its account.
Hit grant_principal_hit(std::string_view principal, std::string_view unique_id, const Caller& caller);

}  // namespace kmsfs::kms
