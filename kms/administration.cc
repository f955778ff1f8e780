#include "kms/administration.h"

#include <unistd.h>

#include <algorithm>
#include <utility>

#include "kms/errors.h"
#include "kms/identities/principals.h"
#include "kms/keys.h"

namespace kmsfs::kms {

namespace {

constexpr std::string_view kKms = "kms.amazonaws.com";

// The first user of a store administers it; further users get what they are given.
constexpr const char* kFullAccess =
    R"({"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"kms:*","Resource":"*"}]})";

using Members = EncryptionContext;  // names and values

std::string parameters(const Members& members) {
  std::string out;
  JsonWriter json(out);
  json.begin();
  for (const auto& [name, value] : members) json.text(name, value);
  json.end();
  return out;
}

Result<PrincipalRecord> add_user(Engine& engine, WriteTransaction& transaction, const std::string& account,
                                 const std::string& name, std::vector<IdentityPolicy> policies) {
  PrincipalRecord wish;
  wish.account = account;
  wish.name = name;
  wish.policies = std::move(policies);
  return add_principal(engine, transaction, std::move(wish));
}

Result<std::optional<std::string>> stored_user_of_uid(const Transaction& transaction, uid_t uid) {
  auto stored = transaction.get(Table::kUids, as_bytes(std::to_string(uid)));
  if (!stored) return std::move(stored).error();
  if (!*stored) return std::optional<std::string>();
  return std::optional<std::string>(as_text(**stored));
}

Result<std::shared_ptr<const LoadedKey>> stored_key_of_alias(Engine& engine, const Transaction& transaction,
                                                             const std::string& account,
                                                             const std::string& alias) {
  auto stored = transaction.get(Table::kAliases, as_bytes(account + "/" + alias));
  if (!stored) return std::move(stored).error();
  if (!*stored) return std::shared_ptr<const LoadedKey>();
  auto record = parse_alias_record(**stored);
  if (!record) return std::move(record).error();
  return engine.key(transaction, record->target);
}

}  // namespace

AuditRecord Administration::begin_record(std::string_view event, std::string_view source, std::string text,
                                         uid_t by) const {
  AuditRecord record = record_of_owner(by, event, std::move(text));
  record.time_ms = engine_.now_ms();
  record.source = source;
  record.region = engine_.region();
  return record;
}

Result<void> Administration::change(std::string_view event, std::string_view source, std::string text,
                                    const Engine::Change& act, uid_t by) {
  AuditRecord record = begin_record(event, source, std::move(text), by);
  record.read_only = false;
  return engine_.change(record, act);
}

Result<void> Administration::tell(std::string_view event, std::string text, uid_t by) {
  return change(
      event, "kms.amazonaws.com", std::move(text),
      [](WriteTransaction&, AuditRecord&) { return Result<void>(); }, by);
}

Result<std::optional<std::string>> Administration::user_of_uid(uid_t uid) {
  auto transaction = engine_.read();
  if (!transaction) return std::move(transaction).error();
  return stored_user_of_uid(**transaction, uid);
}

Result<std::string> Administration::ensure_user_of_uid(uid_t uid, const std::string& name) {
  auto known = user_of_uid(uid);
  if (!known) return std::move(known).error();
  if (*known) return std::move(**known);
  std::string arn;
  const std::string text = parameters({{"uid", std::to_string(uid)}, {"userName", name}});
  const auto act = [&](WriteTransaction& transaction, AuditRecord& record) -> Result<void> {
    // Another process may have been faster.
    auto there = stored_user_of_uid(transaction, uid);
    if (!there) return std::move(there).error();
    if (*there) {
      arn = std::move(**there);
      return {};
    }
    auto account = add_account(engine_, transaction);
    if (!account) return std::move(account).error();
    auto added = add_user(engine_, transaction, *account, name, {{"KmsFullAccess", kFullAccess}});
    if (!added) return std::move(added).error();
    arn = arn_of(*added);
    record.resources.push_back({*account, arn, "AWS::IAM::User"});
    return transaction.put(Table::kUids, as_bytes(std::to_string(uid)), as_bytes(arn));
  };
  KMSFS_TRY(change("CreateUser", kIamSource, text, act));
  return arn;
}

Result<std::string> Administration::create_account() {
  std::string account;
  const auto act = [&](WriteTransaction& transaction, AuditRecord& record) -> Result<void> {
    auto added = add_account(engine_, transaction);
    if (!added) return std::move(added).error();
    account = std::move(*added);
    record.resources.push_back({account, root_arn(account), "AWS::Account"});
    return {};
  };
  KMSFS_TRY(change("CreateAccount", kIamSource, "null", act));
  return account;
}

Result<std::string> Administration::create_user(const std::string& account, const std::string& name) {
  std::string arn;
  const std::string text = parameters({{"accountId", account}, {"userName", name}});
  const auto act = [&](WriteTransaction& transaction, AuditRecord& record) -> Result<void> {
    auto added = add_user(engine_, transaction, account, name, {});
    if (!added) return std::move(added).error();
    arn = arn_of(*added);
    record.resources.push_back({account, arn, "AWS::IAM::User"});
    return {};
  };
  KMSFS_TRY(change("CreateUser", kIamSource, text, act));
  return arn;
}

Result<bool> Administration::has_user(const std::string& arn) {
  auto transaction = engine_.read();
  if (!transaction) return std::move(transaction).error();
  // The root of an account is there as long as the account is.
  constexpr std::size_t kAccountAt = std::string_view("arn:aws:iam::").size();
  const std::string account = arn.size() > kAccountAt ? arn.substr(kAccountAt, 12) : std::string();
  const bool is_root = is_account(account) && arn == root_arn(account);
  auto stored = is_root ? (*transaction)->get(Table::kAccounts, as_bytes(account))
                        : (*transaction)->get(Table::kPrincipals, as_bytes(arn));
  if (!stored) return std::move(stored).error();
  return stored->has_value();
}

Result<void> Administration::put_user_policy(const std::string& arn, const std::string& policy_name,
                                             const std::string& document) {
  if (!document.empty()) {
    if (auto parsed = parse_policy(document, PolicyUse::kIdentity); !parsed) return std::move(parsed).error();
  }
  const std::string text =
      parameters({{"userName", arn}, {"policyName", policy_name}, {"policyDocument", document}});
  return change("PutUserPolicy", kIamSource, text,
                [&](WriteTransaction& transaction, AuditRecord& record) -> Result<void> {
                  auto principal = engine_.principal(transaction, arn);
                  if (!principal) return std::move(principal).error();
                  if (!*principal) return error(Kind::kNotFound, "there is no user " + arn);
                  PrincipalRecord changed = (*principal)->record;
                  std::erase_if(changed.policies,
                                [&](const IdentityPolicy& policy) { return policy.name == policy_name; });
                  if (!document.empty()) changed.policies.push_back({policy_name, document});
                  record.resources.push_back({changed.account, arn, "AWS::IAM::User"});
                  return transaction.put(Table::kPrincipals, as_bytes(arn), write_record(changed));
                });
}

Result<KeyDescription> Administration::ensure_service_key(const std::string& account,
                                                          const std::string& alias) {
  if (!alias.starts_with(kServiceAliasPrefix)) {
    return error(Kind::kInvalid, "aliases of service-managed keys begin with alias/aws/");
  }
  {
    auto transaction = engine_.read();
    if (!transaction) return std::move(transaction).error();
    auto there = stored_key_of_alias(engine_, **transaction, account, alias);
    if (!there) return std::move(there).error();
    if (*there) return describe(**there);
  }
  KeyDescription description;
  const std::string text = parameters({{"accountId", account}, {"aliasName", alias}});
  const auto act = [&](WriteTransaction& transaction, AuditRecord& record) -> Result<void> {
    // Another process may have been faster.
    auto there = stored_key_of_alias(engine_, transaction, account, alias);
    if (!there) return std::move(there).error();
    if (*there) {
      description = describe(**there);
      return {};
    }
    NewKey key;
    key.account = account;
    key.description = "Service-managed key of kmsfs: the default master key of volumes";
    key.manager = KeyManager::kService;
    key.policy = service_managed_key_policy(account);
    auto made = make_key(engine_, transaction, std::move(key));
    if (!made) return std::move(made).error();
    KMSFS_TRY(add_alias(engine_, transaction, *made, alias));
    description = describe(*made);
    record.resources.push_back({account, description.arn, "AWS::KMS::Key"});
    return {};
  };
  KMSFS_TRY(change("CreateKey", kKms, text, act));
  return description;
}

Result<void> Administration::put_key_policy(const std::string& arn, const std::string& document) {
  auto name = parse_key_name(arn);
  if (!name) return std::move(name).error();
  auto policy = parse_policy(document, PolicyUse::kKey);
  if (!policy) return std::move(policy).error();
  const std::string text = parameters({{"keyId", arn}, {"policy", document}});
  return change("PutKeyPolicy", kKms, text,
                [&](WriteTransaction& transaction, AuditRecord& record) -> Result<void> {
                  auto key = name->id ? engine_.key(transaction, *name->id)
                                      : Result<std::shared_ptr<const LoadedKey>>(nullptr);
                  if (!key) return std::move(key).error();
                  if (!*key) return key_not_found("Key '" + arn + "' does not exist");
                  if ((*key)->record.manager == KeyManager::kService) {
                    return access_denied("a service-managed key keeps the policy that it was made with");
                  }
                  auto principals = bound_principals(engine_, transaction, *policy);
                  if (!principals) return std::move(principals).error();
                  KeyRecord changed = (*key)->record;
                  changed.policy = document;
                  changed.principals = std::move(*principals);
                  record.resources.push_back({changed.account, (*key)->facts.arn, "AWS::KMS::Key"});
                  return write_key(transaction, changed);
                });
}

}  // namespace kmsfs::kms
