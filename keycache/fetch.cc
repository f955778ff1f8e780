// Asking the KMS: one flight per key, and what becomes of the answer.
#include <algorithm>

#include "core/waiting.h"
#include "keycache/state.h"

namespace kmsfs {

using keycache::Flight;
using keycache::is_refusal;

namespace {
constexpr int kAttempts = 3;                // a key forgotten while it was being fetched is asked for again
constexpr std::size_t kEvictedAtOnce = 64;  // a page of the arena has so many slots
}  // namespace

// Joins the flight of this key, or leads a new one.
Result<KeyHandle> KeyCache::State::fetch(const Wanted& wanted) {
  std::shared_ptr<Flight> flight;
  bool leads = false;
  auto decided = shard_of(wanted.id).with([&](Shard& shard) -> std::optional<Result<KeyHandle>> {
    const BootTime now = clock_.boot_time();
    // The world may have changed since the caller looked.
    if (Entry* entry = shard.find(wanted.id);
        entry && !wanted.renew && entry->good(now) && !used_up(*entry)) {
      entry->uses += wanted.for_use ? 1 : 0;
      shard.touch(*entry);
      return pin(shard, *entry, wanted.request);
    }
    if (const auto found = shard.flights.find(wanted.id); found != shard.flights.end()) {
      flight = found->second;
      ++flight->callers;
      flight->handles += wanted.for_use ? 1 : 0;
      ++shard.counters.shared_flights;
      return std::nullopt;
    }
    if (const Error* refusal = shard.refusal(wanted.id, now)) return *refusal;
    if (auto refused = refused_now(wanted.master, now)) return std::move(*refused);
    flight = std::make_shared<Flight>();
    flight->callers = 1;
    flight->handles = wanted.for_use ? 1 : 0;
    shard.flights.emplace(wanted.id, flight);
    shard.counters.misses += wanted.renew ? 0 : 1;
    leads = true;
    return std::nullopt;
  });
  if (decided) return std::move(*decided);
  if (leads) ask_aside([this, wanted, flight] { answer(wanted, flight); });
  return wait_for(wanted, *flight);
}

void KeyCache::State::answer(const Wanted& wanted, const std::shared_ptr<Flight>& flight) {
  const bool abandoned = shard_of(wanted.id).with([&](Shard& shard) {
    if (flight->callers != 0) return false;
    shard.flights.erase(wanted.id);
    return true;
  });
  if (abandoned) return flight->land(LongWait::interrupted());  // nobody is left who would hear it
  auto outcome = ask(wanted, *flight);
  shard_of(wanted.id).with([&](Shard& shard) { shard.flights.erase(wanted.id); });
  flight->land(std::move(outcome));
}

Result<KeyHandle> KeyCache::State::wait_for(const Wanted& wanted, Flight& flight) {
  std::optional<Result<KeyHandle>> heard;
  if (flight.wait([&](const Result<KeyHandle>& outcome) { heard = outcome; })) return std::move(*heard);
  shard_of(wanted.id).with([&](Shard&) {
    --flight.callers;
    flight.handles -= wanted.for_use ? 1 : 0;
  });
  return LongWait::interrupted();
}

// Nobody waits for the answer, so a question that cannot be asked now is not asked.
KeyCache::Ahead KeyCache::State::ask_ahead(const KeyRequest& asked) {
  if (kms_.is_near() || clock_.boot_time().count() < ahead_again_at_) return Ahead::kNotNow;
  const auto request =
      std::make_shared<const Request>(request_for(asked.key_arn, asked.suite, asked.wrapped, asked.context));
  const Wanted wanted{id_of(*request), master_key(asked.key_arn), request, false, false};
  if (wanted.master.standing.with([](const MasterKey::Standing& standing) { return !!standing.refused; }))
    return Ahead::kNotNow;
  const auto flight = std::make_shared<Flight>();
  flight->callers = 1;  // this one, who does not wait
  const bool begun = shard_of(wanted.id).with([&](Shard& shard) {
    const Entry* entry = shard.find(wanted.id);
    if (entry != nullptr && entry->good(clock_.boot_time())) return false;
    return shard.flights.emplace(wanted.id, flight).second;
  });
  if (!begun) return Ahead::kHeld;
  const auto question = [this, wanted, flight] {
    answer(wanted, flight);
    flight->wait([&](const Result<KeyHandle>& outcome) {
      if (!outcome) ahead_again_at_ = (clock_.boot_time() + kAskAgainAfter).count();
    });
  };
  if (askers_.ask_ahead(question)) return Ahead::kAsked;
  const bool alone = shard_of(wanted.id).with([&](Shard& shard) {
    if (--flight->callers != 0) return false;
    shard.flights.erase(wanted.id);
    return true;
  });
  if (!alone) ask_aside([this, wanted, flight] { answer(wanted, flight); });
  return Ahead::kNotNow;
}

// While a master key is refused: why, except for the one caller in each kAskAgainAfter who shall ask.
std::optional<Error> KeyCache::State::refused_now(MasterKey& master, BootTime now) {
  return master.standing.with([&](MasterKey::Standing& standing) -> std::optional<Error> {
    if (!standing.refused) return std::nullopt;
    if (now < standing.ask_after) return standing.refused;
    standing.ask_after = now + kAskAgainAfter;
    return std::nullopt;
  });
}

Result<KeyHandle> KeyCache::State::ask(const Wanted& wanted, Flight& flight) {
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    const std::uint64_t begun = epochs_.load();
    const bool has_key = shard_of(wanted.id).with([&](Shard& shard) {
      const Entry* entry = shard.find(wanted.id);
      return entry != nullptr && entry->held.has_value();
    });
    std::optional<Room> room;
    if (!has_key) {
      auto made = make_room();
      if (!made) return std::move(made).error();
      room.emplace(std::move(*made));
    }
    auto key = decrypt(wanted.master, *wanted.request);
    notice_principal();
    if (!key) return failed(wanted, std::move(key).error());
    auto kept = keep(wanted, std::move(*key), std::move(room), begun, &flight);
    if (!kept) return std::move(kept).error();
    if (*kept) return std::move(**kept);
  }
  return error(Kind::kExpired, "the data key was forgotten again and again while it was being fetched");
}

Result<DataKey> KeyCache::State::decrypt(const MasterKey& master, const Request& request) {
  const EncryptionContext context = request.context();
  ++kms_calls_;
  const auto wait = wait_for_kms();
  auto key = kms_.decrypt(master.arn, request.wrapped(), context);
  if (!key && key.error().kind == Kind::kNoMemory && evict(kEvictedAtOnce)) {
    ++kms_calls_;
    key = kms_.decrypt(master.arn, request.wrapped(), context);
  }
  if (!key) ++kms_errors_;
  return key;
}

Result<std::optional<KeyHandle>> KeyCache::State::keep(const Wanted& wanted, DataKey key,
                                                       std::optional<Room> room, std::uint64_t begun,
                                                       Flight* flight) {
  const BootTime answered = clock_.boot_time();
  const Sha256 fingerprint = hmac_sha256(key, fingerprint_salt_);
  return shard_of(wanted.id).with([&](Shard& shard) -> Result<std::optional<KeyHandle>> {
    const std::uint64_t epoch = wanted.master.epoch.load();
    if (epoch > begun) {
      auto refused =
          wanted.master.standing.with([](const MasterKey::Standing& standing) { return standing.refused; });
      if (refused) return std::move(*refused);
      return std::optional<KeyHandle>();
    }
    Entry& entry = shard.entry(wanted.id, wanted.master);
    if (!room && !entry.held) {
      // It held a key when the KMS was asked, and so needed no room then.
      ++held_;
      room.emplace(held_);
    }
    KMSFS_TRY(shard.hold(entry,
                         {std::move(key), fingerprint, std::move(room), epoch, answered + options_.max_age}));
    entry.uses = flight != nullptr ? flight->handles : 1;
    confirm(wanted.master, wanted.request, begun, flight != nullptr);
    return std::optional(pin(shard, entry, wanted.request));
  });
}

// The KMS said yes. Not by Decrypt means by GenerateDataKey, which does not prove that Decrypt is allowed.
void KeyCache::State::confirm(MasterKey& master, const std::shared_ptr<const Request>& request,
                              std::uint64_t begun, bool by_decrypt) {
  const WallTime wall = clock_.wall_time();
  const BootTime now = clock_.boot_time();
  master.standing.with([&](MasterKey::Standing& standing) {
    standing.unreachable_since.reset();
    if (master.epoch.load() > begun) return;
    if (standing.refused) standing.since = wall;
    standing.refused.reset();
    if (by_decrypt || !standing.proof) standing.proof = request;
    if (by_decrypt) standing.probe_at = now + options_.probe_interval;
  });
}

void KeyCache::State::note_outage(MasterKey& master) {
  master.standing.with([now = clock_.wall_time()](MasterKey::Standing& standing) {
    if (!standing.unreachable_since) standing.unreachable_since = now;
  });
}

Result<KeyHandle> KeyCache::State::failed(const Wanted& wanted, Error reason) {
  if (is_outage(reason.kind)) {
    note_outage(wanted.master);
    auto outlasted = outlast_outage(wanted, reason);
    if (!outlasted) return std::move(outlasted).error();
    if (*outlasted) return std::move(**outlasted);
    return reason;
  }
  if (!is_refusal(reason.kind)) return reason;
  const BootTime ask_after = clock_.boot_time() + kAskAgainAfter;
  const bool withdrawn = shard_of(wanted.id).with([&](Shard& shard) {
    shard.remember_refusal(wanted.id, reason, ask_after);
    const Entry* entry = shard.find(wanted.id);
    return entry != nullptr && entry->held && entry->epoch.load() == wanted.master.epoch.load();
  });
  // A Decrypt that was never allowed may concern this file alone (a grant can be bound to a context).
  // Disabled and gone concern the master key as such.
  if (withdrawn || reason.kind != Kind::kDenied) revoke(wanted.master, reason);
  return reason;
}

// The KMS could not be asked. An entry past its age may be used within the outage grace, unless it was
// refused.
Result<std::optional<KeyHandle>> KeyCache::State::outlast_outage(const Wanted& wanted, const Error& reason) {
  auto refused =
      wanted.master.standing.with([](const MasterKey::Standing& standing) { return standing.refused; });
  if (refused) return std::move(*refused);
  return shard_of(wanted.id).with([&](Shard& shard) -> Result<std::optional<KeyHandle>> {
    const BootTime now = clock_.boot_time();
    Entry* entry = shard.find(wanted.id);
    if (entry == nullptr || (entry->held && now < entry->age_ends)) return std::optional<KeyHandle>();
    const BootTime grace_ends = entry->age_ends + options_.outage_grace;
    const bool current = entry->held && entry->epoch.load() == wanted.master.epoch.load();
    if (!current || now >= grace_ends || used_up(*entry)) {
      return error(Kind::kExpired,
                   "the data key is past its age, and the KMS cannot be asked: " + reason.text);
    }
    entry->good_until.store(grace_ends.count(), std::memory_order_release);
    shard.touch(*entry);
    return std::optional(pin(shard, *entry, wanted.request));
  });
}

Result<keycache::Room> KeyCache::State::make_room() {
  const bool fits = held_.fetch_add(1) < capacity_;
  Room room(held_);
  if (fits || evict(1)) return room;
  return error(Kind::kNoMemory, "the key cache is full of keys in use; raise RLIMIT_MEMLOCK (LimitMEMLOCK=)");
}

bool KeyCache::State::evict(std::size_t count) {
  std::size_t evicted = 0;
  // Round the shards, so that what is evicted is old wherever it stands.
  for (std::size_t empty = 0; empty < kShards && evicted < count;) {
    const std::size_t at = next_to_evict_.fetch_add(1, std::memory_order_relaxed) % kShards;
    if (shards_[at].with([](Shard& shard) { return shard.evict_one(); })) {
      ++evicted;
      empty = 0;
    } else {
      ++empty;
    }
  }
  return evicted > 0;
}

// The question of a thread that serves a program, and shall be able to leave when the program goes.
Result<KeyCache::Generated> KeyCache::State::generate(const std::string& key_arn, std::uint16_t suite,
                                                      const EncryptionContext& context) {
  if (!asks_aside()) return generate_here(key_arn, suite, context);
  const auto answer = std::make_shared<keycache::Answer<Generated>>();
  ask_aside([=, this] { answer->land(generate_here(key_arn, suite, context)); });
  Result<Generated> made = LongWait::interrupted();
  answer->wait([&](Result<Generated>& outcome) { made = std::move(outcome); });
  return made;
}

// An embedded KMS answers sooner than another worker could take over.
std::optional<LongWait> KeyCache::State::wait_for_kms() const {
  return kms_.is_near() ? std::optional<LongWait>() : std::optional<LongWait>(std::in_place);
}

// Does this thread leave questions to others?
bool KeyCache::State::asks_aside() const { return !kms_.is_near() && Waiting::of_this_thread() != nullptr; }

void KeyCache::State::ask_aside(const std::function<void()>& question) {
  if (!asks_aside() || !askers_.ask(question)) question();
}

Result<KeyCache::Generated> KeyCache::State::generate_here(const std::string& key_arn, std::uint16_t suite,
                                                           const EncryptionContext& context) {
  MasterKey* known = known_master_key(key_arn);
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    if (known != nullptr && attempt == 0) {
      if (auto refused = refused_now(*known, clock_.boot_time())) return std::move(*refused);
    }
    const std::uint64_t begun = epochs_.load();
    auto room = make_room();
    if (!room) return std::move(room).error();
    ++kms_calls_;
    const auto wait = wait_for_kms();
    auto answer = kms_.generate_data_key(key_arn, context);
    if (!answer && answer.error().kind == Kind::kNoMemory && evict(kEvictedAtOnce)) {
      ++kms_calls_;
      answer = kms_.generate_data_key(key_arn, context);
    }
    if (!answer) {
      ++kms_errors_;
      // Who may not make keys may still use them; disabled and gone concern every use.
      const Kind kind = answer.error().kind;
      if (known != nullptr && (kind == Kind::kDisabled || kind == Kind::kKeyGone))
        revoke(*known, answer.error());
      return std::move(answer).error();
    }
    WrappedDataKey& wrapped = answer->wrapped;
    const Request request = request_for(wrapped.key_arn, suite, wrapped.blob, context);
    const EntryId id = id_of(request);
    const Wanted wanted{id, master_key(wrapped.key_arn), std::make_shared<const Request>(request), true,
                        false};
    auto kept = keep(wanted, std::move(answer->key), std::move(*room), begun, nullptr);
    if (!kept) return std::move(kept).error();
    if (*kept) return Generated{std::move(**kept), std::move(wrapped)};
  }
  return error(Kind::kExpired, "the data key was forgotten again and again while it was being made");
}

}  // namespace kmsfs
