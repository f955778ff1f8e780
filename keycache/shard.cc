#include "keycache/shard.h"

#include <algorithm>
#include <cassert>

namespace kmsfs::keycache {

namespace {
constexpr std::size_t kFixedParts = 5;  // of a request: principal, endpoint, master key, suite, wrapped key
constexpr std::size_t kRefusalLimit =
    256;  // remembered per shard; beyond it the KMS hears the question again
}  // namespace

Request::Request(std::string_view principal, std::string_view endpoint, std::string_view key_arn,
                 std::uint16_t suite, ByteView wrapped, const EncryptionContext& context) {
  std::array<std::byte, 2> suite_bytes{};
  store_be16(suite_bytes.data(), suite);
  const std::array<ByteView, kFixedParts> parts = {as_bytes(principal), as_bytes(endpoint), as_bytes(key_arn),
                                                   suite_bytes, wrapped};
  std::size_t size = 0;
  for (ByteView part : parts) size += 4 + part.size();
  for (const auto& [name, value] : context) size += 8 + name.size() + value.size();
  bytes_.resize(size);
  ByteWriter out(bytes_);
  const auto add = [&](ByteView part) {
    out.u32(static_cast<std::uint32_t>(part.size()));
    out.bytes(part);
  };
  for (ByteView part : parts) add(part);
  for (const auto& [name, value] : context) {
    add(as_bytes(name));
    add(as_bytes(value));
  }
  assert(out.ok() && out.written() == size);
}

ByteView Request::wrapped() const {
  ByteReader in(bytes_);
  for (std::size_t part = 0; part + 1 < kFixedParts; ++part) in.bytes(in.u32());
  return in.bytes(in.u32());
}

EncryptionContext Request::context() const {
  ByteReader in(bytes_);
  for (std::size_t part = 0; part < kFixedParts; ++part) in.bytes(in.u32());
  EncryptionContext context;
  while (in.remaining() > 0) {
    std::string name(as_text(in.bytes(in.u32())));
    context.emplace(std::move(name), as_text(in.bytes(in.u32())));
  }
  return context;
}

Error Entry::why_not() const {
  auto refused = master.standing.with([](const MasterKey::Standing& standing) { return standing.refused; });
  if (refused) return std::move(*refused);
  return error(Kind::kExpired, "the data key is past its age, or was forgotten");
}

Entry* Shard::find(const EntryId& id) {
  const auto found = entries_.find(id);
  return found == entries_.end() ? nullptr : &found->second;
}

Entry& Shard::entry(const EntryId& id, MasterKey& master) {
  const auto found = entries_.find(id);
  if (found != entries_.end()) return found->second;
  Entry& made = entries_.try_emplace(id, id, master).first->second;
  unpinned_.push_back(made);
  return made;
}

void Shard::pin(Entry& entry) {
  if (entry.pins++ == 0) unpinned_.remove(entry);
  entry.master.pins.fetch_add(1, std::memory_order_relaxed);
}

void Shard::unpin(Entry& entry, BootTime now) {
  assert(entry.pins > 0 && "every unpin belongs to a pin");
  entry.master.pins.fetch_sub(1, std::memory_order_relaxed);
  if (--entry.pins > 0) return;
  entry.request.reset();
  entry.unpinned_since = now;
  unpinned_.push_back(entry);
  if (entry.held) {
    touch(entry);
  } else {
    erase(entry);
  }
}

Result<void> Shard::hold(Entry& entry, Fetched fetched) {
  const ByteView fingerprint = ByteView(fetched.fingerprint).first(entry.fingerprint.size());
  if (entry.has_fingerprint && !equal_in_constant_time(entry.fingerprint, fingerprint)) {
    return error(Kind::kCorrupt, "the KMS opened the same wrapped data key to another key than before");
  }
  std::copy(fingerprint.begin(), fingerprint.end(), entry.fingerprint.begin());
  entry.has_fingerprint = true;
  if (entry.held) {
    by_age_.remove(entry);  // the bytes are the same: they stay where they are
  } else {
    assert(fetched.room && "a key that is held takes room");
    entry.held.emplace(Entry::Held{std::move(fetched.key), std::move(*fetched.room)});
    entry.master.keys_held.fetch_add(1, std::memory_order_relaxed);
  }
  by_age_.push_back(entry);
  entry.age_ends = fetched.age_ends;
  entry.uses = 0;
  entry.good_until.store(fetched.age_ends.count(), std::memory_order_release);
  entry.epoch.store(fetched.epoch, std::memory_order_release);
  touch(entry);
  return {};
}

void Shard::drop(Entry& entry) {
  if (entry.held) {
    entry.epoch.store(0, std::memory_order_release);
    entry.held.reset();
    entry.master.keys_held.fetch_sub(1, std::memory_order_relaxed);
    by_age_.remove(entry);
    touch(entry);
  }
  if (entry.pins == 0) erase(entry);
}

void Shard::erase(Entry& entry) {
  unpinned_.remove(entry);
  entries_.erase(entries_.find(entry.id));
}

bool Shard::evict_one() {
  Entry* oldest = unpinned_.front();
  if (oldest == nullptr) return false;
  drop(*oldest);
  ++counters.evictions;
  return true;
}

void Shard::expire(BootTime now, std::chrono::nanoseconds grace, std::chrono::nanoseconds max_idle) {
  for (Entry* oldest = by_age_.front(); oldest != nullptr && oldest->age_ends + grace <= now;
       oldest = by_age_.front()) {
    drop(*oldest);
    ++counters.expirations;
  }
  if (max_idle.count() > 0) {
    for (Entry* oldest = unpinned_.front(); oldest != nullptr && oldest->unpinned_since + max_idle <= now;
         oldest = unpinned_.front()) {
      drop(*oldest);
      ++counters.expirations;
    }
  }
  std::erase_if(refusals_, [&](const auto& item) { return item.second.until <= now; });
}

void Shard::sweep(const MasterKey* master) {
  for (Entry* at = by_age_.front(); at != nullptr;) {
    Entry* next = by_age_.next(*at);
    const bool concerned = master == nullptr || &at->master == master;
    if (concerned && at->epoch.load() != at->master.epoch.load()) drop(*at);
    at = next;
  }
}

void Shard::remember_refusal(const EntryId& id, const Error& reason, BootTime until) {
  if (refusals_.size() >= kRefusalLimit) refusals_.clear();
  refusals_.insert_or_assign(id, Refusal{reason, until});
}

const Error* Shard::refusal(const EntryId& id, BootTime now) const {
  const auto found = refusals_.find(id);
  return found == refusals_.end() || found->second.until <= now ? nullptr : &found->second.reason;
}

void Shard::touch(Entry& entry) {
  if (!keep_journal_ || entry.journaled) return;
  entry.journaled = true;
  journal_.push_back(entry.id);
}

std::vector<EntryId> Shard::take_journal() {
  std::vector<EntryId> taken;
  taken.swap(journal_);
  for (const EntryId& id : taken) {
    if (Entry* entry = find(id)) entry->journaled = false;
  }
  return taken;
}

void Shard::keep_journal(bool keep) {
  keep_journal_ = keep;
  if (!keep) static_cast<void>(take_journal());
}

}  // namespace kmsfs::keycache
