// Does one statement apply to one request, and if not, what failed first? Shared by the decision and its
// explanation, so that the two cannot disagree.
//
// Threads: any; pure functions.
#pragma once

#include "kms/decision/policy.h"
#include "kms/decision/principal.h"
#include "kms/decision/request.h"

namespace kmsfs::kms {

enum class Miss : std::uint8_t { kNone, kPrincipal, kAction, kResource, kCondition };

struct StatementMatch {
  Hit hit = Hit::kNone;  // kNone unless everything matched
  Miss miss = Miss::kNone;
  const Condition* failed = nullptr;  // with kCondition

  bool matched() const { return miss == Miss::kNone; }
};

StatementMatch match_statement(const Statement& statement, PolicyUse use, const Request& request);

// What a grant lacks for the request; kNone: it allows, if `hit` does.
enum class GrantMiss : std::uint8_t { kNone, kOtherKey, kGrantee, kOperation, kConstraint };

struct GrantMatch {
  Hit hit = Hit::kNone;  // kAccount: identity policies must allow too
  GrantMiss miss = GrantMiss::kNone;
};

GrantMatch match_grant(const Grant& grant, const Request& request);

// "kms:Decrypt" -> "Decrypt"
std::string_view operation_of(std::string_view action);

}  // namespace kmsfs::kms
