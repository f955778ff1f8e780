#include "kms/identities/principals.h"

#include <algorithm>
#include <utility>

#include "kms/identities/access_keys.h"
#include "kms/identities/identity_errors.h"
#include "kms/names.h"

namespace kmsfs::kms {

namespace {

constexpr std::size_t kUniqueIdLetters = 17;  // after the prefix, as at AWS

std::string random_account() {
  constexpr std::uint64_t smallest = 100'000'000'000, count = 900'000'000'000;
  for (;;) {  // ends: nearly every draw is usable
    std::array<std::byte, 8> bytes;
    random_bytes(bytes);
    const std::uint64_t drawn = load_be64(bytes.data());
    if (drawn < UINT64_MAX / count * count) return std::to_string(smallest + drawn % count);
  }
}

}  // namespace

const KindFacts& facts_of(EntityKind kind) {
  static constexpr KindFacts user{"user", "User", "AIDA", "AWS::IAM::User", 64, 2048};
  static constexpr KindFacts group{"group", "Group", "AGPA", "AWS::IAM::Group", 128, 5120};
  static constexpr KindFacts role{"role", "Role", "AROA", "AWS::IAM::Role", 64, 10240};
  return kind == EntityKind::kUser ? user : kind == EntityKind::kGroup ? group : role;
}

bool is_entity_name(std::string_view text, std::size_t longest) {
  return !text.empty() && text.size() <= longest && std::ranges::all_of(text, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           std::string_view("+=,.@_-").find(c) != std::string_view::npos;
  });
}

Result<std::string> add_account(Engine& engine, WriteTransaction& transaction,
                                const std::optional<std::string>& wish) {
  if (wish && !is_account(*wish)) {
    return invalid_input("an account is 12 digits, unlike '" + *wish + "'");
  }
  for (;;) {  // ends: twelve digits leave room for more accounts than there is disk
    std::string account = wish ? *wish : random_account();
    auto there = transaction.get(Table::kAccounts, as_bytes(account));
    if (!there) return internal_failure(std::move(there).error());
    if (*there && wish) return entity_exists("Account", account);
    if (*there) continue;
    KMSFS_TRY(transaction.put(Table::kAccounts, as_bytes(account),
                              write_record(AccountRecord{engine.now_ms(), {}})));
    return account;
  }
}

Result<AccountRecord> require_account(const Transaction& transaction, const std::string& account) {
  auto stored = transaction.get(Table::kAccounts, as_bytes(account));
  if (!stored) return internal_failure(std::move(stored).error());
  if (!*stored) return answer(Kind::kNotFound, "NoSuchEntity", "there is no account " + account);
  return parse_account_record(**stored);
}

std::string arn_of(const PrincipalRecord& record) {
  return entity_arn(record.kind, record.account, record.name);
}

Result<PrincipalRecord> add_principal(Engine& engine, WriteTransaction& transaction, PrincipalRecord wish) {
  const KindFacts& facts = facts_of(wish.kind);
  if (!is_entity_name(wish.name, facts.longest_name)) {
    return validation_error(std::string("a ") + facts.word + " name has 1 to " +
                            std::to_string(facts.longest_name) + " of letters, digits and +=,.@_-, unlike '" +
                            wish.name + "'");
  }
  if (auto account = require_account(transaction, wish.account); !account) return std::move(account).error();
  auto there = transaction.get(Table::kPrincipals, as_bytes(arn_of(wish)));
  if (!there) return internal_failure(std::move(there).error());
  if (*there) return entity_exists(facts.title, wish.name);
  wish.unique_id = new_unique_id(facts.unique_id_prefix, kUniqueIdLetters);
  wish.created_ms = engine.now_ms();
  KMSFS_TRY(write_principal(transaction, wish));
  return wish;
}

Result<std::shared_ptr<const LoadedPrincipal>> require_principal(Engine& engine,
                                                                 const Transaction& transaction,
                                                                 EntityKind kind, const std::string& account,
                                                                 const std::string& name) {
  auto principal = engine.principal(transaction, entity_arn(kind, account, name));
  if (!principal) return principal;
  if (!*principal) return no_such_entity(facts_of(kind).word, name);
  return principal;
}

Result<void> write_principal(WriteTransaction& transaction, const PrincipalRecord& record) {
  return transaction.put(Table::kPrincipals, as_bytes(arn_of(record)), write_record(record));
}

Result<Policy> parse_identity_document(const std::string& document, PolicyUse use) {
  auto parsed = parse_policy(document, use);
  if (!parsed) return malformed_document(parsed.error().text);
  return parsed;
}

}  // namespace kmsfs::kms
