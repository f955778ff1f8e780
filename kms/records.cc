#include "kms/records.h"

#include "core/kdf.h"
#include "kms/errors.h"
#include "kms/record_json.h"

namespace kmsfs::kms {

namespace {

using namespace record_json;  // NOLINT: the vocabulary of this file

const std::map<std::string, KeyState>& states() {
  static const std::map<std::string, KeyState> names = {{"Enabled", KeyState::kEnabled},
                                                        {"Disabled", KeyState::kDisabled},
                                                        {"PendingDeletion", KeyState::kPendingDeletion}};
  return names;
}
const std::map<std::string, KeyManager>& managers() {
  static const std::map<std::string, KeyManager> names = {{"CUSTOMER", KeyManager::kCustomer},
                                                          {"SERVICE", KeyManager::kService}};
  return names;
}
const std::map<std::string, MaterialOrigin>& origins() {
  static const std::map<std::string, MaterialOrigin> names = {{"FIRST", MaterialOrigin::kFirst},
                                                              {"AUTOMATIC", MaterialOrigin::kAutomatic},
                                                              {"ON_DEMAND", MaterialOrigin::kOnDemand}};
  return names;
}
const std::map<std::string, GrantConstraint>& constraints() {
  static const std::map<std::string, GrantConstraint> names = {
      {"none", GrantConstraint::kNone},
      {"equals", GrantConstraint::kEncryptionContextEquals},
      {"subset", GrantConstraint::kEncryptionContextSubset}};
  return names;
}
template <typename Value>
std::string name_in(const std::map<std::string, Value>& names, Value value) {
  for (const auto& [name, meant] : names) {
    if (meant == value) return name;
  }
  return {};
}

bool read(const Json& json, std::vector<MaterialVersion>& materials) {
  if (!json.is_array()) return false;
  for (const Json& one : json) {
    Members in(one);
    MaterialVersion material;
    material.id = in.id<MaterialId>("id");
    material.since_ms = in.number("since_ms");
    material.origin = in.choice("origin", origins());
    if (!in.ok()) return false;
    materials.push_back(material);
  }
  return !materials.empty();
}

bool read(const Json& json, RotationPlan& rotation) {
  Members in(json);
  const Json* enabled = in.find("enabled");
  rotation.period_days = in.number("period_days");
  rotation.next_ms = in.number("next_ms");
  if (!in.ok() || !enabled->is_boolean()) return false;
  rotation.enabled = enabled->get<bool>();
  return true;
}

// What callers know a material by; says nothing of the material.
std::string public_id(const KeyId& key, const MaterialId& material) {
  constexpr std::string_view label = "kmsfs kms material id 1";
  Bytes text(label.size() + 2 * KeyId::kSize);
  ByteWriter out(text);
  out.bytes(as_bytes(label));
  out.bytes(key.view());
  out.bytes(material.view());
  return to_hex(sha256(text));
}

}  // namespace

Result<Generation> generation_of(ByteView bytes) {
  if (bytes.size() < kGenerationSize) return damaged("something");
  return load_be64(bytes.data());
}

Bytes write_record(const KeyRecord& record) {
  Json materials = Json::array();
  for (const MaterialVersion& material : record.materials) {
    materials.push_back({{"id", material.id.hex()},
                         {"since_ms", material.since_ms},
                         {"origin", name_in(origins(), material.origin)}});
  }
  return stored(Json{{"id", record.id.hex()},
                     {"account", record.account},
                     {"description", record.description},
                     {"state", name_in(states(), record.state)},
                     {"manager", name_in(managers(), record.manager)},
                     {"created_ms", record.created_ms},
                     {"deletion_ms", record.deletion_ms},
                     {"materials", std::move(materials)},
                     {"rotation",
                      {{"enabled", record.rotation.enabled},
                       {"period_days", record.rotation.period_days},
                       {"next_ms", record.rotation.next_ms}}},
                     {"tags", record.tags},
                     {"grants", record.grants},
                     {"aliases", record.aliases},
                     {"policy", record.policy},
                     {"principals", record.principals}});
}

Result<KeyRecord> parse_key_record(ByteView bytes) {
  const Json json = parse(bytes);
  Members in(json);
  KeyRecord record;
  record.id = in.id<KeyId>("id");
  record.account = in.text("account");
  record.description = in.text("description");
  record.state = in.choice("state", states());
  record.manager = in.choice("manager", managers());
  record.created_ms = in.number("created_ms");
  record.deletion_ms = in.number("deletion_ms");
  const Json* materials = in.find("materials");
  const Json* rotation = in.find("rotation");
  record.tags = in.pairs("tags");
  record.grants = in.number("grants");
  record.aliases = in.texts("aliases");
  record.policy = in.text("policy");
  record.principals = in.pairs("principals");
  if (!in.ok() || !is_account(record.account) || !read(*materials, record.materials) ||
      !read(*rotation, record.rotation)) {
    return damaged("a key");
  }
  return record;
}

Bytes write_record(const AliasRecord& record) {
  return stored(Json{
      {"target", record.target.hex()}, {"created_ms", record.created_ms}, {"updated_ms", record.updated_ms}});
}

Result<AliasRecord> parse_alias_record(ByteView bytes) {
  const Json json = parse(bytes);
  Members in(json);
  AliasRecord record;
  record.target = in.id<KeyId>("target");
  record.created_ms = in.number("created_ms");
  record.updated_ms = in.number("updated_ms");
  if (!in.ok()) return damaged("an alias");
  return record;
}

Bytes write_record(const GrantRecord& record) {
  const Grant& grant = record.grant;
  return stored(Json{{"id", grant.id},
                     {"key_arn", grant.key_arn},
                     {"grantee", grant.grantee},
                     {"grantee_unique_id", grant.grantee_unique_id},
                     {"retiring", grant.retiring},
                     {"retiring_unique_id", grant.retiring_unique_id},
                     {"issuing_account", grant.issuing_account},
                     {"operations", grant.operations},
                     {"constraint", name_in(constraints(), grant.constraint)},
                     {"constraint_context", grant.constraint_context},
                     {"name", record.name},
                     {"created_ms", record.created_ms}});
}

Result<GrantRecord> parse_grant_record(ByteView bytes) {
  const Json json = parse(bytes);
  Members in(json);
  GrantRecord record;
  Grant& grant = record.grant;
  grant.id = in.text("id");
  grant.key_arn = in.text("key_arn");
  grant.grantee = in.text("grantee");
  grant.grantee_unique_id = in.text("grantee_unique_id");
  grant.retiring = in.text("retiring");
  grant.retiring_unique_id = in.text("retiring_unique_id");
  grant.issuing_account = in.text("issuing_account");
  grant.operations = in.texts("operations");
  grant.constraint = in.choice("constraint", constraints());
  grant.constraint_context = in.pairs("constraint_context");
  record.name = in.text("name");
  record.created_ms = in.number("created_ms");
  if (!in.ok()) return damaged("a grant");
  return record;
}

std::int64_t due_ms(const KeyRecord& record) {
  if (record.state == KeyState::kPendingDeletion) return record.deletion_ms;
  return record.state == KeyState::kEnabled && record.rotation.enabled ? record.rotation.next_ms : 0;
}

const std::string* LoadedKey::id_of(const MaterialId& material) const {
  for (std::size_t i = record.materials.size(); i-- > 0;) {
    if (record.materials[i].id == material) return &material_ids[i];
  }
  return nullptr;
}

Result<LoadedKey> load_key(KeyRecord record, std::string_view region) {
  auto policy = parse_policy(record.policy, PolicyUse::kKey);
  if (!policy) return damaged("a key");
  policy->bind_principals(record.principals);
  KeyFacts facts;
  facts.arn = key_arn(region, record.account, record.id);
  facts.account = record.account;
  facts.manager = record.manager;
  facts.aliases = record.aliases;
  facts.tags = record.tags;
  std::vector<std::string> material_ids;
  for (const MaterialVersion& material : record.materials) {
    material_ids.push_back(public_id(record.id, material.id));
  }
  return LoadedKey{std::move(record), std::move(facts), std::move(*policy), std::move(material_ids)};
}

}  // namespace kmsfs::kms
