#include "kms/records.h"

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
template <typename Value>
std::string name_in(const std::map<std::string, Value>& names, Value value) {
  for (const auto& [name, meant] : names) {
    if (meant == value) return name;
  }
  return {};
}

}  // namespace

Result<Generation> generation_of(ByteView bytes) {
  if (bytes.size() < kGenerationSize) return damaged("something");
  return load_be64(bytes.data());
}

Bytes write_record(const KeyRecord& record) {
  return stored(Json{{"id", record.id.hex()},
                     {"account", record.account},
                     {"description", record.description},
                     {"state", name_in(states(), record.state)},
                     {"manager", name_in(managers(), record.manager)},
                     {"created_ms", record.created_ms},
                     {"material", record.material.hex()},
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
  record.material = in.id<MaterialId>("material");
  record.aliases = in.texts("aliases");
  record.policy = in.text("policy");
  record.principals = in.pairs("principals");
  if (!in.ok() || !is_account(record.account)) return damaged("a key");
  return record;
}

Bytes write_record(const AliasRecord& record) {
  return stored(Json{{"target", record.target.hex()}, {"created_ms", record.created_ms}});
}

Result<AliasRecord> parse_alias_record(ByteView bytes) {
  const Json json = parse(bytes);
  Members in(json);
  AliasRecord record;
  record.target = in.id<KeyId>("target");
  record.created_ms = in.number("created_ms");
  if (!in.ok()) return damaged("an alias");
  return record;
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
  return LoadedKey{std::move(record), std::move(facts), std::move(*policy)};
}

}  // namespace kmsfs::kms
