#include "kms/backup.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <utility>

#include "kms/audit_turn.h"
#include "kms/private_file.h"
#include "kms/store.h"

namespace kmsfs::kms {

namespace {

constexpr std::size_t kBatch = 4096;  // records in one transaction: bounds the pages that LMDB holds dirty
constexpr std::size_t kChunk = std::size_t{256} << 10;

// A directory that becomes `to`, or goes.
class NewDirectory {
 public:
  static Result<NewDirectory> beside(const std::string& to) {
    std::string path = to + ".XXXXXX";
    if (::mkdtemp(path.data()) == nullptr) return Error::from_errno(errno, "making a directory for " + to);
    return NewDirectory(std::move(path));
  }
  NewDirectory(NewDirectory&& other) noexcept : path_(std::exchange(other.path_, {})) {}
  NewDirectory& operator=(NewDirectory&&) = delete;
  ~NewDirectory() {
    std::error_code ignored;
    if (!path_.empty()) std::filesystem::remove_all(path_, ignored);
  }

  const std::string& path() const { return path_; }
  Result<void> become(const std::string& to) {
    if (::renameat2(AT_FDCWD, path_.c_str(), AT_FDCWD, to.c_str(), RENAME_NOREPLACE) != 0) {
      return Error::from_errno(errno, "naming " + to);
    }
    path_.clear();
    return {};
  }

 private:
  explicit NewDirectory(std::string path) : path_(std::move(path)) {}
  std::string path_;
};

Result<void> sync_path(const std::string& path) {
  const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
  if (!fd || ::fsync(fd.get()) != 0) return Error::from_errno(errno, "syncing " + path);
  return {};
}

// The first `size` bytes.
Result<void> copy_file(const std::string& from, const std::string& to, std::uint64_t size) {
  auto source = open_private_file(from, "the store's file", O_RDONLY);
  if (!source) return std::move(source).error();
  const UniqueFd target(::open(to.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
  if (!target) return Error::from_errno(errno, "making " + to);
  Bytes chunk(kChunk);
  for (std::uint64_t left = size; left > 0;) {
    const auto wanted = static_cast<std::size_t>(std::min<std::uint64_t>(left, chunk.size()));
    auto got = read_up_to(source->get(), ByteSpan(chunk).first(wanted));
    if (!got) return std::move(got).error().during("reading " + from);
    if (*got == 0) return error(Kind::kCorrupt, from + " is shorter than it was");
    if (auto put = write_all(target.get(), ByteView(chunk).first(*got)); !put) {
      return std::move(put).error().during("writing " + to);
    }
    left -= *got;
  }
  if (::fsync(target.get()) != 0) return Error::from_errno(errno, "syncing " + to);
  return {};
}

// What a store is at one moment.
struct Moment {
  std::unique_ptr<ReadTransaction> records;
  ChainPosition position;
  std::uint64_t log_size = 0;
};
Result<Moment> moment_of(Store& store, AuditLog& audit, const std::string& directory) {
  Moment moment;
  // Whoever records something holds the writer: log and records stand still as long as it is ours.
  auto writer = store.write();
  if (!writer) return std::move(writer).error();
  auto position = audit.position();
  if (!position) return std::move(position).error();
  moment.position = *position;
  std::error_code failed;
  moment.log_size = std::filesystem::file_size(directory + "/audit.log", failed);
  if (failed) return error(Kind::kUnavailable, "the audit log: " + failed.message());
  auto records = store.read();
  if (!records) return std::move(records).error();
  moment.records = std::move(*records);
  return moment;
}

Result<std::uint64_t> copy_table(const ReadTransaction& from, Store& to, Table table) {
  std::uint64_t copied = 0;
  std::string last;
  for (bool more = true; more;) {
    auto writer = to.write();
    if (!writer) return std::move(writer).error();
    std::size_t in_batch = 0;
    Result<void> put;
    more = false;
    KMSFS_TRY(from.scan(table, {}, last, [&](std::string_view key, ByteView value) {
      if (in_batch == kBatch) {
        more = true;
        return false;
      }
      put = (*writer)->put(table, as_bytes(key), value);
      if (!put) return false;
      last = key;
      ++in_batch;
      return true;
    }));
    KMSFS_TRY(std::move(put));
    KMSFS_TRY((*writer)->commit());
    copied += in_batch;
  }
  return copied;
}

Result<void> write_audit(const Moment& moment, const std::string& from, const std::string& to) {
  KMSFS_TRY(copy_file(from + "/audit.log", to + "/audit.log", moment.log_size));
  const std::string path = to + "/audit.head";
  const UniqueFd file(::open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
  if (!file) return Error::from_errno(errno, "making " + path);
  auto head = AuditHead::map(file.get());
  if (!head) return std::move(head).error();
  head->settle(moment.log_size, moment.position);
  if (::fsync(file.get()) != 0) return Error::from_errno(errno, "syncing " + path);
  return {};
}

Result<void> copy_key_file(const std::string& from, const std::string& to) {
  struct stat status {};
  if (::lstat((from + "/seal.key").c_str(), &status) != 0) return {};  // sealed by a passphrase
  return copy_file(from + "/seal.key", to + "/seal.key", static_cast<std::uint64_t>(status.st_size));
}

std::string without_slash(std::string path) {
  while (path.size() > 1 && path.ends_with('/')) path.pop_back();
  return path;
}

}  // namespace

Result<BackupReport> back_up_store(const std::string& from, const std::string& to, Logger logger) {
  auto owned = open_private_directory(from, "the key store");
  if (!owned) return std::move(owned).error();
  if (!Store::exists(from)) return error(Kind::kNotFound, "there is no key store in " + from);
  {
    auto store = Store::open(from);
    if (!store) return std::move(store).error();
    auto audit = AuditLog::open(from, logger);
    if (!audit) return std::move(audit).error();
    std::string parameters;
    JsonWriter(parameters).begin().text("directory", to).end();
    KMSFS_TRY(record_unsealed(**store, **audit, "BackupStore", std::move(parameters)));
  }
  return copy_store(from, to, std::move(logger));
}

Result<BackupReport> copy_store(const std::string& from, const std::string& named, Logger logger,
                                const BackupCheck& check) {
  const std::string to = without_slash(named);
  auto source_directory = open_private_directory(from, "the key store");
  if (!source_directory) return std::move(source_directory).error();
  if (!Store::exists(from)) return error(Kind::kNotFound, "there is no key store in " + from);
  struct stat status {};
  if (::lstat(to.c_str(), &status) == 0) {
    return error(Kind::kExists, "there is " + to + " already; name a directory that does not exist");
  }
  auto source = Store::open(from);
  if (!source) return std::move(source).error();
  auto audit = AuditLog::open(from, std::move(logger));
  if (!audit) return std::move(audit).error();
  auto made = NewDirectory::beside(to);
  if (!made) return std::move(made).error();
  const std::string& directory = made->path();

  auto moment = moment_of(**source, **audit, from);
  if (!moment) return std::move(moment).error();
  BackupReport report;
  report.audit_lines = moment->position.sequence;
  {
    auto target = Store::open(directory);
    if (!target) return std::move(target).error();
    for (unsigned table = 0; table < kTableCount; ++table) {
      auto copied = copy_table(*moment->records, **target, static_cast<Table>(table));
      if (!copied) return std::move(copied).error().during("copying the store");
      report.records += *copied;
    }
  }
  KMSFS_TRY(write_audit(*moment, from, directory));
  KMSFS_TRY(copy_key_file(from, directory));
  if (check) KMSFS_TRY(check(directory));
  KMSFS_TRY(sync_path(directory));
  KMSFS_TRY(made->become(to));
  const auto parent = std::filesystem::path(to).parent_path();
  KMSFS_TRY(sync_path(parent.empty() ? "." : parent.string()));
  return report;
}

}  // namespace kmsfs::kms
