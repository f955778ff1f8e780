// What runs each second: expiry, probes, refreshes, and the index.
#include <algorithm>
#include <condition_variable>
#include <memory>
#include <mutex>

#include "keycache/state.h"

namespace kmsfs {

using keycache::Index;
using keycache::is_refusal;

namespace {

constexpr auto kInterval = std::chrono::seconds(1);
constexpr std::size_t kRefreshesAtOnce = 256;    // so that expiry and probes are never far behind
constexpr std::size_t kRefreshers = 16;          // threads, where the KMS is in the network
constexpr std::size_t kRowsAtOnce = 4096;        // per transaction: readers see a state not long ago
constexpr std::size_t kRowsPerRound = 1U << 16;  // a tenth of a second's work

// At 80 % of its age, five percent earlier or later: keys fetched together are not refreshed together. The id
// is random, and the same key always falls on the same moment.
BootTime refresh_time(const keycache::Entry& entry, std::chrono::nanoseconds max_age) {
  const auto jitter = max_age / 10 * std::to_integer<int>(entry.id[0]) / 255;
  return entry.age_ends - max_age / 4 + jitter;
}

}  // namespace

void KeyCache::State::maintain() {
  std::lock_guard lock(maintaining_);
  notice_principal();
  expire();
  probe();
  refresh();
  write_index();
}

void KeyCache::State::start_thread() {
  thread_ = std::thread([this] {
    std::unique_lock lock(stop_mutex_);
    while (!stop_signal_.wait_for(lock, kInterval, [this] { return stopping_; })) {
      lock.unlock();
      maintain();
      lock.lock();
    }
  });
}

void KeyCache::State::expire() {
  const BootTime now = clock_.boot_time();
  for (auto& guarded : shards_) {
    guarded.with([&](Shard& shard) { shard.expire(now, options_.outage_grace, options_.max_idle); });
  }
}

// A permission that was withdrawn is noticed within the probe interval, and one given back is, too.
void KeyCache::State::probe() {
  for (MasterKey* master : master_keys()) {
    if (master->keys_held == 0 && master->pins == 0) continue;
    const BootTime now = clock_.boot_time();
    auto proof = master->standing.with([&](MasterKey::Standing& standing) -> std::shared_ptr<const Request> {
      if (now < standing.probe_at) return nullptr;
      standing.probe_at = now + options_.probe_interval;
      return standing.proof;
    });
    if (!proof) continue;
    const std::uint64_t begun = epochs_.load();
    auto answer = decrypt(*master, *proof);
    if (answer) confirm(*master, proof, begun, true);
    if (!answer && is_refusal(answer.error().kind)) revoke(*master, answer.error());
    if (!answer && is_outage(answer.error().kind)) note_outage(*master);
  }
}

namespace {

// Work that several threads share. Who comes when it is over has nothing to do, and is not waited for.
class SharedWork {
 public:
  explicit SharedWork(std::size_t pieces) : pieces_(pieces) {}

  // `work(piece)` for what nobody has taken yet; false ends it for all.
  template <typename Work>
  void help(Work&& work) {
    if (!change_helpers(1)) return;
    for (std::size_t piece = 0; (piece = next_++) < pieces_;) {
      if (!work(piece)) next_ = pieces_;
    }
    static_cast<void>(change_helpers(-1));
  }
  void wait_for_helpers() {
    std::unique_lock lock(mutex_);
    over_ = true;
    changed_.wait(lock, [this] { return helpers_ == 0; });
  }

 private:
  bool change_helpers(int by) {
    std::lock_guard lock(mutex_);
    if (over_ && by > 0) return false;
    helpers_ += by;
    changed_.notify_all();
    return true;
  }

  const std::size_t pieces_;
  std::atomic<std::size_t> next_{0};
  std::mutex mutex_;
  std::condition_variable changed_;
  int helpers_ = 0;    // under mutex_
  bool over_ = false;  // under mutex_
};

}  // namespace

// Several at once, for a KMS may be far away, and expiry and probes wait for this.
void KeyCache::State::refresh() {
  const auto due = std::make_shared<const std::vector<Wanted>>(due_for_refresh());
  const auto shared = std::make_shared<SharedWork>(due->size());
  const auto help = [this, due, shared] {
    shared->help([&](std::size_t at) {
      auto outcome = fetch((*due)[at]);
      // A refusal was dealt with; nobody can be asked now, so the rest keep their age.
      return outcome || !is_outage(outcome.error().kind);
    });
  };
  for (std::size_t i = 1; !kms_.is_near() && i < std::min(due->size(), kRefreshers); ++i) {
    if (!askers_.ask(help)) break;
  }
  help();
  shared->wait_for_helpers();
}

std::vector<KeyCache::State::Wanted> KeyCache::State::due_for_refresh() {
  std::vector<Wanted> due;
  const BootTime now = clock_.boot_time();
  for (auto& guarded : shards_) {
    guarded.with([&](Shard& shard) {
      // The oldest first; beyond three quarters of their age nobody is due.
      for (Entry* entry = shard.by_age().front(); entry != nullptr; entry = shard.by_age().next(*entry)) {
        if (due.size() == kRefreshesAtOnce || entry->age_ends - options_.max_age / 4 > now) return;
        if (entry->pins == 0 || !entry->good(now) || refresh_time(*entry, options_.max_age) > now) continue;
        due.push_back(Wanted{entry->id, entry->master, entry->request, false, true});
      }
    });
  }
  return due;
}

void KeyCache::State::write_index() {
  if (!index_) return;
  for (auto& guarded : shards_) {
    const auto changed = guarded.with([](Shard& shard) { return shard.take_journal(); });
    unwritten_.insert(unwritten_.end(), changed.begin(), changed.end());
  }
  std::vector<Index::MasterKeyRow> master_rows;
  for (const MasterKey* master : master_keys()) master_rows.push_back({master->number, status_of(*master)});
  const std::size_t rows = std::min(unwritten_.size(), kRowsPerRound);
  std::size_t written = 0;
  do {
    std::vector<Index::Change> changes;
    for (; written < rows && changes.size() < kRowsAtOnce; ++written)
      changes.push_back(change_of(unwritten_[written]));
    if (auto done = index_->write(changes, master_rows, clock_.wall_time()); !done) {
      stop_indexing(done.error());
      return;
    }
  } while (written < rows);
  unwritten_.erase(unwritten_.begin(), unwritten_.begin() + static_cast<std::ptrdiff_t>(rows));
}

Index::Change KeyCache::State::change_of(const EntryId& id) {
  return shard_of(id).with([&](Shard& shard) {
    Index::Change change{id, std::nullopt};
    const Entry* entry = shard.find(id);
    if (entry == nullptr || !entry->held) return change;
    keycache::IndexRow row;
    row.slot = LockedMemory::position_of(entry->held->key.reveal().data());
    row.epoch = entry->epoch;
    row.deadline = BootTime(entry->good_until.load());
    row.uses = entry->uses;
    row.master_key = entry->master.number;
    row.pins = entry->pins;
    change.row = row;
    return change;
  });
}

// The cache works as well without: the index is for people who look on.
void KeyCache::State::stop_indexing(const Error& reason) {
  logger_->error("the key cache's index is given up until the next start: {}", reason.text);
  index_.reset();
  unwritten_.clear();
  unwritten_.shrink_to_fit();
  for (auto& guarded : shards_) guarded.with([](Shard& shard) { shard.keep_journal(false); });
}

}  // namespace kmsfs
