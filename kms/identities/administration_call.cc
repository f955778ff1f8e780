#include "kms/identities/administration_call.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <cstring>
#include <utility>

#include "kms/decision/strict_json.h"
#include "kms/identities/administration_door.h"
#include "kms/identities/identity_errors.h"
#include "kms/perform.h"

namespace kmsfs::kms {

namespace {

constexpr std::size_t kLargestRequest = 1024 * 1024;

struct Entry {
  std::string_view name;
  AdminOperation act;
  bool changes = false;
  EntityKind kind = EntityKind::kUser;
};

constexpr bool kReads = false, kChanges = true;
constexpr EntityKind kUser = EntityKind::kUser, kGroup = EntityKind::kGroup, kRole = EntityKind::kRole;

constexpr Entry kEntries[] = {
    // sorted by name
    {"AddUserToGroup", add_user_to_group, kChanges, kGroup},
    {"CreateAccessKey", create_access_key, kChanges},
    {"CreateAccount", create_account, kChanges},
    {"CreateGroup", create_entity, kChanges, kGroup},
    {"CreateRole", create_entity, kChanges, kRole},
    {"CreateUser", create_entity, kChanges, kUser},
    {"DeleteAccessKey", delete_access_key, kChanges},
    {"DeleteGroup", delete_entity, kChanges, kGroup},
    {"DeleteGroupPolicy", delete_entity_policy, kChanges, kGroup},
    {"DeleteRole", delete_entity, kChanges, kRole},
    {"DeleteRolePermissionsBoundary", delete_boundary, kChanges, kRole},
    {"DeleteRolePolicy", delete_entity_policy, kChanges, kRole},
    {"DeleteUser", delete_entity, kChanges, kUser},
    {"DeleteUserPermissionsBoundary", delete_boundary, kChanges, kUser},
    {"DeleteUserPolicy", delete_entity_policy, kChanges, kUser},
    {"GetGroup", get_entity, kReads, kGroup},
    {"GetGroupPolicy", get_entity_policy, kReads, kGroup},
    {"GetRole", get_entity, kReads, kRole},
    {"GetRolePolicy", get_entity_policy, kReads, kRole},
    {"GetUser", get_entity, kReads, kUser},
    {"GetUserPolicy", get_entity_policy, kReads, kUser},
    {"ListAccessKeys", list_access_keys, kReads},
    {"ListAccounts", list_accounts, kReads},
    {"ListGroupPolicies", list_entity_policies, kReads, kGroup},
    {"ListGroups", list_entities, kReads, kGroup},
    {"ListGroupsForUser", list_groups_for_user, kReads, kUser},
    {"ListRolePolicies", list_entity_policies, kReads, kRole},
    {"ListRoleTags", list_entity_tags, kReads, kRole},
    {"ListRoles", list_entities, kReads, kRole},
    {"ListUids", list_uids, kReads},
    {"ListUserPolicies", list_entity_policies, kReads, kUser},
    {"ListUserTags", list_entity_tags, kReads, kUser},
    {"ListUsers", list_entities, kReads, kUser},
    {"MapUid", map_uid, kChanges},
    {"PutGroupPolicy", put_entity_policy, kChanges, kGroup},
    {"PutRolePermissionsBoundary", put_boundary, kChanges, kRole},
    {"PutRolePolicy", put_entity_policy, kChanges, kRole},
    {"PutUserPermissionsBoundary", put_boundary, kChanges, kUser},
    {"PutUserPolicy", put_entity_policy, kChanges, kUser},
    {"RemoveUserFromGroup", remove_user_from_group, kChanges, kGroup},
    {"TagRole", tag_entity, kChanges, kRole},
    {"TagUser", tag_entity, kChanges, kUser},
    {"UnmapUid", unmap_uid, kChanges},
    {"UntagRole", untag_entity, kChanges, kRole},
    {"UntagUser", untag_entity, kChanges, kUser},
    {"UpdateAccessKey", update_access_key, kChanges},
    {"UpdateAssumeRolePolicy", update_trust_policy, kChanges, kRole},
    {"UpdateRole", update_role, kChanges, kRole},
    {"Why", why, kReads},
};
static_assert(std::ranges::is_sorted(kEntries, {}, &Entry::name));

constexpr auto kNames = [] {
  std::array<std::string_view, std::size(kEntries)> names;
  for (std::size_t i = 0; i < names.size(); ++i) names[i] = kEntries[i].name;
  return names;
}();

Result<Json> parse_request(std::string_view text) {
  if (text.size() > kLargestRequest) return validation_error("the request is larger than 1 MiB");
  if (text.empty()) return Json::object();
  std::string complaint;
  Json json = parse_strict_json<Json>(text, complaint);
  if (complaint.empty() && !json.is_object()) complaint = "is not a JSON object";
  if (!complaint.empty()) return validation_error("the request " + complaint);
  return json;
}

// As CloudTrail writes them: {"userName": …}
std::string request_parameters(const Json& request) {
  Json out = Json::object();
  for (const auto& [name, value] : request.items()) {
    std::string lower = name;
    lower[0] = static_cast<char>(std::tolower(static_cast<unsigned char>(lower[0])));
    out[lower] = value;
  }
  return out.empty() ? "null" : out.dump();
}

Result<SensitiveBytes> answer_of(const Json& reply, const std::optional<SecretAccessKey>& secret) {
  const std::string text = reply.dump(4) + "\n";
  auto bytes = SensitiveBytes::make(text.size());
  if (!bytes) return bytes;
  std::memcpy(bytes->fill().data(), text.data(), text.size());
  if (secret) {
    const std::size_t at = text.find(kSecretPlaceholder);
    if (at == std::string::npos) return error(Kind::kInternal, "the answer has no place for its secret");
    std::memcpy(bytes->fill().data() + at, secret->reveal().data(), SecretAccessKey::kSize);
  }
  return bytes;
}

Result<SensitiveBytes> run(const Entry& entry, AdminCall& call) {
  call.account_wish = call.in.text_if_given("AccountId");
  auto reply = entry.act(call);
  if (!reply) return std::move(reply).error();
  return answer_of(*reply, call.secret);
}

// What was read is told only if it was so until the record was written, and then it is read again.
Result<SensitiveBytes> read(Administration& administration, const Entry& entry, const Json& request,
                            uid_t by) {
  Engine& engine = administration.engine();
  for (int round = 0; round < kDecisionLimit; ++round) {
    auto transaction = engine.read();
    if (!transaction) return internal_failure(std::move(transaction).error());
    auto last_change = engine.last_change(**transaction);
    if (!last_change) return std::move(last_change).error();
    AuditRecord record = administration.begin_record(entry.name, kIamSource, request_parameters(request), by);
    AdminCall call{engine, **transaction, nullptr, record, entry.kind, Parameters(request)};
    auto answer = run(entry, call);
    if (!answer) tell_error(record, answer.error());
    auto recorded = engine.record_use(record, *last_change);
    if (!recorded) return std::move(recorded).error();
    if (*recorded) return answer;
  }
  return changes_too_fast();
}

Result<SensitiveBytes> change(Administration& administration, const Entry& entry, Json request, uid_t by) {
  std::optional<SensitiveBytes> answer;
  const auto act = [&](WriteTransaction& transaction, AuditRecord& record) -> Result<void> {
    AdminCall call{administration.engine(),       transaction, &transaction, record, entry.kind,
                   Parameters(std::move(request))};
    auto made = run(entry, call);
    if (!made) return std::move(made).error();
    answer = std::move(*made);
    return {};
  };
  KMSFS_TRY(administration.change(entry.name, kIamSource, request_parameters(request), act, by));
  return std::move(*answer);
}

}  // namespace

Result<SensitiveBytes> administration_call(Administration& administration, std::string_view operation,
                                           std::string_view json, uid_t by) {
  const auto entry = std::ranges::lower_bound(kEntries, operation, {}, &Entry::name);
  if (entry == std::end(kEntries) || entry->name != operation) {
    return answer(Kind::kInvalid, "InvalidAction",
                  "administration has no operation " + std::string(operation.substr(0, 64)));
  }
  auto request = parse_request(json);
  if (!request) return std::move(request).error();
  return entry->changes ? change(administration, *entry, std::move(*request), by)
                        : read(administration, *entry, *request, by);
}

std::span<const std::string_view> administration_operations() { return kNames; }

}  // namespace kmsfs::kms
