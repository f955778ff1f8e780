// The key cache: unwrapped data keys of one principal at one KMS, in locked memory, for a limited time.
//
// Always: an entry serves only the principal, endpoint, master key, suite, wrapped key and encryption context
// that it was fetched for. No entry is used past its age, counted from the KMS's answer (it never slides). A
// key forgotten or revoked while it was being fetched is not kept. Keys live in 64-byte slots of
// LockedMemory; the LMDB index holds ids, slots, deadlines and counters, never a key. Full means evict what
// nobody pins, then kNoMemory. One flight per key: concurrent misses ask the KMS once, and all hear the same
// answer or the same error.
//
// The hot path, KeyHandle::check(), is a few atomic loads: no lock, no LMDB transaction.
//
// A refusal is kDenied, kDisabled or kKeyGone. After one the KMS is asked again at most once per
// kAskAgainAfter and master key (for a key that never worked: per wrapped key); everybody else hears the
// refusal at once.
//
// Threads: any, together. Calls that may ask the KMS block up to its deadline: never call them with a lock
// held. Lock order: shard, master key, flight; none is held across a KMS call or a listener.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/clock.h"
#include "core/log.h"
#include "core/secret.h"
#include "kmsclient/kms.h"

namespace kmsfs {

struct KeyRequest {
  std::string key_arn;  // the master key
  std::uint16_t suite = 1;
  ByteView wrapped;
  const EncryptionContext& context;
};

// A pinned entry: while a handle lives its key is not evicted. Copies share the pin. It may outlive the
// cache: then it fails.
class KeyHandle {
 public:
  KeyHandle() = default;
  explicit operator bool() const { return pin_ != nullptr; }

  // May the key be used now? kDenied, kDisabled, kKeyGone after a refusal; kExpired past its age, or when it
  // was forgotten: then KeyCache::ensure() asks the KMS. Of a handle that is not empty.
  Result<void> check() const;
  // check(), and a copy of the key: for deriving a file's keys, then let it die. A copy, because the slot may
  // be wiped at any moment. Takes a lock: for opening and rekeying files, not for each read.
  Result<DataKey> data_key() const;
  const std::string& key_arn() const;

 private:
  friend class KeyCache;
  class Pin;
  explicit KeyHandle(std::shared_ptr<const Pin> pin) : pin_(std::move(pin)) {}
  std::shared_ptr<const Pin> pin_;
};

class KeyCache {
 public:
  // A refusing KMS is asked no more often than this.
  static constexpr std::chrono::seconds kAskAgainAfter{1};

  struct Options {
    std::chrono::seconds max_age{300};     // from the KMS's answer; at most 24 h
    std::chrono::seconds max_idle{0};      // since the last use, for entries nobody pins; 0: no limit
    std::uint64_t max_uses = 0;            // handles given out per fetch; 0: no limit
    std::chrono::seconds outage_grace{0};  // beyond max_age, for transport errors only, never after a deny
    std::chrono::seconds probe_interval{30};
    std::size_t capacity = 0;     // keys; 0: three quarters of locked memory
    std::string index_directory;  // on tmpfs, mode 0700; emptied and rebuilt at start; empty: no index
    std::size_t index_size = std::size_t{1} << 30;  // bytes the index may grow to
    bool maintenance_thread = true;                 // tests call maintain() themselves
  };
  struct Generated {
    KeyHandle handle;
    WrappedDataKey wrapped;
  };
  struct MasterKeyStatus {
    std::string key_arn;
    std::optional<Kind> refused;  // why, if it may not be used now
    bool unreachable = false;     // the KMS could not be asked when it was last tried; not if refused
    std::int64_t since_ms = 0;    // wall time of that state
    std::uint64_t keys_held = 0;  // their bytes are in locked memory now
  };
  struct Figures {  // entries: keys held
    std::uint64_t entries = 0, capacity = 0, hits = 0, misses = 0, shared_flights = 0, evictions = 0,
                  expirations = 0, revocations = 0, kms_calls = 0, kms_errors = 0;
    std::string memory_mode;  // "secret", "locked", "unlocked"
    std::vector<MasterKeyStatus> master_keys;
  };
  // Called without locks, from the thread that learnt of it. `reason` is kDenied, kDisabled or kKeyGone.
  using RevocationListener = std::function<void(const std::string& key_arn, const Error& reason)>;

  // `kms` and `clock` must outlive the cache. kInvalid: limits that make no sense. kBusy: the index directory
  // serves another cache; other errors of it pass as they are.
  static Result<std::unique_ptr<KeyCache>> make(Kms& kms, const Clock& clock, Logger logger, Options options);
  ~KeyCache();  // wipes everything; no call may be under way

  // Calls that wait for a KMS in the network end with EINTR when the wait is ended (core/waiting.h); the
  // question goes on, and its answer is kept.
  Result<KeyHandle> unwrap(const KeyRequest& request);
  // Asks for a key that nobody needs yet, and does not wait: the next unwrap() finds the key, or joins the
  // question. Nothing is asked ahead from a KMS in the process, while it refuses or fails, or while enough
  // such questions are under way.
  enum class Ahead { kHeld, kAsked, kNotNow };  // kHeld: or asked for by others
  Ahead ask_ahead(const KeyRequest& request);
  bool kms_is_near() const;
  // A new data key; it enters the cache as if it had been unwrapped.
  Result<Generated> generate(const std::string& key_arn, std::uint16_t suite,
                             const EncryptionContext& context);
  // check(), and if the entry is past its age, was forgotten, or was refused and permission may be back, asks
  // the KMS (once for all callers). On success the same handle is good again, with the same key bytes:
  // kCorrupt if the KMS gives others. kExpired: past its age, and the KMS cannot be reached or asks for fewer
  // calls.
  Result<void> ensure(const KeyHandle& handle);

  // All handles of the master key fail at once with `reason` (kDenied, kDisabled or kKeyGone) until the KMS
  // says yes again; slots are wiped. The KMS's own refusals of a key that worked do the same.
  void revoke(const std::string& key_arn, const Error& reason);
  void revoke_all(const Error& reason);
  void forget_all();  // wipes without a refusal: the next use asks the KMS
  void set_revocation_listener(RevocationListener listener);

  // What the maintenance thread does each second: expiry, one probe per master key in use and probe interval
  // (a Decrypt; any other successful Decrypt counts as one), refresh of pinned entries at 80 % of their age
  // (with jitter, a bounded number at a time), index writes.
  void maintain();
  Figures figures() const;

 private:
  friend class KeyHandle::Pin;
  class State;
  explicit KeyCache(std::shared_ptr<State> state);
  std::shared_ptr<State> state_;  // handles share it, so that they may outlive the cache
};

// How many data keys a cache holds in that much locked memory, unless it is told how many.
std::size_t data_keys_within(std::size_t locked_memory);

}  // namespace kmsfs
