#include "keycache/index.h"

#include <fcntl.h>
#include <lmdb.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace kmsfs::keycache {

namespace {

constexpr unsigned kDatabases = 4;
constexpr unsigned kReaders = 32;  // `kmsfs status`, many at a time
constexpr std::array kFileNames = {"data.mdb", "lock.mdb"};

Error lmdb_error(int code, std::string_view what) {
  if (code == MDB_MAP_FULL) return error(Kind::kNoSpace, std::string(what) + ": the index is full");
  if (code > 0) return Error::from_errno(code, what);
  return error(Kind::kInternal, std::string(what) + ": " + mdb_strerror(code));
}

// Leaves the function if an LMDB call failed.
#define KMSFS_LMDB(call, what)                                                               \
  do {                                                                                       \
    if (const int lmdb_code_ = (call); lmdb_code_ != 0) return lmdb_error(lmdb_code_, what); \
  } while (false)

struct CloseEnvironment {
  void operator()(MDB_env* environment) const { mdb_env_close(environment); }
};
using Environment = std::unique_ptr<MDB_env, CloseEnvironment>;

struct AbortTransaction {
  void operator()(MDB_txn* transaction) const { mdb_txn_abort(transaction); }
};
using Transaction = std::unique_ptr<MDB_txn, AbortTransaction>;

struct CloseCursor {
  void operator()(MDB_cursor* cursor) const { mdb_cursor_close(cursor); }
};
using Cursor = std::unique_ptr<MDB_cursor, CloseCursor>;

Result<Transaction> begin(MDB_env* environment, unsigned flags) {
  MDB_txn* transaction = nullptr;
  KMSFS_LMDB(mdb_txn_begin(environment, nullptr, flags, &transaction),
             "beginning a transaction on the index");
  return Transaction(transaction);
}

MDB_val value_of(ByteView bytes) {
  return {bytes.size(), const_cast<std::byte*>(bytes.data())};  // NOLINT: LMDB does not write through it
}
ByteView view_of(const MDB_val& value) {
  return {static_cast<const std::byte*>(value.mv_data), value.mv_size};
}

// Rows. entries: id -> slot 8, epoch 8, deadline 8, uses 8, master key 4, pins 4. expiry: deadline 8 ‖ id ->
// 1 byte.
using RowBytes = std::array<std::byte, 40>;
using ExpiryKey = std::array<std::byte, 24>;

RowBytes encode(const IndexRow& row) {
  RowBytes bytes{};
  ByteWriter out(bytes);
  out.u64(row.slot);
  out.u64(row.epoch);
  out.u64(static_cast<std::uint64_t>(row.deadline.count()));
  out.u64(row.uses);
  out.u32(row.master_key);
  out.u32(row.pins);
  return bytes;
}

std::optional<IndexRow> decode(ByteView bytes) {
  ByteReader in(bytes);
  IndexRow row;
  row.slot = in.u64();
  row.epoch = in.u64();
  row.deadline = BootTime(static_cast<std::int64_t>(in.u64()));
  row.uses = in.u64();
  row.master_key = in.u32();
  row.pins = in.u32();
  return in.complete() ? std::optional(row) : std::nullopt;
}

ExpiryKey expiry_key(BootTime deadline, const EntryId& id) {
  ExpiryKey key{};
  ByteWriter out(key);
  out.u64(static_cast<std::uint64_t>(deadline.count()));
  out.bytes(id);
  return key;
}

// master_keys: number 4 -> refused 1 (0: no; otherwise its Kind and one) ‖ since 8 ‖ keys held 8 ‖ ARN.
Bytes encode(const KeyCache::MasterKeyStatus& status) {
  Bytes bytes(17 + status.key_arn.size());
  ByteWriter out(bytes);
  out.u8(status.refused ? static_cast<std::uint8_t>(static_cast<unsigned>(*status.refused) + 1) : 0);
  out.u64(static_cast<std::uint64_t>(status.since_ms));
  out.u64(status.keys_held);
  out.bytes(as_bytes(status.key_arn));
  return bytes;
}

KeyCache::MasterKeyStatus decode_status(ByteView bytes) {
  ByteReader in(bytes);
  KeyCache::MasterKeyStatus status;
  if (const auto refused = in.u8(); refused != 0) status.refused = static_cast<Kind>(refused - 1);
  status.since_ms = static_cast<std::int64_t>(in.u64());
  status.keys_held = in.u64();
  status.key_arn = as_text(in.bytes(in.remaining()));
  return status;
}

Result<UniqueFd> open_empty_directory(const std::string& path) {
  if (::mkdir(path.c_str(), 0700) != 0 && errno != EEXIST) return Error::from_errno(errno, "making " + path);
  UniqueFd directory(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!directory) return Error::from_errno(errno, "opening " + path);
  struct stat attributes {};
  if (::fstat(directory.get(), &attributes) != 0) return Error::from_errno(errno, path);
  if (attributes.st_uid != ::geteuid()) return error(Kind::kDenied, path + " belongs to another user");
  if (::fchmod(directory.get(), 0700) != 0) return Error::from_errno(errno, "closing " + path + " to others");
  if (::flock(directory.get(), LOCK_EX | LOCK_NB) != 0) {
    return error(Kind::kBusy, path + " is the index of another process");
  }
  // These two only: whatever else stands there is not ours.
  for (const char* name : kFileNames) {
    if (::unlinkat(directory.get(), name, 0) != 0 && errno != ENOENT) return Error::from_errno(errno, path);
  }
  return directory;
}

}  // namespace

struct Index::Files {
  UniqueFd directory;  // locked while the index lives
  Environment environment;
  MDB_dbi entries = 0, expiry = 0, master_keys = 0, writer = 0;

  Result<void> remove_expiry(MDB_txn* transaction, BootTime deadline, const EntryId& id) const {
    const ExpiryKey old = expiry_key(deadline, id);
    MDB_val key = value_of(old);
    const int code = mdb_del(transaction, expiry, &key, nullptr);
    if (code != 0 && code != MDB_NOTFOUND) return lmdb_error(code, "deleting from the index");
    return {};
  }
  Result<void> put(MDB_txn* transaction, MDB_dbi database, ByteView key_bytes, ByteView value_bytes) const {
    MDB_val key = value_of(key_bytes);
    MDB_val value = value_of(value_bytes);
    KMSFS_LMDB(mdb_put(transaction, database, &key, &value, 0), "writing to the index");
    return {};
  }
  Result<void> apply(MDB_txn* transaction, const Change& change) const;
};

Result<void> Index::Files::apply(MDB_txn* transaction, const Change& change) const {
  MDB_val key = value_of(change.id);
  MDB_val found{};
  const int code = mdb_get(transaction, entries, &key, &found);
  if (code != 0 && code != MDB_NOTFOUND) return lmdb_error(code, "reading the index");
  const auto old = code == 0 ? decode(view_of(found)) : std::nullopt;
  const bool moves = old && (!change.row || change.row->deadline != old->deadline);
  if (moves) KMSFS_TRY(remove_expiry(transaction, old->deadline, change.id));
  if (!change.row) {
    if (old) KMSFS_LMDB(mdb_del(transaction, entries, &key, nullptr), "deleting from the index");
    return {};
  }
  KMSFS_TRY(put(transaction, entries, change.id, encode(*change.row)));
  if (old && !moves) return {};
  const std::byte nothing{1};
  return put(transaction, expiry, expiry_key(change.row->deadline, change.id), std::span(&nothing, 1));
}

Index::Index(std::unique_ptr<Files> files) : files_(std::move(files)) {}

Index::~Index() {
  files_->environment.reset();
  for (const char* name : kFileNames) ::unlinkat(files_->directory.get(), name, 0);
}

Result<std::unique_ptr<Index>> Index::make(const std::string& directory, std::size_t size) {
  auto files = std::make_unique<Files>();
  auto opened = open_empty_directory(directory);
  if (!opened) return std::move(opened).error().during("preparing the index of the key cache");
  files->directory = std::move(*opened);

  MDB_env* environment = nullptr;
  KMSFS_LMDB(mdb_env_create(&environment), "making the index");
  files->environment.reset(environment);
  KMSFS_LMDB(mdb_env_set_maxdbs(environment, kDatabases), "making the index");
  KMSFS_LMDB(mdb_env_set_maxreaders(environment, kReaders), "making the index");
  KMSFS_LMDB(mdb_env_set_mapsize(environment, size), "making the index");
  // Nothing here needs to survive a crash, and readers come and go in other processes.
  KMSFS_LMDB(mdb_env_open(environment, directory.c_str(), MDB_NOSYNC | MDB_WRITEMAP | MDB_NOTLS, 0600),
             "opening the index");
  auto transaction = begin(environment, 0);
  if (!transaction) return std::move(transaction).error();
  const auto open = [&](const char* name, MDB_dbi& database) {
    return mdb_dbi_open(transaction->get(), name, MDB_CREATE, &database);
  };
  KMSFS_LMDB(open("entries", files->entries), "making the index");
  KMSFS_LMDB(open("expiry", files->expiry), "making the index");
  KMSFS_LMDB(open("master_keys", files->master_keys), "making the index");
  KMSFS_LMDB(open("writer", files->writer), "making the index");
  KMSFS_LMDB(mdb_txn_commit(transaction->release()), "making the index");
  return std::unique_ptr<Index>(new Index(std::move(files)));
}

Result<void> Index::write(std::span<const Change> changes, std::span<const MasterKeyRow> master_keys,
                          WallTime now) {
  // A reader that was killed would keep old pages from being used again.
  int dead_readers = 0;
  KMSFS_LMDB(mdb_reader_check(files_->environment.get(), &dead_readers), "checking the index's readers");
  auto transaction = begin(files_->environment.get(), 0);
  if (!transaction) return std::move(transaction).error();
  MDB_txn* const txn = transaction->get();
  for (const Change& change : changes) KMSFS_TRY(files_->apply(txn, change));
  for (const MasterKeyRow& row : master_keys) {
    std::array<std::byte, 4> number{};
    store_be32(number.data(), row.number);
    KMSFS_TRY(files_->put(txn, files_->master_keys, number, encode(row.status)));
  }
  std::array<std::byte, 16> writer{};
  store_be64(writer.data(), static_cast<std::uint64_t>(::getpid()));
  store_be64(writer.data() + 8, static_cast<std::uint64_t>(now.count() / 1'000'000));
  KMSFS_TRY(files_->put(txn, files_->writer, as_bytes("writer"), writer));
  KMSFS_LMDB(mdb_txn_commit(transaction->release()), "writing to the index");
  return {};
}

namespace {

template <typename Each>
Result<void> for_each(MDB_txn* transaction, const char* name, Each each) {
  MDB_dbi database = 0;
  KMSFS_LMDB(mdb_dbi_open(transaction, name, 0, &database), "reading the index");
  MDB_cursor* opened = nullptr;
  KMSFS_LMDB(mdb_cursor_open(transaction, database, &opened), "reading the index");
  const Cursor cursor(opened);
  MDB_val key{};
  MDB_val value{};
  int code = 0;
  while ((code = mdb_cursor_get(cursor.get(), &key, &value, MDB_NEXT)) == 0) {
    if (!each(view_of(key), view_of(value))) return {};
  }
  if (code != MDB_NOTFOUND) return lmdb_error(code, "reading the index");
  return {};
}

}  // namespace

}  // namespace kmsfs::keycache

namespace kmsfs {

using namespace keycache;

Result<KeyCacheIndexView> read_index(const std::string& directory) {
  if (::access((directory + "/data.mdb").c_str(), F_OK) != 0) {
    return error(Kind::kNotFound, directory + " holds no index of a key cache");
  }
  MDB_env* created = nullptr;
  KMSFS_LMDB(mdb_env_create(&created), "reading the index");
  const Environment environment(created);
  KMSFS_LMDB(mdb_env_set_maxdbs(created, kDatabases), "reading the index");
  KMSFS_LMDB(mdb_env_open(created, directory.c_str(), MDB_RDONLY | MDB_NOTLS, 0600), "opening the index");
  auto transaction = begin(created, MDB_RDONLY);
  if (!transaction) return std::move(transaction).error();
  MDB_txn* const txn = transaction->get();

  KeyCacheIndexView view;
  KMSFS_TRY(for_each(txn, "writer", [&](ByteView, ByteView value) {
    ByteReader in(value);
    view.process_id = static_cast<std::int64_t>(in.u64());
    view.written_ms = static_cast<std::int64_t>(in.u64());
    return true;
  }));
  KMSFS_TRY(for_each(txn, "entries", [&](ByteView, ByteView value) {
    const auto row = decode(value);
    ++view.entries;
    if (row && row->pins > 0) ++view.pinned;
    if (row) view.uses += row->uses;
    return true;
  }));
  KMSFS_TRY(for_each(txn, "expiry", [&](ByteView key, ByteView) {
    view.next_deadline = BootTime(static_cast<std::int64_t>(ByteReader(key).u64()));
    return false;
  }));
  KMSFS_TRY(for_each(txn, "master_keys", [&](ByteView, ByteView value) {
    view.master_keys.push_back(decode_status(value));
    return true;
  }));
  return view;
}

}  // namespace kmsfs
