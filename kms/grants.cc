#include "kms/grants.h"

#include <algorithm>
#include <utility>

#include "core/kdf.h"
#include "kms/errors.h"
#include "kms/keys.h"

namespace kmsfs::kms {

namespace {

constexpr std::string_view kTokenLabel = "kmsfs kms grant token 1";
constexpr std::size_t kTokenSize = sizeof(GrantName) + Xaes256Gcm::kOverhead;

std::string text_of(ByteView bytes) { return std::string(as_text(bytes)); }

std::string grantee_prefix(const KeyId& key, std::string_view grantee) {
  return text_of(key.view()) + text_of(sha256(as_bytes(grantee)));
}

// The entries of a grant in the indexes; `retirer` is empty without a retiring principal.
struct Entries {
  GrantName name;
  std::string grantee, retirer;
};
Entries entries_of(const KeyId& key, const Grant& grant) {
  const auto id = parse_grant_id(grant.id);
  Entries entries{grant_name(key, id.value_or(GrantId{})), {}, {}};
  entries.grantee =
      grantee_prefix(key, grant.grantee) + text_of(ByteView(entries.name).subspan(KeyId::kSize));
  if (!grant.retiring.empty()) entries.retirer = retirer_prefix(grant.retiring) + text_of(entries.name);
  return entries;
}

Result<void> erase_entries(WriteTransaction& transaction, const Entries& entries) {
  KMSFS_TRY(transaction.erase(Table::kGrants, entries.name));
  KMSFS_TRY(transaction.erase(Table::kGrantees, as_bytes(entries.grantee)));
  if (entries.retirer.empty()) return {};
  return transaction.erase(Table::kRetirers, as_bytes(entries.retirer));
}

Error invalid_token() {
  return answer(Kind::kInvalid, "InvalidGrantTokenException", "Grant token is invalid");
}

}  // namespace

GrantName grant_name(const KeyId& key, const GrantId& grant) {
  GrantName name{};
  std::copy(key.bytes.begin(), key.bytes.end(), name.begin());
  std::copy(grant.begin(), grant.end(), name.begin() + KeyId::kSize);
  return name;
}

KeyId key_of(const GrantName& name) {
  KeyId key;
  std::copy_n(name.begin(), KeyId::kSize, key.bytes.begin());
  return key;
}

std::optional<GrantId> parse_grant_id(std::string_view text) {
  GrantId id{};
  if (text.size() != 2 * id.size()) return {};
  auto bytes = from_hex(text);
  if (!bytes) return {};
  std::copy(bytes->begin(), bytes->end(), id.begin());
  return id;
}

std::string retirer_prefix(std::string_view principal) { return text_of(sha256(as_bytes(principal))); }

Result<void> add_grant(WriteTransaction& transaction, const LoadedKey& key, const GrantRecord& record) {
  const Entries entries = entries_of(key.record.id, record.grant);
  auto done = transaction.put(Table::kGrants, entries.name, write_record(record));
  if (done) done = transaction.put(Table::kGrantees, as_bytes(entries.grantee), {});
  if (done && !entries.retirer.empty()) {
    done = transaction.put(Table::kRetirers, as_bytes(entries.retirer), {});
  }
  if (!done) return internal_failure(std::move(done).error());
  KeyRecord changed = key.record;
  ++changed.grants;
  return write_key(transaction, changed);
}

Result<void> erase_grant(WriteTransaction& transaction, const LoadedKey& key, const GrantRecord& record) {
  auto done = erase_entries(transaction, entries_of(key.record.id, record.grant));
  if (!done) return internal_failure(std::move(done).error());
  KeyRecord changed = key.record;
  --changed.grants;
  return write_key(transaction, changed);
}

Result<void> erase_all_grants(WriteTransaction& transaction, const KeyId& key) {
  std::vector<Entries> all;
  Result<void> failed;
  auto scanned =
      transaction.scan(Table::kGrants, as_text(key.view()), {}, [&](std::string_view, ByteView value) {
        auto record = parse_grant_record(value);
        if (!record) {
          failed = std::move(record).error();
          return false;
        }
        all.push_back(entries_of(key, record->grant));
        return true;
      });
  KMSFS_TRY(std::move(scanned));
  KMSFS_TRY(std::move(failed));
  for (const Entries& entries : all) KMSFS_TRY(erase_entries(transaction, entries));
  return {};
}

Result<std::vector<std::shared_ptr<const GrantRecord>>> grants_to(Engine& engine,
                                                                  const Transaction& transaction,
                                                                  const KeyId& key,
                                                                  std::string_view grantee) {
  const std::string prefix = grantee_prefix(key, grantee);
  std::vector<GrantName> names;
  auto scanned = transaction.scan(Table::kGrantees, prefix, {}, [&](std::string_view entry, ByteView) {
    GrantId id{};
    const ByteView tail = as_bytes(entry.substr(prefix.size()));
    std::copy_n(tail.begin(), std::min(tail.size(), id.size()), id.begin());
    names.push_back(grant_name(key, id));
    return true;
  });
  if (!scanned) return internal_failure(std::move(scanned).error());
  std::vector<std::shared_ptr<const GrantRecord>> found;
  for (const GrantName& name : names) {
    auto grant = engine.grant(transaction, name);
    if (!grant) return std::move(grant).error();
    if (*grant) found.push_back(std::move(*grant));
  }
  return found;
}

Result<std::vector<Grant>> grants_of(Engine& engine, const Transaction& transaction, const KeyId& key,
                                     const Caller& caller) {
  const std::string account = root_arn(caller.account);
  std::vector<std::string_view> principals = {caller.arn};
  if (!caller.role_arn.empty()) principals.push_back(caller.role_arn);
  if (account != caller.arn) principals.push_back(account);
  std::vector<Grant> grants;
  for (const std::string_view principal : principals) {
    auto found = grants_to(engine, transaction, key, principal);
    if (!found) return std::move(found).error();
    for (const auto& record : *found) grants.push_back(record->grant);
  }
  return grants;
}

Result<std::string> make_grant_token(const Engine& engine, const GrantName& name) {
  std::array<std::byte, kTokenSize> sealed{};
  auto done = engine.grant_token_seal().seal(as_bytes(kTokenLabel), name, sealed);
  if (!done) return internal_failure(std::move(done).error());
  return to_base64(sealed);
}

Result<std::shared_ptr<const GrantRecord>> open_grant_token(Engine& engine, const Transaction& transaction,
                                                            std::string_view token, GrantName& name) {
  auto sealed = from_base64(token);
  if (!sealed || sealed->size() != kTokenSize) return invalid_token();
  if (auto opened = engine.grant_token_seal().open(as_bytes(kTokenLabel), *sealed, name); !opened) {
    if (opened.error().kind == Kind::kCorrupt) return invalid_token();
    return internal_failure(std::move(opened).error());
  }
  auto grant = engine.grant(transaction, name);
  if (!grant) return grant;
  if (!*grant) return invalid_token();
  return grant;
}

}  // namespace kmsfs::kms
