#include "kms/call.h"

#include <utility>

#include "kms/errors.h"

namespace kmsfs::kms {

namespace {

Error unknown_ciphertext_key() {
  return access_denied(
      "The ciphertext refers to a customer master key that does not exist, does not exist in this region, or "
      "you are "
      "not allowed to access.");
}

}  // namespace

Call::Call(Engine& engine, const OperationFacts& facts, const Invocation& from,
           const Transaction& transaction, AuditRecord& record)
    : engine_(engine), facts_(facts), from_(from), transaction_(transaction), record_(record) {
  circumstances_.now_ms = record.time_ms;
  circumstances_.source_ip = from.source_ip;
  circumstances_.user_agent = from.user_agent;
  circumstances_.region = engine.region();
  circumstances_.secure_transport = from.secure_transport;
}

Result<void> Call::identify() {
  record_.identity.arn = from_.principal;
  record_.identity.access_key_id = from_.access_key_id;
  auto identity = CallerIdentity::load(engine_, transaction_, from_);
  if (!identity) return std::move(identity).error();
  identity_ = std::move(*identity);
  identity_->describe(record_.identity);
  return {};
}

Error Call::not_there(const KeyName& name, std::string_view text) const {
  // Another account's keys: whether they exist is nobody's business.
  if (!name.account.empty() && name.account != caller().account) {
    const std::string action(facts_.action);
    return access_denied("User: " + caller().arn + " is not authorized to perform: " + action +
                         " because no resource-based policy allows the " + action + " action");
  }
  return key_not_found(std::string(text));
}

Result<Call::Key> Call::resolve(std::string_view text) {
  auto name = parse_key_name(text);
  if (!name) return std::move(name).error();
  request_alias_ = name->alias;
  if (!name->region.empty() && name->region != engine_.region()) {
    return key_not_found("Invalid arn " + name->region);
  }
  const std::string& account = name->account.empty() ? caller().account : name->account;
  if (!name->alias.empty()) {
    if (facts_.names == NameRule::kIdOrArn) return key_not_found("Invalid keyId '" + std::string(text) + "'");
    auto stored = transaction_.get(Table::kAliases, as_bytes(account + "/" + name->alias));
    if (!stored) return internal_failure(std::move(stored).error());
    if (!*stored) {
      return not_there(*name,
                       "Alias " + alias_arn(engine_.region(), account, name->alias) + " is not found.");
    }
    auto alias = parse_alias_record(**stored);
    if (!alias) return std::move(alias).error();
    name->id = alias->target;
  }
  auto key = engine_.key(transaction_, *name->id);
  if (!key) return key;
  if (!*key || (*key)->record.account != account) {
    return not_there(*name, "Key '" + key_arn(engine_.region(), account, *name->id) + "' does not exist");
  }
  add_resource(**key);
  return key;
}

void Call::add_resource(const LoadedKey& key) {
  record_.resources.push_back({key.facts.account, key.facts.arn, "AWS::KMS::Key"});
}

Result<Call::Key> Call::authorised_key(std::string_view name, const Use& use) {
  auto key = resolve(name);
  if (!key) return key;
  KMSFS_TRY(authorise(**key, use));
  KMSFS_TRY(check_state(**key));
  return key;
}

Result<Call::Key> Call::authorised_key_of_blob(ByteView blob, std::string_view name, const Use& use) {
  const auto header = parse_blob_header(blob);
  if (!name.empty()) {
    auto key = authorised_key(name, use);
    if (!key) return key;
    if (!header) return invalid_ciphertext();
    if (header->key == (*key)->record.id) return key;
    // Of another key here, or damaged?
    auto other = engine_.key(transaction_, header->key);
    if (!other) return other;
    return *other ? incorrect_key() : invalid_ciphertext();
  }
  if (!header) return invalid_ciphertext();
  request_alias_.clear();
  auto key = engine_.key(transaction_, header->key);
  if (!key) return key;
  if (!*key) return unknown_ciphertext_key();
  add_resource(**key);
  if (!authorise(**key, use)) return unknown_ciphertext_key();
  KMSFS_TRY(check_state(**key));
  return key;
}

Request Call::request(std::string_view action, std::string_view resource,
                      std::string_view resource_account) const {
  Request request;
  request.caller = &caller();
  request.circumstances = &circumstances_;
  request.action = action;
  request.resource = resource;
  request.resource_account = resource_account;
  return request;
}

PolicySet Call::policies(const Policy* resource_policy) const {
  PolicySet set = identity_->own_policies();
  set.resource_policy = resource_policy;
  return set;
}

Result<void> Call::authorise(const LoadedKey& key, const Use& use) {
  Request asked = request(use.action.empty() ? facts_.action : use.action, key.facts.arn, key.facts.account);
  asked.key = &key.facts;
  asked.request_alias = request_alias_;
  asked.reencrypt_on_same_key = use.reencrypt_on_same_key;
  if (use.context != nullptr) {
    asked.encryption_context = use.context;
    asked.encryption_algorithm = "SYMMETRIC_DEFAULT";
  }
  const Decision decision = decide(asked, policies(&key.policy));
  if (!decision.allowed()) return access_denied(access_denied_message(decision, asked));
  return {};
}

Result<void> Call::authorise_without_key(std::string_view resource) {
  const Request asked = request(facts_.action, resource, caller().account);
  const Decision decision = decide(asked, policies(nullptr));
  if (!decision.allowed()) return access_denied(access_denied_message(decision, asked));
  return {};
}

Result<void> Call::check_lockout(const KeyFacts& key, const Policy& policy) {
  Request asked = request("kms:PutKeyPolicy", key.arn, key.account);
  asked.key = &key;
  return kms::check_lockout(asked, policies(nullptr), policy);
}

Result<void> Call::check_state(const LoadedKey& key) const {
  if (facts_.states == StateRule::kAny || key.record.state == KeyState::kEnabled) return {};
  if (key.record.state == KeyState::kPendingDeletion) {
    return answer(Kind::kDisabled, "KMSInvalidStateException", key.facts.arn + " is pending deletion.");
  }
  if (facts_.states == StateRule::kNotPendingDeletion) return {};
  return answer(Kind::kDisabled, "DisabledException", key.facts.arn + " is disabled.");
}

}  // namespace kmsfs::kms
