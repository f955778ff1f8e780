// Inline policies of users, groups and roles, and the permissions boundaries of users and roles.
#include <algorithm>
#include <string>
#include <utility>

#include "kms/identities/administration_door.h"
#include "kms/identities/identity_errors.h"
#include "kms/identities/principals.h"

namespace kmsfs::kms {

namespace {

constexpr std::size_t kLongestPolicyName = 128, kLongestBoundary = 6144;

std::string name_member(EntityKind kind) { return std::string(facts_of(kind).title) + "Name"; }

std::size_t size_without_space(const std::string& text) {
  return static_cast<std::size_t>(
      std::ranges::count_if(text, [](char c) { return c != ' ' && c != '\t' && c != '\n' && c != '\r'; }));
}

// Who and which, as the request says; the document is PutPolicy's alone.
struct Named {
  PrincipalRecord record;
  std::string policy_name;
  std::string document;
  std::vector<IdentityPolicy>::iterator find() {
    return std::ranges::find(record.policies, policy_name, &IdentityPolicy::name);
  }
};

Result<Named> named_policy(AdminCall& call, bool with_document) {
  const std::string name = call.in.text(name_member(call.kind).c_str());
  Named named;
  named.policy_name = call.in.text("PolicyName");
  if (with_document) named.document = call.in.document("PolicyDocument");
  KMSFS_TRY(call.in.complete());
  auto principal = call.principal(name);
  if (!principal) return std::move(principal).error();
  named.record = (*principal)->record;
  return named;
}

Error no_such_policy(EntityKind kind, const std::string& name) {
  return no_such_entity(std::string(facts_of(kind).word) + " policy", name);
}

}  // namespace

Result<void> set_boundary(PrincipalRecord& record, const std::string& document) {
  if (size_without_space(document) > kLongestBoundary) return quota_exceeded("PolicySize", kLongestBoundary);
  if (auto parsed = parse_identity_document(document, PolicyUse::kIdentity); !parsed) {
    return std::move(parsed).error();
  }
  record.boundary = document;
  return {};
}

Result<Json> put_entity_policy(AdminCall& call) {
  auto named = named_policy(call, true);
  if (!named) return std::move(named).error();
  if (!is_entity_name(named->policy_name, kLongestPolicyName)) {
    return validation_error("a policy name has 1 to 128 of letters, digits and +=,.@_-");
  }
  if (auto parsed = parse_identity_document(named->document, PolicyUse::kIdentity); !parsed) {
    return std::move(parsed).error();
  }
  if (const auto there = named->find(); there != named->record.policies.end()) {
    there->document = named->document;
  } else {
    named->record.policies.push_back({named->policy_name, named->document});
  }
  std::size_t used = 0;
  for (const IdentityPolicy& policy : named->record.policies) used += size_without_space(policy.document);
  const KindFacts& facts = facts_of(call.kind);
  if (used > facts.policy_room) {
    return answer(Kind::kInvalid, "LimitExceeded",
                  "Maximum policy size of " + std::to_string(facts.policy_room) + " bytes exceeded for " +
                      facts.word + " " + named->record.name);
  }
  KMSFS_TRY(call.write(named->record));
  return Json::object();
}

Result<Json> get_entity_policy(AdminCall& call) {
  auto named = named_policy(call, false);
  if (!named) return std::move(named).error();
  const auto there = named->find();
  if (there == named->record.policies.end()) return no_such_policy(call.kind, named->policy_name);
  return Json{{name_member(call.kind), named->record.name},
              {"PolicyName", there->name},
              {"PolicyDocument", document_json(there->document)}};
}

Result<Json> list_entity_policies(AdminCall& call) {
  const Page page = call.in.page();
  const std::string name = call.in.text(name_member(call.kind).c_str());
  KMSFS_TRY(call.in.complete());
  auto principal = call.principal(name);
  if (!principal) return std::move(principal).error();
  std::vector<std::string> names;
  for (const IdentityPolicy& policy : (*principal)->record.policies) names.push_back(policy.name);
  std::ranges::sort(names);
  ListReply list("PolicyNames", page);
  for (const std::string& policy : names) {
    if (!list.add(policy, [&] { return Json(policy); })) break;
  }
  return std::move(list).finish();
}

Result<Json> delete_entity_policy(AdminCall& call) {
  auto named = named_policy(call, false);
  if (!named) return std::move(named).error();
  const auto there = named->find();
  if (there == named->record.policies.end()) return no_such_policy(call.kind, named->policy_name);
  named->record.policies.erase(there);
  KMSFS_TRY(call.write(named->record));
  return Json::object();
}

Result<Json> put_boundary(AdminCall& call) {
  const std::string name = call.in.text(name_member(call.kind).c_str()),
                    document = call.in.document("PermissionsBoundary");
  KMSFS_TRY(call.in.complete());
  auto principal = call.principal(name);
  if (!principal) return std::move(principal).error();
  PrincipalRecord changed = (*principal)->record;
  KMSFS_TRY(set_boundary(changed, document));
  KMSFS_TRY(call.write(changed));
  return Json::object();
}

Result<Json> delete_boundary(AdminCall& call) {
  const std::string name = call.in.text(name_member(call.kind).c_str());
  KMSFS_TRY(call.in.complete());
  auto principal = call.principal(name);
  if (!principal) return std::move(principal).error();
  PrincipalRecord changed = (*principal)->record;
  if (changed.boundary.empty()) return no_such_entity("permissions boundary of", name);
  changed.boundary.clear();
  KMSFS_TRY(call.write(changed));
  return Json::object();
}

}  // namespace kmsfs::kms
