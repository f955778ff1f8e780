#include "kms/records.h"

#include <nlohmann/json.hpp>

#include "core/random.h"
#include "kms/errors.h"

namespace kmsfs::kms {

namespace {

using Json = nlohmann::json;

constexpr std::size_t kGenerationSize = 8;

Error damaged(std::string_view what) {
  return internal_failure(
      error(Kind::kUnavailable, "the key store holds a damaged record of " + std::string(what)));
}

Bytes stored(const Json& json) {
  // Descriptions may hold any bytes; what is not UTF-8 is replaced rather than refused here.
  const std::string text = json.dump(-1, ' ', false, Json::error_handler_t::replace);
  Bytes out(kGenerationSize + text.size());
  random_bytes(ByteSpan(out).first(kGenerationSize));
  std::memcpy(out.data() + kGenerationSize, text.data(), text.size());
  return out;
}

Json parse(ByteView bytes) {
  if (bytes.size() < kGenerationSize) return {};
  return Json::parse(as_text(bytes.subspan(kGenerationSize)), nullptr, false);
}

// Members that must be there, one after the other; remembers whether one was not.
class Members {
 public:
  explicit Members(const Json& json) : json_(json), ok_(json.is_object()) {}
  bool ok() const { return ok_; }

  const Json* find(const char* name) {
    if (!ok_) return nullptr;
    const auto found = json_.find(name);
    if (found == json_.end()) ok_ = false;
    return ok_ ? &*found : nullptr;
  }
  std::string text(const char* name) {
    const Json* json = find(name);
    ok_ = json != nullptr && json->is_string();
    return ok_ ? json->get<std::string>() : std::string();
  }
  std::int64_t number(const char* name) {
    const Json* json = find(name);
    ok_ = json != nullptr && json->is_number_integer();
    return ok_ ? json->get<std::int64_t>() : 0;
  }
  template <typename AnyId>
  AnyId id(const char* name) {
    auto parsed = AnyId::parse_hex(text(name));
    ok_ = ok_ && parsed.ok();
    return ok_ ? *parsed : AnyId{};
  }
  template <typename Value>
  Value choice(const char* name, const std::map<std::string, Value>& choices) {
    const auto found = choices.find(text(name));
    ok_ = ok_ && found != choices.end();
    return ok_ ? found->second : Value{};
  }
  std::vector<std::string> texts(const char* name) {
    std::vector<std::string> out;
    const Json* json = find(name);
    ok_ = json != nullptr && json->is_array();
    for (std::size_t i = 0; ok_ && i < json->size(); ++i) {
      ok_ = (*json)[i].is_string();
      if (ok_) out.push_back((*json)[i].get<std::string>());
    }
    return out;
  }
  std::map<std::string, std::string> pairs(const char* name) {
    std::map<std::string, std::string> out;
    const Json* json = find(name);
    ok_ = json != nullptr && json->is_object();
    if (!ok_) return out;
    for (const auto& [key, value] : json->items()) {
      ok_ = ok_ && value.is_string();
      if (ok_) out[key] = value.get<std::string>();
    }
    return out;
  }

 private:
  const Json& json_;
  bool ok_;
};

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

Bytes write_record(const PrincipalRecord& record) {
  Json policies = Json::array();
  for (const auto& policy : record.policies)
    policies.push_back({{"name", policy.name}, {"document", policy.document}});
  return stored(Json{{"account", record.account},
                     {"name", record.name},
                     {"unique_id", record.unique_id},
                     {"created_ms", record.created_ms},
                     {"policies", std::move(policies)}});
}

Result<PrincipalRecord> parse_principal_record(ByteView bytes) {
  const Json json = parse(bytes);
  Members in(json);
  PrincipalRecord record;
  record.account = in.text("account");
  record.name = in.text("name");
  record.unique_id = in.text("unique_id");
  record.created_ms = in.number("created_ms");
  const Json* policies = in.find("policies");
  if (!in.ok() || !policies->is_array() || !is_account(record.account)) return damaged("a user");
  for (const Json& policy : *policies) {
    Members inner(policy);
    IdentityPolicy parsed{inner.text("name"), inner.text("document")};
    if (!inner.ok()) return damaged("a user");
    record.policies.push_back(std::move(parsed));
  }
  return record;
}

Bytes write_record(const AccountRecord& record) { return stored(Json{{"created_ms", record.created_ms}}); }

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

Result<LoadedPrincipal> load_principal(PrincipalRecord record) {
  LoadedPrincipal loaded;
  loaded.caller = Caller::user(record.account, record.name);
  loaded.caller.unique_id = record.unique_id;
  for (const IdentityPolicy& policy : record.policies) {
    auto parsed = parse_policy(policy.document, PolicyUse::kIdentity);
    if (!parsed) return damaged("a user");
    loaded.policies.push_back(NamedPolicy{policy.name, std::make_shared<const Policy>(std::move(*parsed))});
  }
  loaded.record = std::move(record);
  return loaded;
}

}  // namespace kmsfs::kms
