// A policy document in its typed form: parsed and checked once, then only read.
//
// Always: a Policy that exists is well-formed. Operators, condition keys and patterns are resolved when it is
// parsed; evaluation touches no JSON.
// Errors: MalformedPolicyDocumentException (Kind::kInvalid), with its place ("Statement[1].Condition: …");
// LimitExceededException if longer than 32 KiB.
// Threads: any; const after parsing.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/result.h"
#include "kms/decision/condition.h"

namespace kmsfs::kms {

inline constexpr std::size_t kPolicySizeLimit = 32'768;

// Where a policy is attached decides which elements it must and must not have.
enum class PolicyUse : std::uint8_t { kKey, kIdentity, kTrust };

enum class Effect : std::uint8_t { kAllow, kDeny };

enum class PrincipalForm : std::uint8_t { kEveryone, kAccount, kUser, kRole, kSession, kUniqueId, kService };

struct PrincipalPattern {
  PrincipalForm form = PrincipalForm::kEveryone;
  std::string account;    // kAccount
  std::string value;      // the ARN, unique id or service name, as in the document
  std::string unique_id;  // bound: only this identity, not a later one of the same name
};

struct Statement {
  std::string sid;
  Effect effect = Effect::kDeny;
  bool not_principal = false;
  bool not_action = false;
  bool not_resource = false;
  std::vector<PrincipalPattern> principals;  // empty in identity policies
  std::vector<std::string> actions;          // lower case, with * and ?
  std::vector<Pattern> resources;
  std::vector<Condition> conditions;  // all must hold
};

struct Policy {
  std::string id;
  PolicyUse use = PolicyUse::kKey;
  std::vector<Statement> statements;

  // The users, roles and sessions it names: at Put they must exist, says the service.
  std::vector<std::string> named_principals() const;
  // Ties the named principals to identities (ARN -> unique id), so that one made anew under an old name
  // inherits nothing. The service keeps the map beside the document.
  void bind_principals(const std::map<std::string, std::string>& unique_ids);
};

// Pure and bounded: the text is at most 32 KiB, and duplicate names in it are refused.
Result<Policy> parse_policy(std::string_view text, PolicyUse use);

inline constexpr char kMalformedPolicy[] = "MalformedPolicyDocumentException";

}  // namespace kmsfs::kms
