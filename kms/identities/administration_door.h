// What the operations behind the door of administration have in common: their parameters, their lists, and
// what each of them works on. Included by .cc files of kms/identities only.
//
// An operation reads all of its parameters, asks complete(), and then acts. Threads: one per call.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <string>

#include "kms/engine.h"
#include "kms/identities/access_keys.h"
#include "kms/identities/identity_records.h"

namespace kmsfs::kms {

using Json = nlohmann::ordered_json;

// Which part of a list is asked for.
struct Page {
  std::string after;  // name of the last one answered before; empty: from the start
  std::size_t most = 100;
};

// Members of a request, taken one after the other; remembers the first that is missing or wrong.
class Parameters {
 public:
  explicit Parameters(Json json) : json_(std::move(json)) {}

  std::string text(const char* name);                                 // 1 byte at least
  std::string text_or(const char* name, std::string_view otherwise);  // the same, if it is there
  std::optional<std::string> text_if_given(const char* name);         // may be empty
  std::optional<std::int64_t> number_if_given(const char* name);
  std::optional<bool> flag_if_given(const char* name);
  // A JSON object, given as text or as itself.
  std::string document(const char* name);
  std::string document_or_none(const char* name);
  const Json* object_if_given(const char* name);
  std::vector<std::string> texts(const char* name);  // a list of strings; none: empty
  std::optional<Tags> tags_if_given(const char* name);
  Page page();  // Marker, MaxItems

  // ValidationError if something was missing or wrong, or is not known.
  Result<void> complete() const;
  const Json& json() const { return json_; }

 private:
  const Json* find(const char* name);
  void complain(const std::string& text);
  Json json_;
  std::set<std::string> taken_;
  std::optional<Error> error_;
};

// {"Users": […], "IsTruncated": false}
class ListReply {
 public:
  ListReply(const char* name, const Page& page) : name_(name), page_(page) {}
  // Names come in ascending order. False: the page is full, and there is more.
  template <typename Make>
  bool add(std::string_view name, const Make& make) {
    if (!page_.after.empty() && name <= page_.after) return true;
    if (items_.size() >= page_.most) {
      truncated_ = true;
      return false;
    }
    items_.push_back(make());
    last_ = name;
    return true;
  }
  Json finish() &&;

 private:
  const char* name_;
  const Page page_;
  Json items_ = Json::array();
  std::string last_;
  bool truncated_ = false;
};

struct AdminCall {
  Engine& engine;
  const Transaction& transaction;
  WriteTransaction* writer;  // null for operations that change nothing; else the same as transaction
  AuditRecord& record;
  EntityKind kind;  // what the operation's name says
  Parameters in;
  std::optional<std::string> account_wish = {};  // AccountId
  std::optional<SecretAccessKey> secret = {};    // goes where the reply has kSecretPlaceholder

  // AccountId, or the only one that there is. InvalidInput, ValidationError.
  Result<std::string> account() const;
  // The principal of the operation's kind that `name` is, in account().
  Result<std::shared_ptr<const LoadedPrincipal>> principal(const std::string& name) const;
  void touches(const std::string& account, const std::string& arn, const char* cloud_type);
  // Writes a principal, and says in the record that it was touched.
  Result<void> write(const PrincipalRecord& changed);
};

inline constexpr std::string_view kSecretPlaceholder = "****************************************";

std::string iso_date(std::int64_t milliseconds);  // 2026-11-28T13:48:21+00:00
Json document_json(const std::string& document);  // stored documents are well-formed

// --- The operations, by file ---

using AdminOperation = Result<Json> (*)(AdminCall&);

Result<Json> create_account(AdminCall&);  // accounts.cc
Result<Json> list_accounts(AdminCall&);
Result<Json> map_uid(AdminCall&);
Result<Json> unmap_uid(AdminCall&);
Result<Json> list_uids(AdminCall&);

Result<Json> create_entity(AdminCall&);  // entities.cc: users, groups and roles
Result<Json> get_entity(AdminCall&);
Result<Json> list_entities(AdminCall&);
Result<Json> delete_entity(AdminCall&);
Result<Json> tag_entity(AdminCall&);
Result<Json> untag_entity(AdminCall&);
Result<Json> list_entity_tags(AdminCall&);

Result<Json> add_user_to_group(AdminCall&);  // groups.cc
Result<Json> remove_user_from_group(AdminCall&);
Result<Json> list_groups_for_user(AdminCall&);

Result<Json> update_role(AdminCall&);  // roles.cc
Result<Json> update_trust_policy(AdminCall&);

Result<Json> put_entity_policy(AdminCall&);  // inline_policies.cc
Result<Json> get_entity_policy(AdminCall&);
Result<Json> list_entity_policies(AdminCall&);
Result<Json> delete_entity_policy(AdminCall&);
Result<Json> put_boundary(AdminCall&);
Result<Json> delete_boundary(AdminCall&);

Result<Json> create_access_key(AdminCall&);  // access_keys.cc
Result<Json> update_access_key(AdminCall&);
Result<Json> delete_access_key(AdminCall&);
Result<Json> list_access_keys(AdminCall&);

Result<Json> why(AdminCall&);  // why.cc

// --- What they share ---

Json entity_json(const LoadedPrincipal& principal, bool in_full);
// Adds the members of a group, as GetGroup answers them.
Result<Json> group_members(AdminCall&, const PrincipalRecord& group, const Page& page);
Result<bool> has_members(AdminCall&, const PrincipalRecord& group);
Result<void> forget_uids_of(AdminCall&, const std::string& arn);
// A trust policy, checked, and its principals bound.
Result<void> set_trust_policy(AdminCall&, PrincipalRecord& role, const std::string& document);
struct RoleWishes {
  std::optional<std::string> description;
  std::optional<std::int64_t> max_session_seconds;
};
RoleWishes role_wishes(Parameters& in);
Result<void> set_role_facts(PrincipalRecord& role, const RoleWishes& wishes);
Result<void> set_boundary(PrincipalRecord& record, const std::string& document);
Result<void> add_tags(PrincipalRecord& record, const Tags& tags);

}  // namespace kmsfs::kms
