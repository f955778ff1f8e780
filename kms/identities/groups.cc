// Who is in which group. A user's record lists its groups; the members of a group are an index beside it.
#include <algorithm>
#include <utility>

#include "kms/identities/administration_door.h"
#include "kms/identities/identity_errors.h"
#include "kms/identities/principals.h"

namespace kmsfs::kms {

namespace {

constexpr std::size_t kMostGroups = 10;  // of one user, as at AWS

std::string members_prefix(const PrincipalRecord& group) { return arn_of(group) + "/"; }

struct Membership {
  PrincipalRecord user, group;
  bool is_member() const { return std::ranges::find(user.groups, group.name) != user.groups.end(); }
  std::string index() const { return members_prefix(group) + user.name; }
};

Result<Membership> named_membership(AdminCall& call) {
  const std::string user_name = call.in.text("UserName"), group_name = call.in.text("GroupName");
  KMSFS_TRY(call.in.complete());
  auto group = call.principal(group_name);
  if (!group) return std::move(group).error();
  auto user = require_principal(call.engine, call.transaction, EntityKind::kUser, (*group)->record.account,
                                user_name);
  if (!user) return std::move(user).error();
  call.touches((*group)->record.account, arn_of((*group)->record), facts_of(EntityKind::kGroup).cloud_type);
  return Membership{(*user)->record, (*group)->record};
}

}  // namespace

Result<Json> add_user_to_group(AdminCall& call) {
  auto membership = named_membership(call);
  if (!membership) return std::move(membership).error();
  if (membership->is_member()) return Json::object();
  PrincipalRecord& user = membership->user;
  if (user.groups.size() >= kMostGroups) return quota_exceeded("GroupsPerUser", kMostGroups);
  user.groups.push_back(membership->group.name);
  std::ranges::sort(user.groups);
  KMSFS_TRY(call.writer->put(Table::kMembers, as_bytes(membership->index()), {}));
  KMSFS_TRY(call.write(user));
  return Json::object();
}

Result<Json> remove_user_from_group(AdminCall& call) {
  auto membership = named_membership(call);
  if (!membership) return std::move(membership).error();
  if (!membership->is_member()) return no_such_entity("user in the group", membership->user.name);
  std::erase(membership->user.groups, membership->group.name);
  KMSFS_TRY(call.writer->erase(Table::kMembers, as_bytes(membership->index())));
  KMSFS_TRY(call.write(membership->user));
  return Json::object();
}

Result<Json> list_groups_for_user(AdminCall& call) {
  const Page page = call.in.page();
  const std::string name = call.in.text("UserName");
  KMSFS_TRY(call.in.complete());
  auto user = call.principal(name);
  if (!user) return std::move(user).error();
  ListReply list("Groups", page);
  for (const std::string& group_name : (*user)->record.groups) {
    auto group = require_principal(call.engine, call.transaction, EntityKind::kGroup, (*user)->record.account,
                                   group_name);
    if (!group) return std::move(group).error();
    if (!list.add(group_name, [&] { return entity_json(**group, false); })) break;
  }
  return std::move(list).finish();
}

Result<Json> group_members(AdminCall& call, const PrincipalRecord& group, const Page& page) {
  const std::string prefix = members_prefix(group);
  ListReply list("Users", page);
  Result<void> loaded;
  KMSFS_TRY(call.transaction.scan(
      Table::kMembers, prefix, page.after.empty() ? "" : prefix + page.after,
      [&](std::string_view index, ByteView) {
        const std::string name(index.substr(prefix.size()));
        auto user = require_principal(call.engine, call.transaction, EntityKind::kUser, group.account, name);
        if (!user) loaded = std::move(user).error();
        return loaded && list.add(name, [&] { return entity_json(**user, false); });
      }));
  KMSFS_TRY(std::move(loaded));
  return std::move(list).finish();
}

Result<bool> has_members(AdminCall& call, const PrincipalRecord& group) {
  bool found = false;
  KMSFS_TRY(
      call.transaction.scan(Table::kMembers, members_prefix(group), "", [&](std::string_view, ByteView) {
        found = true;
        return false;
      }));
  return found;
}

}  // namespace kmsfs::kms
