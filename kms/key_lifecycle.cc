// What happens to keys in time: rotation and deletion.
#include <utility>

#include "kms/errors.h"
#include "kms/grants.h"
#include "kms/keys.h"

namespace kmsfs::kms {

namespace {

constexpr std::int64_t kDayMs = 86'400'000;
constexpr std::size_t kDueAtOnce = 1000;  // keys per look at the table
constexpr int kMostRounds = 1000;         // looks at it, in one run

Result<void> erase_all(WriteTransaction& transaction, Table table, std::string_view prefix) {
  std::vector<std::string> names;
  auto scanned = transaction.scan(table, prefix, {}, [&](std::string_view name, ByteView) {
    names.emplace_back(name);
    return true;
  });
  if (!scanned) return scanned;
  for (const std::string& name : names) KMSFS_TRY(transaction.erase(table, as_bytes(name)));
  return {};
}

// Keys that are due by `now`, in order.
Result<std::vector<KeyId>> due_keys(const Transaction& transaction, std::int64_t now, std::size_t most) {
  std::vector<KeyId> ids;
  auto scanned = transaction.scan(Table::kDue, {}, {}, [&](std::string_view name, ByteView) {
    const ByteView bytes = as_bytes(name);
    if (bytes.size() != 8 + KeyId::kSize) return true;
    if (static_cast<std::int64_t>(load_be64(bytes.data())) > now) return false;
    KeyId id;
    std::copy(bytes.begin() + 8, bytes.end(), id.bytes.begin());
    ids.push_back(id);
    return ids.size() < most;
  });
  if (!scanned) return internal_failure(std::move(scanned).error());
  return ids;
}

std::string event_details(const LoadedKey& key) {
  std::string text;
  JsonWriter(text).begin().text("keyId", uuid_of(key.record.id)).end();
  return text;
}

}  // namespace

Result<void> rotate(Engine& engine, WriteTransaction& transaction, KeyRecord& record, MaterialOrigin origin) {
  auto material = engine.add_material(transaction, record.id);
  if (!material) return internal_failure(std::move(material).error());
  const std::int64_t now = engine.now_ms();
  record.materials.push_back({*material, now, origin});
  if (origin == MaterialOrigin::kAutomatic)
    record.rotation.next_ms = now + record.rotation.period_days * kDayMs;
  return {};
}

Result<void> delete_key(WriteTransaction& transaction, const KeyRecord& record) {
  KeyRecord ended = record;
  ended.state = KeyState::kDisabled;  // due no more
  KMSFS_TRY(write_key(transaction, ended));
  const auto act = [&]() -> Result<void> {
    KMSFS_TRY(erase_all(transaction, Table::kMaterials, as_text(record.id.view())));
    KMSFS_TRY(erase_all_grants(transaction, record.id));
    for (const std::string& alias : record.aliases) {
      KMSFS_TRY(transaction.erase(Table::kAliases, as_bytes(record.account + "/" + alias)));
    }
    KMSFS_TRY(transaction.erase(Table::kAccountKeys, as_bytes(record.account + "/" + uuid_of(record.id))));
    return transaction.erase(Table::kKeys, record.id.view());
  };
  if (auto done = act(); !done) return internal_failure(std::move(done).error());
  return {};
}

Result<std::optional<KeyId>> first_due(const Engine& engine, const Transaction& transaction) {
  auto ids = due_keys(transaction, engine.now_ms(), 1);
  if (!ids) return std::move(ids).error();
  return ids->empty() ? std::optional<KeyId>() : std::optional<KeyId>(ids->front());
}

Result<void> settle_due(Engine& engine, const KeyId& id) {
  AuditRecord event;
  event.time_ms = engine.now_ms();
  event.event = "RotateKey";
  event.region = engine.region();
  event.user_agent = "AWS Internal";
  event.source_ip = "AWS Internal";
  event.read_only = false;
  event.event_type = "AwsServiceEvent";
  event.identity.type = {};
  event.identity.invoked_by = "AWS Internal";
  const auto act = [&](WriteTransaction& transaction, AuditRecord& record) -> Result<void> {
    auto key = engine.key(transaction, id);
    if (!key) return std::move(key).error();
    // Somebody else may have been faster.
    if (!*key) return not_recorded();
    const std::int64_t due = due_ms((*key)->record);
    if (due == 0 || due > record.time_ms) return not_recorded();
    record.identity.account = (*key)->record.account;
    record.resources.push_back({(*key)->facts.account, (*key)->facts.arn, "AWS::KMS::Key"});
    record.service_event_details = event_details(**key);
    if ((*key)->record.state == KeyState::kPendingDeletion) {
      record.event = "DeleteKey";
      return delete_key(transaction, (*key)->record);
    }
    KeyRecord changed = (*key)->record;
    KMSFS_TRY(rotate(engine, transaction, changed, MaterialOrigin::kAutomatic));
    return write_key(transaction, changed);
  };
  auto settled = engine.change(event, act);
  if (!settled && settled.error().code == kNotRecorded) return {};
  return settled;
}

Result<void> settle_all_due(Engine& engine) {
  for (int round = 0; round < kMostRounds; ++round) {
    std::vector<KeyId> ids;
    {
      auto transaction = engine.read();
      if (!transaction) return internal_failure(std::move(transaction).error());
      auto due = due_keys(**transaction, engine.now_ms(), kDueAtOnce);
      if (!due) return std::move(due).error();
      ids = std::move(*due);
    }
    for (const KeyId& id : ids) KMSFS_TRY(settle_due(engine, id));
    if (ids.size() < kDueAtOnce) return {};
  }
  return {};  // the rest is for the next time
}

}  // namespace kmsfs::kms
