#include "kms/identities/identity_records.h"

#include <utility>

#include "kms/names.h"
#include "kms/record_json.h"

namespace kmsfs::kms {

namespace {

using record_json::damaged;
using record_json::Json;
using record_json::Members;

const std::map<std::string, EntityKind>& kinds() {
  static const std::map<std::string, EntityKind> names = {
      {"user", EntityKind::kUser}, {"group", EntityKind::kGroup}, {"role", EntityKind::kRole}};
  return names;
}

const std::string& name_of(EntityKind kind) {
  for (const auto& [name, meant] : kinds()) {
    if (meant == kind) return name;
  }
  std::abort();  // every kind is in the list
}

}  // namespace

std::string entity_arn(EntityKind kind, std::string_view account, std::string_view name) {
  return std::string("arn:aws:iam::")
      .append(account)
      .append(":")
      .append(name_of(kind))
      .append("/")
      .append(name);
}

Bytes write_record(const PrincipalRecord& record) {
  Json policies = Json::array();
  for (const auto& policy : record.policies)
    policies.push_back({{"name", policy.name}, {"document", policy.document}});
  Json json{{"kind", name_of(record.kind)},
            {"account", record.account},
            {"name", record.name},
            {"unique_id", record.unique_id},
            {"created_ms", record.created_ms},
            {"policies", std::move(policies)},
            {"boundary", record.boundary},
            {"tags", record.tags}};
  if (record.kind == EntityKind::kUser) {
    json["groups"] = record.groups;
    json["access_keys"] = record.access_keys;
  }
  if (record.kind == EntityKind::kRole) {
    json["role"] = {{"trust_policy", record.role.trust_policy},
                    {"principals", record.role.principals},
                    {"description", record.role.description},
                    {"max_session_seconds", record.role.max_session_seconds}};
  }
  return record_json::stored(json);
}

Result<PrincipalRecord> parse_principal_record(ByteView bytes) {
  const Json json = record_json::parse(bytes);
  Members in(json);
  PrincipalRecord record;
  record.kind = in.choice("kind", kinds());
  record.account = in.text("account");
  record.name = in.text("name");
  record.unique_id = in.text("unique_id");
  record.created_ms = in.number("created_ms");
  record.boundary = in.text("boundary");
  record.tags = in.pairs("tags");
  if (record.kind == EntityKind::kUser) {
    record.groups = in.texts("groups");
    record.access_keys = in.texts("access_keys");
  }
  const Json* policies = in.find("policies");
  if (!in.ok() || !policies->is_array() || !is_account(record.account)) return damaged("a principal");
  for (const Json& policy : *policies) {
    Members inner(policy);
    IdentityPolicy parsed{inner.text("name"), inner.text("document")};
    if (!inner.ok()) return damaged("a principal");
    record.policies.push_back(std::move(parsed));
  }
  if (record.kind == EntityKind::kRole) {
    const Json* role = in.find("role");
    if (role == nullptr) return damaged("a role");
    Members inner(*role);
    record.role.trust_policy = inner.text("trust_policy");
    record.role.principals = inner.pairs("principals");
    record.role.description = inner.text("description");
    record.role.max_session_seconds = inner.number("max_session_seconds");
    if (!inner.ok()) return damaged("a role");
  }
  return record;
}

Bytes write_record(const AccountRecord& record) {
  return record_json::stored(Json{{"created_ms", record.created_ms}, {"access_keys", record.access_keys}});
}

Result<AccountRecord> parse_account_record(ByteView bytes) {
  const Json json = record_json::parse(bytes);
  Members in(json);
  AccountRecord record;
  record.created_ms = in.number("created_ms");
  record.access_keys = in.texts("access_keys");
  if (!in.ok()) return damaged("an account");
  return record;
}

Bytes write_record(const AccessKeyRecord& record) {
  return record_json::stored(Json{{"principal", record.principal},
                                  {"active", record.active},
                                  {"created_ms", record.created_ms},
                                  {"sealed_secret", to_base64(record.sealed_secret)}});
}

Result<AccessKeyRecord> parse_access_key_record(ByteView bytes) {
  const Json json = record_json::parse(bytes);
  Members in(json);
  AccessKeyRecord record;
  record.principal = in.text("principal");
  record.created_ms = in.number("created_ms");
  auto sealed = from_base64(in.text("sealed_secret"));
  const Json* active = in.find("active");
  if (!in.ok() || !sealed || !active->is_boolean()) return damaged("an access key");
  record.active = active->get<bool>();
  record.sealed_secret = std::move(*sealed);
  return record;
}

Result<LoadedPrincipal> load_principal(PrincipalRecord record) {
  LoadedPrincipal loaded;
  loaded.caller = record.kind == EntityKind::kRole ? Caller::session(record.account, record.name, {})
                                                   : Caller::user(record.account, record.name);
  loaded.caller.unique_id = record.unique_id;
  loaded.caller.tags = record.tags;
  const auto add = [](const std::string& document, PolicyUse use) -> Result<Policy> {
    auto parsed = parse_policy(document, use);
    if (!parsed) return damaged("a principal");
    return parsed;
  };
  for (const IdentityPolicy& policy : record.policies) {
    auto parsed = add(policy.document, PolicyUse::kIdentity);
    if (!parsed) return std::move(parsed).error();
    loaded.policies.push_back(NamedPolicy{policy.name, std::make_shared<const Policy>(std::move(*parsed))});
  }
  if (!record.boundary.empty()) {
    auto parsed = add(record.boundary, PolicyUse::kIdentity);
    if (!parsed) return std::move(parsed).error();
    loaded.boundary = NamedPolicy{record.name, std::make_shared<const Policy>(std::move(*parsed))};
  }
  if (record.kind == EntityKind::kRole) {
    auto parsed = add(record.role.trust_policy, PolicyUse::kTrust);
    if (!parsed) return std::move(parsed).error();
    parsed->bind_principals(record.role.principals);
    loaded.trust = std::move(*parsed);
  }
  loaded.record = std::move(record);
  return loaded;
}

}  // namespace kmsfs::kms
