#include "kms/keys.h"

#include <algorithm>
#include <array>
#include <utility>

#include "kms/errors.h"

namespace kmsfs::kms {

namespace {

constexpr std::size_t kMostAliases = 50;  // of one key, as at AWS

// Sorts by time.
std::array<std::byte, 24> due_name(std::int64_t when_ms, const KeyId& id) {
  std::array<std::byte, 24> name{};
  store_be64(name.data(), static_cast<std::uint64_t>(when_ms));
  std::copy(id.bytes.begin(), id.bytes.end(), name.begin() + 8);
  return name;
}

}  // namespace

KeyDescription describe(const LoadedKey& key) {
  KeyDescription description;
  description.arn = key.facts.arn;
  description.key_id = uuid_of(key.record.id);
  description.account = key.record.account;
  description.description = key.record.description;
  description.state = key.record.state;
  description.manager = key.record.manager;
  description.created_ms = key.record.created_ms;
  description.key_material_id = key.current_material_id();
  if (key.record.state == KeyState::kPendingDeletion) description.deletion_ms = key.record.deletion_ms;
  return description;
}

Result<std::optional<std::string>> identity_of(Engine& engine, const Transaction& transaction,
                                               std::string_view arn) {
  std::string owner(arn);
  constexpr std::string_view session = "arn:aws:sts::";
  if (arn.starts_with(session)) {
    // …:ACCOUNT:assumed-role/ROLE/SESSION
    const std::size_t start = arn.find('/'), end = arn.rfind('/');
    if (start == end || arn.size() < session.size() + 12) return std::optional<std::string>();
    owner =
        entity_arn(EntityKind::kRole, arn.substr(session.size(), 12), arn.substr(start + 1, end - start - 1));
  }
  auto principal = engine.principal(transaction, owner);
  if (!principal) return std::move(principal).error();
  if (!*principal || (*principal)->record.kind == EntityKind::kGroup) return std::optional<std::string>();
  return std::optional<std::string>((*principal)->record.unique_id);
}

Result<std::map<std::string, std::string>> bound_principals(Engine& engine, const Transaction& transaction,
                                                            const Policy& policy) {
  std::map<std::string, std::string> bound;
  for (const std::string& arn : policy.named_principals()) {
    auto identity = identity_of(engine, transaction, arn);
    if (!identity) return std::move(identity).error();
    if (!*identity) {
      return answer(
          Kind::kInvalid, "MalformedPolicyDocumentException",
          "Policy contains a statement with one or more invalid principals: " + arn + " does not exist.");
    }
    bound[arn] = std::move(**identity);
  }
  return bound;
}

Result<LoadedKey> make_key(Engine& engine, WriteTransaction& transaction, NewKey key) {
  KeyRecord record;
  record.id = new_key_id();
  record.account = std::move(key.account);
  record.description = std::move(key.description);
  record.manager = key.manager;
  record.created_ms = engine.now_ms();
  record.policy = std::move(key.policy);
  record.principals = std::move(key.principals);
  record.tags = std::move(key.tags);
  auto material = engine.add_material(transaction, record.id);
  if (!material) return internal_failure(std::move(material).error());
  record.materials.push_back({*material, record.created_ms, MaterialOrigin::kFirst});
  auto loaded = load_key(std::move(record), engine.region());
  if (!loaded) return loaded;
  const std::string index = loaded->record.account + "/" + uuid_of(loaded->record.id);
  if (auto put = transaction.put(Table::kAccountKeys, as_bytes(index), {}); !put) {
    return internal_failure(std::move(put).error());
  }
  KMSFS_TRY(write_key(transaction, loaded->record));
  return loaded;
}

Result<void> write_key(WriteTransaction& transaction, const KeyRecord& record) {
  auto before = transaction.get(Table::kKeys, record.id.view());
  if (!before) return internal_failure(std::move(before).error());
  std::int64_t was_due = 0;
  if (*before) {
    auto parsed = parse_key_record(**before);
    if (!parsed) return std::move(parsed).error();
    was_due = due_ms(*parsed);
  }
  Result<void> done;
  if (const std::int64_t due = due_ms(record); due != was_due) {
    if (was_due != 0) done = transaction.erase(Table::kDue, due_name(was_due, record.id));
    if (done && due != 0) done = transaction.put(Table::kDue, due_name(due, record.id), {});
  }
  if (done) done = transaction.put(Table::kKeys, record.id.view(), write_record(record));
  if (!done) return internal_failure(std::move(done).error());
  return {};
}

Result<void> add_alias(Engine& engine, WriteTransaction& transaction, const LoadedKey& key,
                       const std::string& alias, std::optional<std::int64_t> created_ms) {
  const std::string name = key.record.account + "/" + alias;
  auto there = transaction.get(Table::kAliases, as_bytes(name));
  if (!there) return internal_failure(std::move(there).error());
  if (*there) {
    return answer(Kind::kExists, "AlreadyExistsException",
                  "An alias with the name " + alias_arn(engine.region(), key.record.account, alias) +
                      " already exists");
  }
  KeyRecord record = key.record;
  if (record.aliases.size() >= kMostAliases) {
    return limit_exceeded("a key has at most 50 aliases");
  }
  record.aliases.insert(std::ranges::upper_bound(record.aliases, alias), alias);
  KMSFS_TRY(write_key(transaction, record));
  const std::int64_t now = engine.now_ms();
  auto put = transaction.put(Table::kAliases, as_bytes(name),
                             write_record(AliasRecord{record.id, created_ms.value_or(now), now}));
  if (!put) return internal_failure(std::move(put).error());
  return {};
}

Result<void> remove_alias(WriteTransaction& transaction, const LoadedKey& key, const std::string& alias) {
  KeyRecord record = key.record;
  std::erase(record.aliases, alias);
  KMSFS_TRY(write_key(transaction, record));
  auto erased = transaction.erase(Table::kAliases, as_bytes(record.account + "/" + alias));
  if (!erased) return internal_failure(std::move(erased).error());
  return {};
}

}  // namespace kmsfs::kms
