// The tables of the key store: the door to LMDB.
//
// Always: a write transaction is all or nothing and durable when commit() returns; readers see one moment of
// the store and hold up nobody. Directory 0700 and files 0600, of the caller's own, or the store does not
// open. Several processes may have one store open; a process that opens it twice shares one environment, as
// LMDB demands (hence a process-wide registry inside). Values hold no key in clear. Errors: kNoSpace when
// disk or map is full; kUnavailable for everything else that LMDB says. Threads: any; a transaction is for
// one thread at a time. Open after the process's last fork.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "core/bytes.h"

namespace kmsfs::kms {

enum class Table : unsigned {
  kMeta,         // format, id, region, seal, last change's record
  kAccounts,     // account → record
  kPrincipals,   // ARN of a user, group or role → record
  kUids,         // uid, in decimal → ARN
  kKeys,         // key id, 16 bytes → record
  kAccountKeys,  // account/UUID → nothing; what ListKeys walks
  kMaterials,    // key id ‖ material id → material, wrapped by the root key
  kAliases,      // account/alias/… → record
  kAccessKeys,   // access key id → record, its secret sealed
  kMembers,      // ARN of a group/user's name → nothing
  kGrants,       // key id ‖ grant id, 32 bytes → record
  kGrantees,     // key id ‖ SHA-256 of the grantee's ARN ‖ grant id → nothing
  kRetirers,     // SHA-256 of the retiring principal's ARN ‖ key id ‖ grant id → nothing
  kDue,          // when, 8 bytes ‖ key id → nothing: the key is to be deleted or rotated then
};
inline constexpr unsigned kTableCount = 14;

class Environment;

// What both sorts of transaction can do. Views stay good until the transaction ends or changes something.
class Transaction {
 public:
  Transaction(const Transaction&) = delete;
  Transaction& operator=(const Transaction&) = delete;

  Result<std::optional<ByteView>> get(Table table, ByteView key) const;
  // Entries whose key begins with `prefix`, in order of their bytes, from the first one after `after` (empty:
  // from the start) on, until `each` says false. `each` must not change the store.
  Result<void> scan(Table table, std::string_view prefix, std::string_view after,
                    const std::function<bool(std::string_view key, ByteView value)>& each) const;

 protected:
  Transaction(Environment& environment, void* handle) : environment_(environment), handle_(handle) {}
  ~Transaction() = default;
  Environment& environment_;
  void* handle_;  // MDB_txn
};

class ReadTransaction final : public Transaction {
 public:
  ReadTransaction(Environment& environment, void* handle) : Transaction(environment, handle) {}
  ~ReadTransaction();
};

class WriteTransaction final : public Transaction {
 public:
  WriteTransaction(Environment& environment, void* handle) : Transaction(environment, handle) {}
  ~WriteTransaction();  // undoes everything, unless committed

  Result<void> put(Table table, ByteView key, ByteView value);
  Result<void> erase(Table table, ByteView key);
  Result<void> commit();
};

class Store {
 public:
  // Makes the files of an empty store, if need be, but not the directory.
  static Result<std::unique_ptr<Store>> open(const std::string& directory);
  static bool exists(const std::string& directory);  // its files do; it may still be empty
  ~Store();
  Store(const Store&) = delete;
  Store& operator=(const Store&) = delete;

  Result<std::unique_ptr<ReadTransaction>> read() const;
  // Waits for another writer, of this process or another.
  Result<std::unique_ptr<WriteTransaction>> write();

 private:
  explicit Store(Environment& environment) : environment_(environment) {}
  Environment& environment_;
};

}  // namespace kmsfs::kms
