#include "keycache/key_cache.h"

#include <sys/statfs.h>

#include <algorithm>
#include <cassert>

#include <linux/magic.h>

#include "keycache/state.h"

namespace kmsfs {

using keycache::Entry;
using keycache::is_refusal;
using keycache::MasterKey;
using keycache::Shard;

namespace {

constexpr std::size_t kSlotSize = 64;
constexpr auto kLongestAge = std::chrono::hours(24);

std::array<std::byte, 32> random_salt() {
  std::array<std::byte, 32> salt{};
  random_bytes(salt);
  return salt;
}

std::size_t capacity_of(const KeyCache::Options& options) {
  return options.capacity == 0 ? data_keys_within(LockedMemory::usage().capacity) : options.capacity;
}

Result<void> check_options(const KeyCache::Options& options) {
  using std::chrono::seconds;
  if (options.max_age <= seconds(0) || options.max_age > kLongestAge) {
    return error(Kind::kInvalid, "the maximum age of cached keys must be between 1 second and 24 hours");
  }
  if (options.max_idle < seconds(0) || options.outage_grace < seconds(0) ||
      options.outage_grace > kLongestAge) {
    return error(Kind::kInvalid,
                 "idle time and outage grace of cached keys cannot be negative or over 24 hours");
  }
  if (options.probe_interval <= seconds(0) || options.probe_interval > kLongestAge) {
    return error(Kind::kInvalid, "the probe interval must be between 1 second and 24 hours");
  }
  return {};
}

Error as_refusal(const Error& reason) {
  assert(is_refusal(reason.kind) && "a revocation says denied, disabled or gone");
  return reason;
}

}  // namespace

std::size_t data_keys_within(std::size_t locked_memory) {
  // The rest is for cipher schedules of open files and for what the KMS client holds.
  return locked_memory / 4 * 3 / kSlotSize;
}

// --- KeyHandle

KeyHandle::Pin::~Pin() { state_->unpin(entry_); }

Result<void> KeyHandle::check() const {
  assert(pin_ != nullptr);
  return pin_->entry().check();
}
Result<DataKey> KeyHandle::data_key() const {
  assert(pin_ != nullptr);
  return pin_->state().copy(pin_->entry());
}
const std::string& KeyHandle::key_arn() const {
  assert(pin_ != nullptr);
  return pin_->entry().master.arn;
}

// --- State

KeyCache::State::State(Kms& kms, const Clock& clock, Logger logger, const Options& options,
                       std::size_t capacity, BootKey boot_key, std::string principal,
                       std::unique_ptr<keycache::Index> index)
    : kms_(kms),
      clock_(clock),
      logger_(std::move(logger)),
      options_(options),
      capacity_(capacity),
      boot_key_(std::move(boot_key)),
      fingerprint_salt_(random_salt()),
      endpoint_(kms.endpoint()),
      principal_(std::move(principal)),
      index_(std::move(index)) {
  for (auto& guarded : shards_) guarded.with([&](Shard& shard) { shard.keep_journal(index_ != nullptr); });
}

Result<KeyHandle> KeyCache::State::unwrap(const KeyRequest& wanted) {
  notice_principal();
  const auto request = std::make_shared<const Request>(
      request_for(wanted.key_arn, wanted.suite, wanted.wrapped, wanted.context));
  const EntryId id = id_of(*request);
  auto hit = shard_of(id).with([&](Shard& shard) -> std::optional<KeyHandle> {
    Entry* entry = shard.find(id);
    if (entry == nullptr || !entry->good(clock_.boot_time()) || used_up(*entry)) return std::nullopt;
    ++shard.counters.hits;
    ++entry->uses;
    shard.touch(*entry);
    return pin(shard, *entry, request);
  });
  if (hit) return std::move(*hit);
  return fetch(Wanted{id, master_key(wanted.key_arn), request, true, false});
}

Result<void> KeyCache::State::ensure(const KeyHandle& handle) {
  if (!handle || &handle.pin_->state() != this)
    return error(Kind::kInvalid, "not a handle of this key cache");
  if (auto good = handle.check()) return good;
  Entry& entry = handle.pin_->entry();
  notice_principal();
  auto request = shard_of(entry.id).with([&](Shard&) { return entry.request; });
  auto fetched = fetch(Wanted{entry.id, entry.master, std::move(request), false, false});
  if (!fetched) return std::move(fetched).error();
  return {};
}

Result<DataKey> KeyCache::State::copy(Entry& entry) {
  auto key = DataKey::make();
  if (!key) return key;
  return shard_of(entry.id).with([&](Shard&) -> Result<DataKey> {
    KMSFS_TRY(entry.check());
    // A good epoch that was read before a revocation: the key is gone all the same.
    if (!entry.held) return entry.why_not();
    const auto bytes = entry.held->key.reveal();
    std::copy(bytes.begin(), bytes.end(), key->fill().begin());
    return std::move(*key);
  });
}

KeyHandle KeyCache::State::pin(Shard& shard, Entry& entry, std::shared_ptr<const Request> request) {
  if (!entry.request) entry.request = std::move(request);
  shard.pin(entry);
  return KeyHandle(std::make_shared<const KeyHandle::Pin>(shared_from_this(), entry));
}

void KeyCache::State::unpin(Entry& entry) {
  // When the cache is closed its clock may be gone.
  const BootTime now = closed_ ? BootTime(0) : clock_.boot_time();
  shard_of(entry.id).with([&](Shard& shard) { shard.unpin(entry, now); });
}

KeyCache::State::Request KeyCache::State::request_for(const std::string& key_arn, std::uint16_t suite,
                                                      ByteView wrapped,
                                                      const EncryptionContext& context) const {
  return principal_.read([&](const std::string& principal) {
    return Request(principal, endpoint_, key_arn, suite, wrapped, context);
  });
}

KeyCache::State::EntryId KeyCache::State::id_of(const Request& request) const {
  const Sha256 sum = hmac_sha256(boot_key_, request.bytes());
  EntryId id{};
  std::copy_n(sum.begin(), id.size(), id.begin());
  return id;
}

// Credentials can come to speak for somebody else. What the last one was given serves nobody after that.
void KeyCache::State::notice_principal() {
  auto principal = kms_.principal();
  if (!principal) return;  // the KMS is down: no proof of a change
  if (principal_.read([&](const std::string& known) { return known == *principal; })) return;
  const bool changed = principal_.write([&](std::string& known) {
    const bool differs = known != *principal;
    known = *principal;
    return differs;
  });
  if (!changed) return;
  logger_->warn("the KMS is now asked as {}; all cached keys are forgotten", *principal);
  forget_all();
}

KeyCache::State::MasterKey* KeyCache::State::known_master_key(const std::string& arn) const {
  return master_keys_.read([&](const auto& keys) {
    const auto found = keys.find(arn);
    return found == keys.end() ? nullptr : found->second.get();
  });
}

KeyCache::State::MasterKey& KeyCache::State::master_key(const std::string& arn) {
  if (MasterKey* known = known_master_key(arn)) return *known;
  return master_keys_.write([&](auto& keys) -> MasterKey& {
    auto& place = keys[arn];
    if (!place) {
      place = std::make_unique<MasterKey>(arn, static_cast<std::uint32_t>(keys.size()), clock_, first_epoch_);
      place->standing.with([&](MasterKey::Standing& standing) {
        standing.since = clock_.wall_time();
        standing.probe_at = clock_.boot_time() + options_.probe_interval;
      });
    }
    return *place;
  });
}

std::vector<KeyCache::State::MasterKey*> KeyCache::State::master_keys() const {
  return master_keys_.read([](const auto& keys) {
    std::vector<MasterKey*> all;
    for (const auto& [arn, key] : keys) all.push_back(key.get());
    return all;
  });
}

void KeyCache::State::revoke(MasterKey& master, const Error& reason) {
  const BootTime now = clock_.boot_time();
  const WallTime wall = clock_.wall_time();
  const bool news = master.standing.with([&](MasterKey::Standing& standing) {
    master.epoch.store(++epochs_);
    const bool differs = !standing.refused || standing.refused->kind != reason.kind;
    if (differs) standing.since = wall;
    standing.refused = reason;
    standing.unreachable_since.reset();
    standing.ask_after = now + kAskAgainAfter;
    standing.probe_at = now + options_.probe_interval;
    return differs;
  });
  for (auto& guarded : shards_) guarded.with([&](Shard& shard) { shard.sweep(&master); });
  if (!news) return;
  ++revocations_;
  logger_->warn("master key {} may not be used: {}", master.arn, reason.text);
  const auto listener = listener_.with([](const auto& set) { return set; });
  if (listener && *listener) (*listener)(master.arn, reason);
}

void KeyCache::State::forget_all() {
  master_keys_.write([&](auto& keys) {
    const std::uint64_t epoch = ++epochs_;
    first_epoch_ = epoch;
    for (const auto& [arn, key] : keys) {
      key->standing.with([&, master = key.get()](MasterKey::Standing&) { master->epoch.store(epoch); });
    }
  });
  for (auto& guarded : shards_) guarded.with([](Shard& shard) { shard.sweep(nullptr); });
}

void KeyCache::State::set_listener(RevocationListener listener) {
  auto set = std::make_shared<const RevocationListener>(std::move(listener));
  listener_.with([&](auto& current) { current.swap(set); });
}

void KeyCache::State::close() {
  {
    std::lock_guard lock(stop_mutex_);
    stopping_ = true;
  }
  stop_signal_.notify_all();
  if (thread_.joinable()) thread_.join();
  askers_.stop();
  closed_ = true;
  forget_all();  // and handles that live on fail, without a look at the clock
  std::lock_guard lock(maintaining_);
  index_.reset();
}

KeyCache::Figures KeyCache::State::figures() const {
  Figures figures;
  figures.capacity = capacity_;
  for (const auto& guarded : shards_) {
    const Shard::Counters counters = guarded.with([](const Shard& shard) { return shard.counters; });
    figures.hits += counters.hits;
    figures.misses += counters.misses;
    figures.shared_flights += counters.shared_flights;
    figures.evictions += counters.evictions;
    figures.expirations += counters.expirations;
  }
  figures.revocations = revocations_;
  figures.kms_calls = kms_calls_;
  figures.kms_errors = kms_errors_;
  figures.memory_mode = to_string(LockedMemory::mode());
  for (const MasterKey* master : master_keys()) {
    figures.master_keys.push_back(status_of(*master));
    figures.entries += figures.master_keys.back().keys_held;
  }
  return figures;
}

KeyCache::MasterKeyStatus KeyCache::State::status_of(const MasterKey& master) {
  MasterKeyStatus status;
  status.key_arn = master.arn;
  status.keys_held = master.keys_held;
  master.standing.with([&](const MasterKey::Standing& standing) {
    if (standing.refused) status.refused = standing.refused->kind;
    status.unreachable = !standing.refused && standing.unreachable_since;
    const WallTime since = status.unreachable ? *standing.unreachable_since : standing.since;
    status.since_ms = std::chrono::duration_cast<std::chrono::milliseconds>(since).count();
  });
  return status;
}

// --- KeyCache

KeyCache::KeyCache(std::shared_ptr<State> state) : state_(std::move(state)) {}

KeyCache::~KeyCache() { state_->close(); }

Result<std::unique_ptr<KeyCache>> KeyCache::make(Kms& kms, const Clock& clock, Logger logger,
                                                 Options options) {
  KMSFS_TRY(check_options(options));
  auto boot_key = State::BootKey::random();
  if (!boot_key) return std::move(boot_key).error();
  auto principal = kms.principal();
  if (!principal) return std::move(principal).error().during("asking the KMS who we are");
  std::unique_ptr<keycache::Index> index;
  if (!options.index_directory.empty()) {
    auto made = keycache::Index::make(options.index_directory, options.index_size);
    if (!made) return std::move(made).error();
    index = std::move(*made);
    struct statfs file_system {};
    if (::statfs(options.index_directory.c_str(), &file_system) == 0 && file_system.f_type != TMPFS_MAGIC) {
      logger->warn("the key cache's index {} is not on tmpfs: it holds no key, but will be slower",
                   options.index_directory);
    }
  }
  auto state = std::make_shared<State>(kms, clock, std::move(logger), options, capacity_of(options),
                                       std::move(*boot_key), std::move(*principal), std::move(index));
  if (options.maintenance_thread) state->start_thread();
  return std::unique_ptr<KeyCache>(new KeyCache(std::move(state)));
}

Result<KeyHandle> KeyCache::unwrap(const KeyRequest& request) { return state_->unwrap(request); }
KeyCache::Ahead KeyCache::ask_ahead(const KeyRequest& request) { return state_->ask_ahead(request); }
bool KeyCache::kms_is_near() const { return state_->kms_is_near(); }
Result<KeyCache::Generated> KeyCache::generate(const std::string& key_arn, std::uint16_t suite,
                                               const EncryptionContext& context) {
  return state_->generate(key_arn, suite, context);
}
Result<void> KeyCache::ensure(const KeyHandle& handle) { return state_->ensure(handle); }
void KeyCache::revoke(const std::string& key_arn, const Error& reason) {
  state_->revoke(state_->master_key(key_arn), as_refusal(reason));
}
void KeyCache::revoke_all(const Error& reason) {
  for (MasterKey* master : state_->master_keys()) state_->revoke(*master, as_refusal(reason));
}
void KeyCache::forget_all() { state_->forget_all(); }
void KeyCache::set_revocation_listener(RevocationListener listener) {
  state_->set_listener(std::move(listener));
}
void KeyCache::maintain() { state_->maintain(); }
KeyCache::Figures KeyCache::figures() const { return state_->figures(); }

}  // namespace kmsfs
