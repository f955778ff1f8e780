#include "kms/keys.h"

#include <algorithm>
#include <utility>

#include "kms/errors.h"

namespace kmsfs::kms {

namespace {

constexpr std::size_t kMostAliases = 50;  // of one key, as at AWS

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
  return description;
}

Result<std::map<std::string, std::string>> bound_principals(Engine& engine, const Transaction& transaction,
                                                            const Policy& policy) {
  std::map<std::string, std::string> bound;
  for (const std::string& arn : policy.named_principals()) {
    auto principal = engine.principal(transaction, arn);
    if (!principal) return std::move(principal).error();
    if (!*principal) {
      return answer(
          Kind::kInvalid, "MalformedPolicyDocumentException",
          "Policy contains a statement with one or more invalid principals: " + arn + " does not exist.");
    }
    bound[arn] = (*principal)->record.unique_id;
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
  auto material = engine.add_material(transaction, record.id);
  if (!material) return internal_failure(std::move(material).error());
  record.material = *material;
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
  auto put = transaction.put(Table::kKeys, record.id.view(), write_record(record));
  if (!put) return internal_failure(std::move(put).error());
  return {};
}

Result<void> add_alias(Engine& engine, WriteTransaction& transaction, const LoadedKey& key,
                       const std::string& alias) {
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
    return answer(Kind::kInvalid, "LimitExceededException", "a key has at most 50 aliases");
  }
  record.aliases.insert(std::ranges::upper_bound(record.aliases, alias), alias);
  KMSFS_TRY(write_key(transaction, record));
  auto put =
      transaction.put(Table::kAliases, as_bytes(name), write_record(AliasRecord{record.id, engine.now_ms()}));
  if (!put) return internal_failure(std::move(put).error());
  return {};
}

}  // namespace kmsfs::kms
