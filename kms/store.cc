#include "kms/store.h"

#include <fcntl.h>
#include <lmdb.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cassert>
#include <cerrno>
#include <map>
#include <mutex>
#include <utility>
#include <vector>

#include "kms/private_file.h"

namespace kmsfs::kms {

namespace {

constexpr std::size_t kMapSize = std::size_t{16}
                                 << 30;    // address space, not disk: the file grows as it is filled
constexpr std::size_t kLongestKey = 511;   // as LMDB is built by everybody
constexpr unsigned kMostReaders = 1024;    // transactions at once, over all processes
constexpr std::size_t kSpareReaders = 16;  // kept for the next call of this process
constexpr std::array<const char*, kTableCount> kTableNames = {
    "meta",    "accounts",    "principals", "uids",   "keys",     "account_keys", "materials",
    "aliases", "access_keys", "members",    "grants", "grantees", "retirers",     "due"};

Error failure(int status, std::string_view what) {
  const Kind kind = status == MDB_MAP_FULL || status == ENOSPC || status == EDQUOT ? Kind::kNoSpace
                    : status == ENOMEM                                             ? Kind::kNoMemory
                                                                                   : Kind::kUnavailable;
  return Error{kind, status > 0 ? status : 0,
               "the key store, " + std::string(what) + ": " + ::mdb_strerror(status), nullptr};
}

MDB_txn* txn(void* handle) { return static_cast<MDB_txn*>(handle); }

MDB_val value_of(ByteView bytes) {
  // LMDB's interface is not const-correct; it only reads keys and values that are given to it.
  return MDB_val{bytes.size(), const_cast<std::byte*>(bytes.data())};
}
ByteView view_of(const MDB_val& value) {
  return {static_cast<const std::byte*>(value.mv_data), value.mv_size};
}

std::string file_of(const std::string& directory) { return directory + "/store.mdb"; }

// A file that is there already must be as private as we would have made it.
Result<void> check_if_there(const std::string& path) {
  if (::access(path.c_str(), F_OK) != 0 && errno == ENOENT) return {};
  auto fd = open_private_file(path, "the key store's file", O_RDONLY);
  if (!fd) return std::move(fd).error();
  return {};
}

struct EnvironmentCloser {
  void operator()(MDB_env* env) const { ::mdb_env_close(env); }
};
using EnvironmentHandle = std::unique_ptr<MDB_env, EnvironmentCloser>;

}  // namespace

// One LMDB environment of this process. Constant after open(): env_, tables_.
class Environment {
 public:
  static Result<std::unique_ptr<Environment>> open(const std::string& directory) {
    const std::string path = file_of(directory);
    KMSFS_TRY(check_if_there(path));
    KMSFS_TRY(check_if_there(path + "-lock"));
    MDB_env* raw = nullptr;
    if (const int status = ::mdb_env_create(&raw); status != 0) return failure(status, "opening");
    auto environment = std::make_unique<Environment>(EnvironmentHandle(raw));
    KMSFS_TRY(environment->set_up(path));
    return environment;
  }

  explicit Environment(EnvironmentHandle env) : env_(std::move(env)) {}
  ~Environment() {
    for (MDB_txn* spare : spare_readers_) ::mdb_txn_abort(spare);
  }
  Environment(const Environment&) = delete;
  Environment& operator=(const Environment&) = delete;

  MDB_dbi table(Table table) const { return tables_[static_cast<unsigned>(table)]; }

  Result<MDB_txn*> begin_read() {
    MDB_txn* reader = nullptr;
    {
      const std::lock_guard lock(mutex_);
      if (!spare_readers_.empty()) {
        reader = spare_readers_.back();
        spare_readers_.pop_back();
      }
    }
    if (reader != nullptr) {
      if (const int status = ::mdb_txn_renew(reader); status != 0) {
        ::mdb_txn_abort(reader);
        return failure(status, "reading");
      }
      return reader;
    }
    const int status = ::mdb_txn_begin(env_.get(), nullptr, MDB_RDONLY, &reader);
    if (status != 0) return failure(status, "reading");
    return reader;
  }
  void end_read(MDB_txn* reader) {
    ::mdb_txn_reset(reader);
    {
      const std::lock_guard lock(mutex_);
      if (spare_readers_.size() < kSpareReaders) {
        spare_readers_.push_back(reader);
        return;
      }
    }
    ::mdb_txn_abort(reader);
  }
  Result<MDB_txn*> begin_write() {
    MDB_txn* writer = nullptr;
    const int status = ::mdb_txn_begin(env_.get(), nullptr, 0, &writer);
    if (status != 0) return failure(status, "changing");
    return writer;
  }

 private:
  Result<void> set_up(const std::string& path) {
    int status = ::mdb_env_set_mapsize(env_.get(), kMapSize);
    if (status == 0) status = ::mdb_env_set_maxdbs(env_.get(), kTableCount);
    if (status == 0) status = ::mdb_env_set_maxreaders(env_.get(), kMostReaders);
    // NOTLS: a read transaction belongs to its object, not to the thread that began it.
    if (status == 0) status = ::mdb_env_open(env_.get(), path.c_str(), MDB_NOSUBDIR | MDB_NOTLS, 0600);
    if (status != 0) return failure(status, "opening " + path);
    int dead = 0;
    ::mdb_reader_check(env_.get(), &dead);  // slots of processes that died while reading
    auto writer = begin_write();
    if (!writer) return std::move(writer).error();
    for (unsigned i = 0; i < kTableCount && status == 0; ++i) {
      status = ::mdb_dbi_open(*writer, kTableNames[i], MDB_CREATE, &tables_[i]);
    }
    if (status != 0) {
      ::mdb_txn_abort(*writer);
      return failure(status, "opening " + path);
    }
    status = ::mdb_txn_commit(*writer);
    if (status != 0) return failure(status, "opening " + path);
    return {};
  }

  const EnvironmentHandle env_;
  std::array<MDB_dbi, kTableCount> tables_{};
  std::mutex mutex_;
  std::vector<MDB_txn*> spare_readers_;  // under mutex_; reset, ready to be renewed
};

namespace {

// LMDB loses its locks when a process opens an environment twice and closes it once. So each is opened once
// per process and counted here; closing happens under the same mutex, lest an open slip in between.
struct Registry {
  using Place = std::pair<dev_t, ino_t>;
  struct Entry {
    std::unique_ptr<Environment> environment;
    std::size_t stores = 0;
  };
  std::mutex mutex;
  std::map<Place, Entry> entries;
};

Registry& registry() {
  static Registry instance;
  return instance;
}

}  // namespace

Result<std::optional<ByteView>> Transaction::get(Table table, ByteView key) const {
  if (key.empty() || key.size() > kLongestKey) return std::optional<ByteView>();  // cannot be there
  MDB_val name = value_of(key), value{};
  const int status = ::mdb_get(txn(handle_), environment_.table(table), &name, &value);
  if (status == MDB_NOTFOUND) return std::optional<ByteView>();
  if (status != 0) return failure(status, "reading");
  return std::optional<ByteView>(view_of(value));
}

Result<void> Transaction::scan(Table table, std::string_view prefix, std::string_view after,
                               const std::function<bool(std::string_view, ByteView)>& each) const {
  MDB_cursor* raw = nullptr;
  if (const int status = ::mdb_cursor_open(txn(handle_), environment_.table(table), &raw); status != 0) {
    return failure(status, "listing");
  }
  const auto close = [](MDB_cursor* cursor) { ::mdb_cursor_close(cursor); };
  const std::unique_ptr<MDB_cursor, decltype(close)> cursor(raw, close);
  const std::string_view start = std::max(prefix, after);
  MDB_val name = value_of(as_bytes(start)), value{};
  int status = start.empty() ? ::mdb_cursor_get(raw, &name, &value, MDB_FIRST)
                             : ::mdb_cursor_get(raw, &name, &value, MDB_SET_RANGE);
  for (; status == 0; status = ::mdb_cursor_get(raw, &name, &value, MDB_NEXT)) {
    const std::string_view key = as_text(view_of(name));
    if (!key.starts_with(prefix)) return {};
    if (!after.empty() && key == after) continue;
    if (!each(key, view_of(value))) return {};
  }
  if (status != MDB_NOTFOUND) return failure(status, "listing");
  return {};
}

ReadTransaction::~ReadTransaction() { environment_.end_read(txn(handle_)); }

WriteTransaction::~WriteTransaction() {
  if (handle_ != nullptr) ::mdb_txn_abort(txn(handle_));
}

Result<void> WriteTransaction::put(Table table, ByteView key, ByteView value) {
  MDB_val name = value_of(key), content = value_of(value);
  const int status = ::mdb_put(txn(handle_), environment_.table(table), &name, &content, 0);
  if (status != 0) return failure(status, "changing");
  return {};
}

Result<void> WriteTransaction::erase(Table table, ByteView key) {
  MDB_val name = value_of(key);
  const int status = ::mdb_del(txn(handle_), environment_.table(table), &name, nullptr);
  if (status != 0 && status != MDB_NOTFOUND) return failure(status, "changing");
  return {};
}

Result<void> WriteTransaction::commit() {
  assert(handle_ != nullptr && "a transaction commits once");
  const int status = ::mdb_txn_commit(txn(std::exchange(handle_, nullptr)));
  if (status != 0) return failure(status, "changing");
  return {};
}

Result<std::unique_ptr<Store>> Store::open(const std::string& directory) {
  auto fd = open_private_directory(directory, "the key store");
  if (!fd) return std::move(fd).error();
  struct stat status {};
  if (::fstat(fd->get(), &status) != 0) return Error::from_errno(errno, directory);
  Registry& all = registry();
  const std::lock_guard lock(all.mutex);
  const Registry::Place place{status.st_dev, status.st_ino};
  auto found = all.entries.find(place);
  if (found == all.entries.end()) {
    auto environment = Environment::open(directory);
    if (!environment) return std::move(environment).error();
    found = all.entries.emplace(place, Registry::Entry{std::move(*environment), 0}).first;
  }
  ++found->second.stores;
  return std::unique_ptr<Store>(new Store(*found->second.environment));
}

bool Store::exists(const std::string& directory) { return ::access(file_of(directory).c_str(), F_OK) == 0; }

Store::~Store() {
  Registry& all = registry();
  const std::lock_guard lock(all.mutex);
  for (auto at = all.entries.begin(); at != all.entries.end(); ++at) {
    if (at->second.environment.get() != &environment_) continue;
    if (--at->second.stores == 0) all.entries.erase(at);
    return;
  }
}

Result<std::unique_ptr<ReadTransaction>> Store::read() const {
  auto reader = environment_.begin_read();
  if (!reader) return std::move(reader).error();
  return std::make_unique<ReadTransaction>(environment_, *reader);
}

Result<std::unique_ptr<WriteTransaction>> Store::write() {
  auto writer = environment_.begin_write();
  if (!writer) return std::move(writer).error();
  return std::make_unique<WriteTransaction>(environment_, *writer);
}

}  // namespace kmsfs::kms
