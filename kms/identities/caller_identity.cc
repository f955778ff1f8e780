#include "kms/identities/caller_identity.h"

#include <utility>

#include "kms/errors.h"
#include "kms/names.h"

namespace kmsfs::kms {

namespace {

Error unknown(std::string_view arn) {
  return answer(
      Kind::kDenied, "UnrecognizedClientException",
      "The security token included in the request is invalid: the store does not know " + std::string(arn));
}

}  // namespace

std::string_view account_of_root(std::string_view arn) {
  constexpr std::string_view start = "arn:aws:iam::", end = ":root";
  if (!arn.starts_with(start) || !arn.ends_with(end) || arn.size() != start.size() + 12 + end.size())
    return {};
  const std::string_view account = arn.substr(start.size(), 12);
  return is_account(account) ? account : std::string_view();
}

Result<CallerIdentity> CallerIdentity::load(Engine& engine, const Transaction& transaction,
                                            const Invocation& from) {
  CallerIdentity identity;
  if (from.session) {
    KMSFS_TRY(identity.load_session(engine, transaction, from.session));
  } else if (const std::string_view account = account_of_root(from.principal); !account.empty()) {
    KMSFS_TRY(identity.load_root(transaction, account));
  } else {
    KMSFS_TRY(identity.load_user(engine, transaction, from.principal));
  }
  return identity;
}

Result<void> CallerIdentity::load_root(const Transaction& transaction, std::string_view account) {
  auto known = transaction.get(Table::kAccounts, as_bytes(account));
  if (!known) return internal_failure(std::move(known).error());
  if (!*known) return unknown(root_arn(account));
  made_ = std::make_unique<Caller>(Caller::account_root(account));
  return {};
}

Result<void> CallerIdentity::load_user(Engine& engine, const Transaction& transaction,
                                       const std::string& arn) {
  auto user = engine.principal(transaction, arn);
  if (!user) return std::move(user).error();
  // A role acts through its sessions only, a group not at all.
  if (!*user || (*user)->record.kind != EntityKind::kUser) return unknown(arn);
  principal_ = std::move(*user);
  if (principal_->record.groups.empty()) return {};
  with_groups_ = principal_->policies;
  for (const std::string& name : principal_->record.groups) {
    auto group =
        engine.principal(transaction, entity_arn(EntityKind::kGroup, principal_->record.account, name));
    if (!group) return std::move(group).error();
    if (!*group) {
      return internal_failure(error(Kind::kUnavailable, "the key store lacks the group " + name));
    }
    for (const NamedPolicy& policy : (*group)->policies) {
      with_groups_.push_back({policy.name + "' of group '" + name, policy.document});
    }
  }
  return {};
}

Result<void> CallerIdentity::load_session(Engine& engine, const Transaction& transaction,
                                          std::shared_ptr<const SessionFacts> session) {
  session_ = std::move(session);
  if (session_->expires_ms <= engine.now_ms()) {
    return answer(Kind::kDenied, "ExpiredTokenException",
                  "The security token included in the request is expired");
  }
  auto role = engine.principal(transaction, session_->role_arn());
  if (!role) return std::move(role).error();
  if (!*role || (*role)->record.unique_id != session_->role_unique_id) return unknown(session_->arn());
  principal_ = std::move(*role);
  made_ = std::make_unique<Caller>(principal_->caller);
  made_->arn = session_->arn();
  made_->name = session_->session_name;
  made_->token_issued_ms = session_->issued_ms;
  made_->multi_factor = false;
  if (session_->parsed_policy) session_policies_.push_back({session_->session_name, session_->parsed_policy});
  return {};
}

PolicySet CallerIdentity::own_policies() const {
  PolicySet set;
  if (!principal_) return set;
  set.identity = with_groups_.empty() ? std::span<const NamedPolicy>(principal_->policies)
                                      : std::span<const NamedPolicy>(with_groups_);
  set.boundary = principal_->boundary ? &*principal_->boundary : nullptr;
  set.session = session_policies_;
  return set;
}

std::string CallerIdentity::user_id() const {
  return session_ ? caller().unique_id + ":" + caller().name : caller().unique_id;
}

void CallerIdentity::describe(AuditRecord::Identity& identity) const {
  identity.type = session_ ? "AssumedRole" : principal_ ? "IAMUser" : "Root";
  identity.principal_id = user_id();
  identity.account = caller().account;
  if (!principal_) return;
  if (!session_) {
    identity.user_name = principal_->record.name;
    return;
  }
  JsonWriter json(identity.session_context);
  json.begin().begin("sessionIssuer").text("type", "Role");
  json.text("principalId", principal_->record.unique_id).text("arn", principal_->caller.role_arn);
  json.text("accountId", principal_->record.account).text("userName", principal_->record.name).end();
  json.begin("attributes").text("creationDate", iso_time(session_->issued_ms));
  json.text("mfaAuthenticated", "false").end().end();
}

}  // namespace kmsfs::kms
