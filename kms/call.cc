#include "kms/call.h"

#include <utility>

#include "kms/errors.h"
#include "kms/grants.h"
#include "kms/keys.h"

namespace kmsfs::kms {

namespace {

constexpr std::size_t kMostGrantTokens = 10, kLongestGrantToken = 8192;  // of a request, as at AWS

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
  KMSFS_TRY(check_due(**key));
  add_resource(**key);
  return key;
}

Result<Call::Key> Call::resolve_own(std::string_view name) {
  auto key = resolve(name);
  if (!key || (*key)->record.account == caller().account) return key;
  auto parsed = parse_key_name(name);
  if (!parsed) return std::move(parsed).error();
  return not_there(*parsed, {});
}

Result<Call::Key> Call::key_of_id(const KeyId& id) {
  auto key = engine_.key(transaction_, id);
  if (!key) return key;
  if (!*key)
    return key_not_found("Key '" + key_arn(engine_.region(), caller().account, id) + "' does not exist");
  KMSFS_TRY(check_due(**key));
  add_resource(**key);
  return key;
}

Result<void> Call::check_due(const LoadedKey& key) {
  const std::int64_t due = due_ms(key.record);
  if (due == 0 || due > circumstances_.now_ms) return {};
  due_ = key.record.id;
  return not_recorded();
}

Result<void> Call::check_nothing_due() {
  auto due = first_due(engine_, transaction_);
  if (!due) return std::move(due).error();
  if (!*due) return {};
  due_ = **due;
  return not_recorded();
}

Result<void> Call::check_grant_tokens(const GrantTokens& tokens) {
  KMSFS_TRY(check_length("grantTokens", tokens.size(), 0, kMostGrantTokens));
  for (const std::string& token : tokens) {
    KMSFS_TRY(check_length("grantTokens", token.size(), 1, kLongestGrantToken));
    GrantName name{};
    if (auto grant = open_grant_token(engine_, transaction_, token, name); !grant) {
      return std::move(grant).error();
    }
  }
  return {};
}

void Call::add_resource(const LoadedKey& key) {
  record_.resources.push_back({key.facts.account, key.facts.arn, "AWS::KMS::Key"});
}

Result<Call::Key> Call::authorised_key(std::string_view name, const Use& use) {
  auto key = resolve(name);
  if (!key) return key;
  KMSFS_TRY(check_manager(**key));
  KMSFS_TRY(authorise(**key, use));
  if (!use.in_any_state) KMSFS_TRY(check_state(**key));
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
  KMSFS_TRY(check_due(**key));
  add_resource(**key);
  if (auto allowed = authorise(**key, use); !allowed) {
    return allowed.error().kind == Kind::kDenied ? unknown_ciphertext_key() : std::move(allowed).error();
  }
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

// What conditions may ask for.
static void apply(const Call::Use& use, Request& asked) {
  if (use.context != nullptr) {
    asked.encryption_context = use.context;
    asked.encryption_algorithm = "SYMMETRIC_DEFAULT";
  }
  asked.reencrypt_on_same_key = use.reencrypt_on_same_key;
  asked.request_tags = use.request_tags;
  asked.tag_keys = use.tag_keys;
  asked.new_grant = use.new_grant;
  asked.bypass_policy_lockout_safety_check = use.bypass_policy_lockout_safety_check;
  asked.pending_window_days = use.pending_window_days;
  asked.rotation_period_days = use.rotation_period_days;
}

Request Call::request_on_key(const LoadedKey& key, const Use& use) const {
  Request asked = request(use.action.empty() ? facts_.action : use.action, key.facts.arn, key.facts.account);
  asked.key = &key.facts;
  asked.request_alias = request_alias_;
  apply(use, asked);
  return asked;
}

Result<void> Call::authorise(const LoadedKey& key, const Use& use) {
  const Request asked = request_on_key(key, use);
  PolicySet set = policies(&key.policy);
  Decision decision = decide(asked, set);
  // Grants only allow: they are looked up where nothing else does.
  std::vector<Grant> grants;
  if (decision.verdict == Verdict::kImplicitDeny && key.record.grants > 0) {
    auto held = grants_of(engine_, transaction_, key.record.id, caller());
    if (!held) return std::move(held).error();
    grants = std::move(*held);
    set.grants = grants;
    decision = decide(asked, set);
  }
  if (!decision.allowed()) return access_denied(access_denied_message(decision, asked));
  return {};
}

Result<void> Call::authorise_without_key(std::string_view resource, const Use& use) {
  Request asked = request(use.action.empty() ? facts_.action : use.action, resource, caller().account);
  apply(use, asked);
  const Decision decision = decide(asked, policies(nullptr));
  if (!decision.allowed()) return access_denied(access_denied_message(decision, asked));
  return {};
}

Result<void> Call::authorise_retiring(const LoadedKey& key, const Grant& grant) {
  const Request asked = request_on_key(key, {});
  const Decision decision = decide_retire_grant(asked, policies(&key.policy), grant);
  if (!decision.allowed()) return access_denied(access_denied_message(decision, asked));
  return {};
}

// A service-managed key is its service's. Another account learns no more of it than of any foreign key.
Result<void> Call::check_manager(const LoadedKey& key) const {
  if (!facts_.manages || key.record.manager != KeyManager::kService ||
      key.record.account != caller().account) {
    return {};
  }
  return not_authorized("The key " + key.facts.arn +
                        " is managed by a service; it can be neither shared nor changed");
}

Result<void> Call::check_lockout(const KeyFacts& key, const Policy& policy) {
  Request asked = request("kms:PutKeyPolicy", key.arn, key.account);
  asked.key = &key;
  return kms::check_lockout(asked, policies(nullptr), policy);
}

Result<void> Call::check_state(const LoadedKey& key) const {
  const KeyState state = key.record.state;
  if (facts_.states == StateRule::kPendingDeletion) {
    if (state == KeyState::kPendingDeletion) return {};
    return answer(Kind::kInvalid, "KMSInvalidStateException", key.facts.arn + " is not pending deletion.");
  }
  if (facts_.states == StateRule::kAny || state == KeyState::kEnabled) return {};
  if (state == KeyState::kPendingDeletion) return invalid_state(key.facts.arn + " is pending deletion.");
  if (facts_.states == StateRule::kNotPendingDeletion) return {};
  return answer(Kind::kDisabled, "DisabledException", key.facts.arn + " is disabled.");
}

}  // namespace kmsfs::kms
