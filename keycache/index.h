// The index of the key cache: what it holds, for other processes to see while it runs. The door to LMDB.
//
// Always: ids (HMACs), slots, deadlines and counters; never a key. One writer, any number of readers of the
// same user. It lives on tmpfs, is emptied at start and removed at the end: it describes this process alone.
// Expiry rows have the deadline in their key, so that nothing needs LMDB's duplicate keys.
// Threads: the writer belongs to one thread at a time; read_index() may be called anywhere, but not by the
// process that writes (LMDB opens a file once per process).
#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "core/unique_fd.h"
#include "keycache/entry.h"

namespace kmsfs::keycache {

struct IndexRow {
  std::uint64_t slot = 0;  // where in the arena
  std::uint64_t epoch = 0;
  BootTime deadline{0};
  std::uint64_t uses = 0;
  std::uint32_t master_key = 0;
  std::uint32_t pins = 0;
};

class Index {
 public:
  struct Change {
    EntryId id{};
    std::optional<IndexRow> row;  // without: the entry is gone
  };
  struct MasterKeyRow {
    std::uint32_t number = 0;
    KeyCache::MasterKeyStatus status;
  };

  // Makes the directory (0700) if it is not there and empties it. kBusy: another cache writes there; kDenied:
  // it belongs to somebody else.
  static Result<std::unique_ptr<Index>> make(const std::string& directory, std::size_t size);
  ~Index();  // removes the files

  // All of it or none, in one transaction.
  Result<void> write(std::span<const Change> changes, std::span<const MasterKeyRow> master_keys,
                     WallTime now);

 private:
  struct Files;
  explicit Index(std::unique_ptr<Files> files);
  std::unique_ptr<Files> files_;
};

}  // namespace kmsfs::keycache

namespace kmsfs {

struct KeyCacheIndexView {
  std::int64_t process_id = 0;  // of the writer
  std::int64_t written_ms = 0;  // wall time
  std::uint64_t entries = 0;
  std::uint64_t pinned = 0;
  std::uint64_t uses = 0;                 // of the entries held
  std::optional<BootTime> next_deadline;  // on this host's CLOCK_BOOTTIME
  std::vector<KeyCache::MasterKeyStatus> master_keys;
};

// As the cache last wrote it, from another process. kNotFound: no cache has an index there.
Result<KeyCacheIndexView> read_index(const std::string& directory);

}  // namespace kmsfs
