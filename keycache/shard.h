// One of the parts that the cache is split into by entry id. Private to keycache/.
//
// Threads: the caller holds the shard's lock (Guarded<Shard>). Pins must not be released under it.
#pragma once

#include <condition_variable>
#include <mutex>
#include <unordered_map>
#include <vector>

#include "core/waiting.h"
#include "keycache/entry.h"

namespace kmsfs::keycache {

// The answer to one question, which another thread may have asked.
template <typename T>
class Answer {
 public:
  void land(Result<T> outcome) {
    {
      std::lock_guard lock(mutex_);
      outcome_.emplace(std::move(outcome));
    }
    landed_.notify_all();
  }
  // `use(Result<T>&)`, with the lock held, when the outcome is there. False: the wait was ended before
  // (core/waiting.h).
  template <typename Use>
  bool wait(Use&& use) {
    std::unique_lock lock(mutex_);
    if (!outcome_) {
      lock.unlock();
      const LongWait wait;
      lock.lock();
      landed_.wait(lock, wait.interruption(), [&] { return outcome_.has_value(); });
    }
    if (outcome_) use(*outcome_);
    return outcome_.has_value();
  }

 private:
  std::mutex mutex_;
  std::condition_variable_any landed_;
  std::optional<Result<T>> outcome_;
};

// One question to the KMS, and everybody who waits for its answer.
class Flight : public Answer<KeyHandle> {
 public:
  // Under the shard's lock.
  std::uint64_t handles = 0;  // that this will give out
  std::size_t callers = 0;    // that wait for it
};

class Shard {
 public:
  struct Counters {
    std::uint64_t hits = 0, misses = 0, shared_flights = 0, evictions = 0, expirations = 0;
  };

  struct Fetched {
    DataKey key;
    Sha256 fingerprint;
    std::optional<Room> room;  // for an entry that holds no key
    std::uint64_t epoch = 0;   // of its master key
    BootTime age_ends{0};
  };

  Shard() = default;
  Shard(const Shard&) = delete;
  Shard& operator=(const Shard&) = delete;

  Entry* find(const EntryId& id);
  // The entry of that id, made if there is none. A new one holds no key and must be pinned or given one now.
  Entry& entry(const EntryId& id, MasterKey& master);

  void pin(Entry& entry);
  // An entry that holds no key is gone after its last pin.
  void unpin(Entry& entry, BootTime now);

  // Gives the entry its key, or a new age for the one it holds. kCorrupt if it is another than it ever held.
  Result<void> hold(Entry& entry, Fetched fetched);
  // Wipes its key. An entry that nobody pins is gone after that.
  void drop(Entry& entry);

  bool evict_one();
  // Wipes what is past its age (and grace), and what nobody used for `max_idle` (if that is not zero).
  void expire(BootTime now, std::chrono::nanoseconds grace, std::chrono::nanoseconds max_idle);
  // Wipes every key of this master key (nullptr: of any) that is not of its present epoch.
  void sweep(const MasterKey* master);

  // A wrapped key that the KMS refused is not asked for again before `until`.
  void remember_refusal(const EntryId& id, const Error& reason, BootTime until);
  const Error* refusal(const EntryId& id, BootTime now) const;

  void touch(Entry& entry);  // a change that the index should hear of
  std::vector<EntryId> take_journal();
  void keep_journal(bool keep);

  // The oldest key first.
  const EntryList<&Entry::by_age>& by_age() const { return by_age_; }

  std::unordered_map<EntryId, std::shared_ptr<Flight>, EntryIdHash> flights;
  Counters counters;

 private:
  struct Refusal {
    Error reason;
    BootTime until;
  };
  void erase(Entry& entry);

  std::unordered_map<EntryId, Entry, EntryIdHash> entries_;
  EntryList<&Entry::by_age> by_age_;
  EntryList<&Entry::unpinned> unpinned_;  // the one unused for longest first
  std::unordered_map<EntryId, Refusal, EntryIdHash> refusals_;
  std::vector<EntryId> journal_;
  bool keep_journal_ = false;
};

}  // namespace kmsfs::keycache
