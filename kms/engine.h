// What every call of the KMS stands on: the opened store, the root key, the audit log, and the rules that tie
// a record to what it tells of.
//
// Always: record_use() puts a line into the log before an answer leaves, and only while no change came in
// between that the decision did not see. change() writes the record of a change in the change's own
// transaction; if the process dies before it reaches the log, the next turn of any process puts it there.
// The store's write transaction is what orders everything that is recorded, over all threads and processes.
// Threads: any.
#pragma once

#include <atomic>
#include <functional>
#include <limits>
#include <memory>
#include <string>
#include <unordered_map>

#include "core/clock.h"
#include "core/guarded.h"
#include "core/log.h"
#include "core/xaes.h"
#include "kms/audit_turn.h"
#include "kms/blob.h"
#include "kms/records.h"
#include "kms/seal.h"
#include "kms/store.h"

namespace kmsfs::kms {

class Engine {
 public:
  static Result<void> create_store(const std::string& directory, const SealOptions& seal,
                                   const std::string& region, const PassphraseSource& passphrase);
  static Result<bool> has_store(const std::string& directory);
  static Result<std::unique_ptr<Engine>> open(const std::string& directory,
                                              const PassphraseSource& passphrase, const Clock& clock,
                                              Logger logger);

  const std::string& region() const { return region_; }
  // Since the epoch; never less than any process of the store saw at a change: a clock that was set back
  // revives nothing, and time goes on from there.
  std::int64_t now_ms() const;

  // nullptr: not there.
  Result<std::shared_ptr<const LoadedKey>> key(const Transaction& transaction, const KeyId& id);
  Result<std::shared_ptr<const LoadedPrincipal>> principal(const Transaction& transaction,
                                                           const std::string& arn);

  Result<std::shared_ptr<const GrantRecord>> grant(const Transaction& transaction, ByteView name);

  // invalid_ciphertext() if the key never had that material.
  Result<Material> material(const Transaction& transaction, const KeyId& key,
                            const MaterialId& material) const;
  Result<MaterialId> add_material(WriteTransaction& transaction, const KeyId& key) const;

  // Keys of their own, derived from the root key.
  const Xaes256Gcm& access_key_seal() const { return seals_.access_keys; }
  const Xaes256Gcm& session_seal() const { return seals_.sessions; }
  const Xaes256Gcm& grant_token_seal() const { return seals_.grant_tokens; }

  Result<std::unique_ptr<ReadTransaction>> read() const { return store_->read(); }

  // The sequence of the last change's record: what a decision rests on, as far as the store goes.
  Result<std::uint64_t> last_change(const Transaction& transaction) const;
  // False: the store changed since `last_change`; nothing was recorded, decide again.
  Result<bool> record_use(const AuditRecord& record, std::uint64_t last_change);

  // `act` changes the store and fills in the record, or fails; then nothing is changed, and the record tells
  // of that. Its error is what change() returns. not_recorded() undoes the change and leaves no record.
  using Change = std::function<Result<void>(WriteTransaction&, AuditRecord&)>;
  Result<void> change(AuditRecord& record, const Change& act);
  // Makes now_ms() outlast this process, if the store does not know better than an hour's precision already.
  Result<void> remember_time();

  const std::string& directory() const { return directory_; }
  const Logger& logger() const { return logger_; }

 private:
  struct Seals {
    Xaes256Gcm materials;  // under the root key itself
    Xaes256Gcm access_keys;
    Xaes256Gcm sessions;
    Xaes256Gcm grant_tokens;
    static Result<Seals> make(const RootKey& root);
  };
  Engine(std::string directory, std::unique_ptr<Store> store, std::unique_ptr<AuditLog> audit, Seals seals,
         std::string region, const Clock& clock, Logger logger);
  Result<AuditTurn> take_turn();

  template <typename Loaded, typename Load>
  Result<std::shared_ptr<const Loaded>> load(const Transaction& transaction, Table table, ByteView name,
                                             Load parse);

  struct Kept {
    Generation generation = 0;
    std::shared_ptr<const void> loaded;
  };
  using Cache = std::unordered_map<std::string, Kept>;  // table and name → what was parsed

  void see(std::int64_t time_ms) const;

  const std::string directory_;
  const std::unique_ptr<Store> store_;
  const std::unique_ptr<AuditLog> audit_;
  const Seals seals_;
  const std::string region_;
  const Clock& clock_;
  const Logger logger_;
  SharedGuarded<Cache> cache_;
  mutable std::atomic<std::int64_t> lead_ms_{
      std::numeric_limits<std::int64_t>::min()};  // over the boot clock
};

// Puts the outcome into a record.
void tell_error(AuditRecord& record, const Error& error);

}  // namespace kmsfs::kms
