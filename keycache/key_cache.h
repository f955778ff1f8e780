// The key cache: unwrapped data keys of one principal at one KMS, in locked memory, for a limited time.
//
// Always: an entry serves only the principal, endpoint, master key, suite, wrapped key and encryption context that it was
// fetched for. No entry is used past its age, counted from the KMS's answer (it never slides). A key forgotten or
// revoked while it was being fetched is not kept. Keys live in 64-byte slots of LockedMemory; the LMDB index holds ids,
// slots, deadlines and counters, never a key. Full means evict what nobody pins, then kNoMemory.
// One flight per key: concurrent misses ask the KMS once, and all hear the same answer or the same error.
// The hot path, KeyHandle::check(), is a few atomic loads: no lock, no LMDB transaction.
// Threads: any, together. Calls that may ask the KMS block up to its deadline: never call them with a lock held.
// Lock order: shard locks, then the flight's; neither is held across a KMS call or a listener.
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

// A pinned entry: while a handle lives its slot is not given to another key. Copies share the pin.
class KeyHandle {
 public:
  KeyHandle() = default;
  explicit operator bool() const { return entry_ != nullptr; }

  // May the key be used now? kDenied, kDisabled, kKeyGone after a revocation; kExpired past its age.
  Result<void> check() const;
  // The key; only after a check() that succeeded, and not beyond the operation it was checked for.
  std::span<const std::byte, 32> reveal() const;
  const std::string& key_arn() const;

 private:
  friend class KeyCache;
  struct Entry;
  explicit KeyHandle(std::shared_ptr<Entry> entry);
  std::shared_ptr<Entry> entry_;
};

class KeyCache {
 public:
  struct Options {
    std::chrono::seconds max_age{300};     // from the KMS's answer; at most 24 h
    std::chrono::seconds max_idle{0};      // since the last use, for entries nobody pins; 0: no limit
    std::uint64_t max_uses = 0;            // handles given out per fetch; 0: no limit
    std::chrono::seconds outage_grace{0};  // beyond max_age, for transport errors only, never after a deny
    std::chrono::seconds probe_interval{30};
    std::size_t capacity = 0;              // entries; 0: what locked memory gives
    std::string index_directory;           // on tmpfs, mode 0700; emptied and rebuilt at start
    bool maintenance_thread = true;        // tests call maintain() themselves
  };
  struct Generated {
    KeyHandle handle;
    WrappedDataKey wrapped;
  };
  struct MasterKeyStatus {
    std::string key_arn;
    std::optional<Kind> refused;  // why, if it may not be used now
    std::int64_t since_ms = 0;    // wall time of that state
    std::uint64_t keys_held = 0;
  };
  struct Figures {
    std::uint64_t entries = 0, capacity = 0, hits = 0, misses = 0, shared_flights = 0, evictions = 0, expirations = 0,
                  revocations = 0, kms_calls = 0, kms_errors = 0;
    std::string memory_mode;      // "secret", "locked", "unlocked"
    std::vector<MasterKeyStatus> master_keys;
  };
  // Called without locks, from the thread that learnt of it. `reason` is kDenied, kDisabled or kKeyGone.
  using RevocationListener = std::function<void(const std::string& key_arn, const Error& reason)>;

  // `kms` and `clock` must outlive the cache.
  static Result<std::unique_ptr<KeyCache>> make(Kms& kms, const Clock& clock, Logger logger, Options options);
  ~KeyCache();  // wipes everything

  Result<KeyHandle> unwrap(const KeyRequest& request);
  // A new data key; it enters the cache as if it had been unwrapped.
  Result<Generated> generate(const std::string& key_arn, std::uint16_t suite, const EncryptionContext& context);
  // check(), and if the entry is past its age, or was refused and permission may be back, asks the KMS again (once for
  // all callers). On success the same handle is good again, with the same key bytes.
  Result<void> ensure(const KeyHandle& handle);

  // Bumps the master key's epoch: all its handles fail at once with `reason` until the KMS says yes again; slots are wiped.
  void revoke(const std::string& key_arn, const Error& reason);
  void revoke_all(const Error& reason);
  void forget_all();  // wipes without a refusal: the next use asks the KMS
  void set_revocation_listener(RevocationListener listener);

  // What the maintenance thread does each second: expiry, refresh of pinned entries at 80 % of their age (with jitter),
  // one probe per master key in use and probe interval, index writes.
  void maintain();
  Figures figures() const;

 private:
  struct State;
  explicit KeyCache(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace kmsfs
