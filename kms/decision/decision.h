// The authorisation decision of the local KMS: one pure function of a request and the policies that bear on
// it.
//
// Always: an explicit deny anywhere wins over every allow and every grant; an identity policy alone never
// opens a key; another account needs the key's side and its own; a service-managed key is never opened to
// another account. Nothing here does I/O, reads a clock or keeps state.
// Cost: deciding Decrypt under a plain key policy allocates nothing (bench/kms/decision).
// Threads: any; everything is const.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "core/result.h"
#include "kms/decision/policy.h"
#include "kms/decision/request.h"

namespace kmsfs::kms {

struct NamedPolicy {
  std::string name;  // for people: "use-the-key of user bob"
  std::shared_ptr<const Policy> document;
};

// Every policy that bears on one request. Borrows all of it.
struct PolicySet {
  const Policy* resource_policy =
      nullptr;  // the key's policy, or the trust policy of a role; null: resource has none
  std::span<const NamedPolicy> identity;  // of the user and its groups, or of the session's role
  const NamedPolicy* boundary = nullptr;  // permissions boundary of user or role
  std::span<const NamedPolicy> session;   // session policies; any one of them may allow
  std::span<const Grant> grants;          // of the key, and those that grant tokens named; others are ignored
};

enum class Verdict : std::uint8_t { kAllowed, kImplicitDeny, kExplicitDeny };

enum class PolicyKind : std::uint8_t { kNone, kResource, kIdentity, kBoundary, kSession, kGrant };

// One statement (or grant) that had its part in a decision.
struct Finding {
  PolicyKind kind = PolicyKind::kNone;
  std::uint32_t policy = 0;     // index in PolicySet::identity, session or grants
  std::uint32_t statement = 0;  // index in that policy
};

// What an allow rests on, or which side a denial lacks.
enum class Reason : std::uint8_t {
  kResourcePolicyNamesCaller,  // the key policy allows the caller itself
  kResourcePolicyAndIdentity,  // the key policy allows the caller's account, and an identity policy allows
                               // too
  kIdentityPolicy,             // no key in play: identity policies decide
  kGrant,
  kRetiringRight,  // RetireGrant: the grant itself gives the right
  kExplicitDeny,   // in the policy that Decision::first names
  kNoResourcePolicyAllows,
  kNoIdentityPolicyAllows,
  kNoBoundaryAllows,
  kNoSessionPolicyAllows,
  kNotAcrossAccounts,  // the operation does not work on another account's key, whatever policies say
  kServiceManagedKeyOfAnotherAccount,
};

struct Decision {
  Verdict verdict = Verdict::kImplicitDeny;
  Reason reason = Reason::kNoResourcePolicyAllows;
  Finding first;   // the statement that decided
  Finding second;  // the other one where two were needed (key policy and identity policy)

  bool allowed() const { return verdict == Verdict::kAllowed; }
};

Decision decide(const Request& request, const PolicySet& policies);

// May the caller retire this grant? The grant's own rule (retiring principal; grantee that was granted
// RetireGrant; the issuing account by identity policy); denies count, allows of the key policy do not.
// request.action is "kms:RetireGrant".
Decision decide_retire_grant(const Request& request, const PolicySet& policies, const Grant& grant);

// Is `granted`, made by somebody who holds CreateGrant through `held`, within it? Only a subset of
// operations, and constraints at least as strict.
bool within_grant(const Grant& held, const Grant& granted);

// --- For people ---

// One sentence: what decided. "Allowed: statement 'Users' of the key policy names arn:…".
std::string sentence(const Decision& decision, const Request& request, const PolicySet& policies);

// The message of AccessDeniedException, worded as AWS does.
std::string access_denied_message(const Decision& decision, const Request& request);

// One line per statement of every policy and per grant: did it match, and if not, what failed first.
struct Step {
  Finding where;
  std::string policy;     // "key policy", "identity policy 'x'"
  std::string statement;  // the Sid, or "statement 2"
  bool allows = false;    // its Effect
  bool matched = false;
  std::string why;  // one sentence
};
struct Explanation {
  Decision decision;
  std::string summary;  // sentence(decision)
  std::vector<Step> steps;
};
Explanation explain(const Request& request, const PolicySet& policies);

// --- At PutKeyPolicy and CreateKey ---

// Fails with MalformedPolicyDocumentException if the caller could not PutKeyPolicy under `new_policy` any
// more. request: as for kms:PutKeyPolicy on the key; policies.resource_policy is ignored.
Result<void> check_lockout(const Request& request, const PolicySet& policies, const Policy& new_policy);

// The default policy: the account decides by its identity policies.
std::string default_key_policy(std::string_view account);

// Of a service-managed key: every principal of the account may use it, the account may look at it, nobody may
// change it. It cannot be replaced.
std::string service_managed_key_policy(std::string_view account);

}  // namespace kmsfs::kms
