// The inside of the key cache. Private to keycache/: fetching is in fetch.cc, what runs each second in
// maintenance.cc, the rest in key_cache.cc.
//
// Epochs. One counter for the cache; each revocation and each forgetting takes the next number and gives it
// to the master keys concerned. A fetch notes the counter before it asks the KMS; its answer is kept only if
// the master key's epoch is not newer than that.
#pragma once

#include <thread>
#include <unordered_map>

#include "keycache/askers.h"
#include "keycache/index.h"
#include "keycache/shard.h"

namespace kmsfs {

class KeyHandle::Pin {
 public:
  // The entry was pinned in its shard already.
  Pin(std::shared_ptr<KeyCache::State> state, keycache::Entry& entry)
      : state_(std::move(state)), entry_(entry) {}
  Pin(const Pin&) = delete;
  Pin& operator=(const Pin&) = delete;
  ~Pin();

  keycache::Entry& entry() const { return entry_; }
  KeyCache::State& state() const { return *state_; }

 private:
  const std::shared_ptr<KeyCache::State> state_;
  keycache::Entry& entry_;
};

class KeyCache::State : public std::enable_shared_from_this<KeyCache::State> {
 public:
  using Entry = keycache::Entry;
  using EntryId = keycache::EntryId;
  using MasterKey = keycache::MasterKey;
  using Request = keycache::Request;
  using Room = keycache::Room;
  using Shard = keycache::Shard;
  using BootKey = Secret<32, struct BootKeyTag>;

  State(Kms& kms, const Clock& clock, Logger logger, const Options& options, std::size_t capacity,
        BootKey boot_key, std::string principal, std::unique_ptr<keycache::Index> index);

  Result<KeyHandle> unwrap(const KeyRequest& request);
  Result<Generated> generate(const std::string& key_arn, std::uint16_t suite,
                             const EncryptionContext& context);
  Ahead ask_ahead(const KeyRequest& request);
  bool kms_is_near() const { return kms_.is_near(); }
  Result<void> ensure(const KeyHandle& handle);
  Result<DataKey> copy(Entry& entry);
  void unpin(Entry& entry);

  void revoke(MasterKey& master, const Error& reason);
  void forget_all();
  std::vector<MasterKey*> master_keys() const;
  MasterKey& master_key(const std::string& arn);
  void set_listener(RevocationListener listener);

  void maintain();
  void start_thread();
  void close();  // wipes everything, for good
  Figures figures() const;

 private:
  static constexpr std::size_t kShards = 64;

  struct Wanted {
    EntryId id;
    MasterKey& master;
    std::shared_ptr<const Request> request;
    bool for_use = false;  // a handle is given out, and counts against max_uses
    bool renew = false;    // also if the entry is good
  };

  // fetch.cc
  Result<KeyHandle> fetch(const Wanted& wanted);
  std::optional<LongWait> wait_for_kms() const;
  bool asks_aside() const;
  void ask_aside(const std::function<void()>& question);
  Result<Generated> generate_here(const std::string& key_arn, std::uint16_t suite,
                                  const EncryptionContext& context);
  void answer(const Wanted& wanted, const std::shared_ptr<keycache::Flight>& flight);
  Result<KeyHandle> wait_for(const Wanted& wanted, keycache::Flight& flight);
  Result<KeyHandle> ask(const Wanted& wanted, keycache::Flight& flight);
  Result<DataKey> decrypt(const MasterKey& master, const Request& request);
  // Nothing, if the key was forgotten since `begun`.
  Result<std::optional<KeyHandle>> keep(const Wanted& wanted, DataKey key, std::optional<Room> room,
                                        std::uint64_t begun, keycache::Flight* flight);
  void note_outage(MasterKey& master);
  Result<KeyHandle> failed(const Wanted& wanted, Error reason);
  Result<std::optional<KeyHandle>> outlast_outage(const Wanted& wanted, const Error& reason);
  void confirm(MasterKey& master, const std::shared_ptr<const Request>& request, std::uint64_t begun,
               bool by_decrypt);
  Result<Room> make_room();
  bool evict(std::size_t count);
  std::optional<Error> refused_now(MasterKey& master, BootTime now);

  // key_cache.cc
  KeyHandle pin(Shard& shard, Entry& entry, std::shared_ptr<const Request> request);
  Request request_for(const std::string& key_arn, std::uint16_t suite, ByteView wrapped,
                      const EncryptionContext& context) const;
  EntryId id_of(const Request& request) const;
  void notice_principal();
  static MasterKeyStatus status_of(const MasterKey& master);
  MasterKey* known_master_key(const std::string& arn) const;
  Guarded<Shard>& shard_of(const EntryId& id) {
    return shards_[std::to_integer<std::size_t>(id[15]) % kShards];
  }
  bool used_up(const Entry& entry) const { return options_.max_uses != 0 && entry.uses >= options_.max_uses; }

  // maintenance.cc
  void expire();
  void probe();
  void refresh();
  std::vector<Wanted> due_for_refresh();
  void write_index();
  keycache::Index::Change change_of(const EntryId& id);
  void stop_indexing(const Error& reason);

  // Constant after construction.
  Kms& kms_;
  const Clock& clock_;
  const Logger logger_;
  const Options options_;
  const std::size_t capacity_;
  const BootKey boot_key_;  // of ids; dies with the process
  const std::array<std::byte, 32> fingerprint_salt_;
  const std::string endpoint_;

  // Each with a lock of its own, or atomic.
  SharedGuarded<std::string> principal_;
  std::array<Guarded<Shard>, kShards> shards_;
  SharedGuarded<std::unordered_map<std::string, std::unique_ptr<MasterKey>>> master_keys_;
  Guarded<std::shared_ptr<const RevocationListener>> listener_;
  std::atomic<std::uint64_t> epochs_{1};
  std::atomic<std::uint64_t> first_epoch_{1};  // of master keys met from now on
  std::atomic<std::size_t> held_{0};           // keys, and places kept for those being fetched
  std::atomic<std::size_t> next_to_evict_{0};
  std::atomic<std::uint64_t> revocations_{0}, kms_calls_{0}, kms_errors_{0};
  std::atomic<bool> closed_{false};
  std::atomic<std::int64_t> ahead_again_at_{0};  // boot time
  keycache::Askers askers_;

  std::mutex maintaining_;                  // one maintain() at a time
  std::unique_ptr<keycache::Index> index_;  // under maintaining_
  std::vector<EntryId> unwritten_;          // under maintaining_

  std::mutex stop_mutex_;
  std::condition_variable stop_signal_;
  bool stopping_ = false;  // under stop_mutex_
  std::thread thread_;
};

}  // namespace kmsfs
