#include "kms/engine.h"

#include <algorithm>
#include <array>
#include <utility>

#include "core/ids.h"
#include "core/kdf.h"
#include "kms/errors.h"
#include "kms/private_file.h"

namespace kmsfs::kms {

namespace {

constexpr std::string_view kFormat = "1";
constexpr std::int64_t kTimePrecisionMs = 3'600'000;
constexpr std::size_t kMostKept = 4096;  // parsed records; beyond it they are parsed again
constexpr std::size_t kWrappedMaterialSize = Material::kSize + Xaes256Gcm::kOverhead;

using StoreId = Id<struct StoreIdTag>;

Result<std::string> meta(const Transaction& transaction, std::string_view name) {
  auto value = transaction.get(Table::kMeta, as_bytes(name));
  if (!value) return std::move(value).error();
  return *value ? std::string(as_text(**value)) : std::string();
}

std::int64_t in_ms(std::chrono::nanoseconds time) {
  return std::chrono::duration_cast<std::chrono::milliseconds>(time).count();
}

std::array<std::byte, 32> material_name(const KeyId& key, const MaterialId& material) {
  std::array<std::byte, 32> name{};
  std::copy(key.bytes.begin(), key.bytes.end(), name.begin());
  std::copy(material.bytes.begin(), material.bytes.end(), name.begin() + 16);
  return name;
}

Bytes material_aad(const std::array<std::byte, 32>& name) {
  constexpr std::string_view label = "kmsfs kms material 1";
  Bytes aad(label.size() + name.size());
  ByteWriter out(aad);
  out.bytes(as_bytes(label));
  out.bytes(name);
  return aad;
}

}  // namespace

void tell_error(AuditRecord& record, const Error& error) {
  record.error_code = error.code != nullptr ? std::string_view(error.code) : to_string(error.kind);
  record.error_message = error.text;
}

Result<bool> Engine::has_store(const std::string& directory) {
  if (!Store::exists(directory)) return false;
  auto store = Store::open(directory);
  if (!store) return std::move(store).error();
  auto transaction = (*store)->read();
  if (!transaction) return std::move(transaction).error();
  auto format = meta(**transaction, "format");
  if (!format) return std::move(format).error();
  return !format->empty();
}

Result<void> Engine::create_store(const std::string& directory, const SealOptions& seal,
                                  const std::string& region, const PassphraseSource& passphrase) {
  const Error exists = error(Kind::kExists, "there is a key store in " + directory + " already");
  if (!is_region(region)) {
    return error(Kind::kInvalid,
                 "the region '" + region + "' is not made of lower-case letters, digits and '-'");
  }
  KMSFS_TRY(make_private_directory(directory));
  auto has = has_store(directory);
  if (!has) return std::move(has).error();
  if (*has) return exists;
  auto store = Store::open(directory);
  if (!store) return std::move(store).error();
  // The passphrase is asked for before the store's writer is taken: people are slow.
  const auto id = StoreId::random();
  auto sealed = seal_new_root(directory, id.view(), seal, passphrase);
  if (!sealed) return std::move(sealed).error();
  auto transaction = (*store)->write();
  if (!transaction) return std::move(transaction).error();
  auto format = meta(**transaction, "format");
  if (!format) return std::move(format).error();
  if (!format->empty()) return exists;
  KMSFS_TRY((*transaction)->put(Table::kMeta, as_bytes("format"), as_bytes(kFormat)));
  KMSFS_TRY((*transaction)->put(Table::kMeta, as_bytes("id"), as_bytes(id.hex())));
  KMSFS_TRY((*transaction)->put(Table::kMeta, as_bytes("region"), as_bytes(region)));
  KMSFS_TRY((*transaction)->put(Table::kMeta, as_bytes("seal"), as_bytes(sealed->record)));
  return (*transaction)->commit();
}

Result<std::unique_ptr<Engine>> Engine::open(const std::string& directory, const PassphraseSource& passphrase,
                                             const Clock& clock, Logger logger) {
  auto has = has_store(directory);
  if (!has) return std::move(has).error();
  if (!*has)
    return error(Kind::kNotFound, "there is no key store in " + directory + "; kmsfs init makes one");
  auto store = Store::open(directory);
  if (!store) return std::move(store).error();
  std::string format, id_text, region, seal;
  {
    auto transaction = (*store)->read();
    if (!transaction) return std::move(transaction).error();
    for (auto [name, into] :
         {std::pair{"format", &format}, {"id", &id_text}, {"region", &region}, {"seal", &seal}}) {
      auto value = meta(**transaction, name);
      if (!value) return std::move(value).error();
      *into = std::move(*value);
    }
  }
  if (format != kFormat) {
    return error(Kind::kUnsupported, "the key store in " + directory + " has format " + format +
                                         "; this version knows format 1 only");
  }
  auto id = StoreId::parse_hex(id_text);
  if (!id || !is_region(region))
    return error(Kind::kCorrupt, "the key store in " + directory + " is damaged");
  auto root_key = unseal_root(directory, id->view(), seal, passphrase);
  if (!root_key) return std::move(root_key).error();
  auto seals = Seals::make(*root_key);
  if (!seals) return std::move(seals).error();
  auto audit = AuditLog::open(directory, logger);
  if (!audit) return std::move(audit).error();
  auto engine =
      std::unique_ptr<Engine>(new Engine(directory, std::move(*store), std::move(*audit), std::move(*seals),
                                         std::move(region), clock, std::move(logger)));
  // The store's time holds from the first call on.
  auto transaction = engine->read();
  if (!transaction) return std::move(transaction).error();
  if (auto seen = engine->last_change(**transaction); !seen) return std::move(seen).error();
  return engine;
}

Result<Engine::Seals> Engine::Seals::make(const RootKey& root) {
  const auto derived = [&](std::string_view purpose) -> Result<Xaes256Gcm> {
    auto key = Secret<32, struct DerivedSealTag>::make();
    if (!key) return std::move(key).error();
    hkdf_sha256(root.reveal(), {}, as_bytes(purpose), key->fill());
    return Xaes256Gcm::make(*key);
  };
  auto materials = Xaes256Gcm::make(root);
  if (!materials) return std::move(materials).error();
  auto access_keys = derived("kmsfs kms access keys 1");
  if (!access_keys) return std::move(access_keys).error();
  auto sessions = derived("kmsfs kms sessions 1");
  if (!sessions) return std::move(sessions).error();
  auto grant_tokens = derived("kmsfs kms grant tokens 1");
  if (!grant_tokens) return std::move(grant_tokens).error();
  return Seals{std::move(*materials), std::move(*access_keys), std::move(*sessions),
               std::move(*grant_tokens)};
}

Engine::Engine(std::string directory, std::unique_ptr<Store> store, std::unique_ptr<AuditLog> audit,
               Seals seals, std::string region, const Clock& clock, Logger logger)
    : directory_(std::move(directory)),
      store_(std::move(store)),
      audit_(std::move(audit)),
      seals_(std::move(seals)),
      region_(std::move(region)),
      clock_(clock),
      logger_(std::move(logger)) {}

// The store's time is the boot clock plus a lead that only grows. So it goes on also while the wall clock is
// behind it.
void Engine::see(std::int64_t time_ms) const {
  const std::int64_t lead = time_ms - in_ms(clock_.boot_time());
  std::int64_t known = lead_ms_.load(std::memory_order_relaxed);
  while (lead > known && !lead_ms_.compare_exchange_weak(known, lead, std::memory_order_relaxed)) {
  }
}

std::int64_t Engine::now_ms() const {
  see(in_ms(clock_.wall_time()));
  return in_ms(clock_.boot_time()) + lead_ms_.load(std::memory_order_relaxed);
}

template <typename Loaded, typename Load>
Result<std::shared_ptr<const Loaded>> Engine::load(const Transaction& transaction, Table table, ByteView name,
                                                   Load parse) {
  auto stored = transaction.get(table, name);
  if (!stored) return internal_failure(std::move(stored).error());
  if (!*stored) return std::shared_ptr<const Loaded>();
  auto generation = generation_of(**stored);
  if (!generation) return std::move(generation).error();
  std::string place(1, static_cast<char>(table));
  place += as_text(name);
  auto kept = cache_.read([&](const Cache& cache) {
    const auto found = cache.find(place);
    return found != cache.end() && found->second.generation == *generation ? found->second.loaded : nullptr;
  });
  if (kept) return std::static_pointer_cast<const Loaded>(kept);
  Result<Loaded> parsed = parse(**stored);
  if (!parsed) return std::move(parsed).error();
  auto loaded = std::make_shared<const Loaded>(std::move(*parsed));
  cache_.write([&](Cache& cache) {
    if (cache.size() >= kMostKept) cache.clear();
    cache[place] = Kept{*generation, loaded};
  });
  return loaded;
}

Result<std::shared_ptr<const LoadedKey>> Engine::key(const Transaction& transaction, const KeyId& id) {
  return load<LoadedKey>(transaction, Table::kKeys, id.view(), [&](ByteView stored) -> Result<LoadedKey> {
    auto record = parse_key_record(stored);
    if (!record) return std::move(record).error();
    return load_key(std::move(*record), region_);
  });
}

Result<std::shared_ptr<const LoadedPrincipal>> Engine::principal(const Transaction& transaction,
                                                                 const std::string& arn) {
  return load<LoadedPrincipal>(transaction, Table::kPrincipals, as_bytes(arn),
                               [](ByteView stored) -> Result<LoadedPrincipal> {
                                 auto record = parse_principal_record(stored);
                                 if (!record) return std::move(record).error();
                                 return load_principal(std::move(*record));
                               });
}

Result<std::shared_ptr<const GrantRecord>> Engine::grant(const Transaction& transaction, ByteView name) {
  return load<GrantRecord>(transaction, Table::kGrants, name, parse_grant_record);
}

Result<Material> Engine::material(const Transaction& transaction, const KeyId& key,
                                  const MaterialId& material) const {
  const auto name = material_name(key, material);
  auto wrapped = transaction.get(Table::kMaterials, name);
  if (!wrapped) return internal_failure(std::move(wrapped).error());
  if (!*wrapped) return invalid_ciphertext();
  const Error damaged =
      internal_failure(error(Kind::kUnavailable, "the key store holds damaged key material"));
  if ((*wrapped)->size() != kWrappedMaterialSize) return damaged;
  auto plain = Material::make();
  if (!plain) return plain;
  if (auto opened = seals_.materials.open(material_aad(name), **wrapped, plain->fill()); !opened) {
    return opened.error().kind == Kind::kCorrupt ? damaged : std::move(opened).error();
  }
  return plain;
}

Result<MaterialId> Engine::add_material(WriteTransaction& transaction, const KeyId& key) const {
  const auto id = MaterialId::random();
  const auto name = material_name(key, id);
  auto plain = Material::random();
  if (!plain) return std::move(plain).error();
  std::array<std::byte, kWrappedMaterialSize> wrapped{};
  KMSFS_TRY(seals_.materials.seal(material_aad(name), plain->reveal(), wrapped));
  KMSFS_TRY(transaction.put(Table::kMaterials, name, wrapped));
  return id;
}

Result<std::uint64_t> Engine::last_change(const Transaction& transaction) const {
  auto changed = last_change_of(transaction);
  if (!changed) return internal_failure(std::move(changed).error());
  if (changed->sequence != 0) see(changed->time_ms);
  return changed->sequence;
}

Result<AuditTurn> Engine::take_turn() {
  auto turn = take_audit_turn(*store_, *audit_);
  if (!turn) return internal_failure(std::move(turn).error());
  if (turn->last_change != 0) see(turn->last_change_ms);
  return turn;
}

Result<bool> Engine::record_use(const AuditRecord& record, std::uint64_t last_change) {
  auto turn = take_turn();
  if (!turn) return std::move(turn).error();
  if (turn->last_change != last_change) return false;
  const AuditLines lines = audit_lines(record, turn->position);
  if (auto appended = audit_->append(lines.text, lines.last); !appended) {
    return internal_failure(std::move(appended).error());
  }
  return true;
}

Result<void> Engine::change(AuditRecord& record, const Change& act) {
  auto turn = take_turn();
  if (!turn) return std::move(turn).error();
  // The record of a change must never be on disk without those before it.
  if (auto synced = audit_->sync(); !synced) return internal_failure(std::move(synced).error());
  auto acted = act(*turn->transaction, record);
  if (!acted && acted.error().code == kNotRecorded) return acted;
  if (!acted) tell_error(record, acted.error());
  const AuditLines lines = audit_lines(record, turn->position);
  if (!acted) {
    // Still in turn; what the transaction holds is undone with it.
    auto told = audit_->append(lines.text, lines.last);
    if (!told) return internal_failure(std::move(told).error());
    return acted;
  }
  Bytes stored(LastChange::kHeader + lines.text.size());
  store_be64(stored.data(), lines.last);
  store_be64(stored.data() + 8, static_cast<std::uint64_t>(now_ms()));
  std::memcpy(stored.data() + LastChange::kHeader, lines.text.data(), lines.text.size());
  auto committed = turn->transaction->put(Table::kMeta, as_bytes("last_change"), stored);
  if (committed) committed = turn->transaction->commit();
  if (!committed) return internal_failure(std::move(committed).error());
  // Whoever comes next puts the record into the log; let that be us.
  auto settled = take_turn();
  if (settled) {
    if (auto synced = audit_->sync(); synced) return {};
  }
  // Done and recorded in the store; no key is used before the line is in the log.
  logger_->warn("the audit log cannot be written; the record of {} follows later", record.event);
  return {};
}

Result<void> Engine::remember_time() {
  auto transaction = store_->write();
  if (!transaction) return internal_failure(std::move(transaction).error());
  auto stored = (*transaction)->get(Table::kMeta, as_bytes("last_change"));
  if (!stored) return internal_failure(std::move(stored).error());
  if (!*stored || (*stored)->size() < LastChange::kHeader) return {};
  const std::int64_t now = now_ms();
  if (now - static_cast<std::int64_t>(load_be64((*stored)->data() + 8)) < kTimePrecisionMs) return {};
  Bytes changed((*stored)->begin(), (*stored)->end());
  store_be64(changed.data() + 8, static_cast<std::uint64_t>(now));
  auto committed = (*transaction)->put(Table::kMeta, as_bytes("last_change"), changed);
  if (committed) committed = (*transaction)->commit();
  if (!committed) return internal_failure(std::move(committed).error());
  return {};
}

}  // namespace kmsfs::kms
