// An Inode is the content side of one regular file: while somebody has it open, its EncryptedFile and its
// data key.
//
// Always: one per backing file, shared by all its handles. A key that may not be used any more fails every
// operation at once; what the page cache had taken from programs before is still written for kGrace, then the
// content keys are wiped. A key that may be used again heals the file by itself, at the next operation.
// Threads: any, together. Its lock is held across disk calls, never across a call to the key cache that may
// ask the KMS; no function may be called with a directory locked, because opening takes those locks.
#pragma once

#include <atomic>
#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <shared_mutex>
#include <string>
#include <type_traits>

#include "core/clock.h"
#include "core/gate.h"
#include "core/guarded.h"
#include "core/log.h"
#include "core/waiting.h"
#include "fs/disk.h"
#include "fs/encrypted_file.h"
#include "fs/file_key.h"
#include "fs/shared_lock.h"
#include "fs/volume.h"
#include "keycache/key_cache.h"

namespace kmsfs {

// Of a backing change time: may the mount that ended uncleanly have made that change?
inline bool not_older(const timespec& time, const timespec& since) {
  return time.tv_sec != since.tv_sec ? time.tv_sec > since.tv_sec : time.tv_nsec >= since.tv_nsec;
}

struct ContentFigures {
  std::atomic<std::uint64_t> open_files{0}, repaired{0}, not_marked_clean{0};
};

// What all inodes share; outlives them.
struct ContentServices {
  Disk& disk;
  const Volume& volume;
  KeyCache& keys;
  const Clock& clock;
  Logger logger;
  std::optional<timespec> recover_since;  // repair files whose backing change time is not older
  bool read_only = false;
  bool shared = false;              // other mounts change the files too
  bool kernel_keeps_times = false;  // it caches writes
  ContentFigures figures;
  // What backing files that are closed tell wrong, because a failing disk took no change any more.
  Guarded<std::map<FileId, std::uint64_t>> sizes_of_unfinished{};
};

class Inode {
 public:
  static constexpr std::chrono::seconds kGrace{5};
  static constexpr std::chrono::milliseconds kPatience{20};

  // Opens the backing file with these flags, wherever it stands now.
  using Opener = std::function<Result<UniqueFd>(int flags)>;

  explicit Inode(ContentServices& services) : services_(services) {}

  // Each success needs one close(). Asks the KMS if the key is not in the cache.
  Result<void> open(const Opener& opener, bool writable);
  // A file just created, open for writing, with its modification time: counts as one open().
  void adopt(std::unique_ptr<EncryptedFile> file, FileKey key, const timespec& modified);
  // The last one marks the file clean; that failing is logged and counted, and harms no data.
  void close();

  // On whose behalf the content changes. kPageCache: the program's write returned earlier, and the kernel
  // tells when that was if it is not what it took for the modification time already. kOurselves:
  // book-keeping.
  enum class Origin { kProgram, kPageCache, kOurselves };

  // Runs `use(const EncryptedFile&)` together with others, or `use(EncryptedFile&)` alone, with keys that may
  // be used.
  // On a shared volume `use` may run twice: what it found wrong may have been a change under way, and is
  // looked at again under the file's lock.
  template <typename Use>
  auto read(Use&& use) -> std::invoke_result_t<Use, const EncryptedFile&>;
  // The same if the keys may be used as they are; otherwise false, and nobody is asked for them.
  template <typename F>
  bool read_if_usable(F&& use);
  template <typename Use>
  auto change(Use&& use, Origin origin = Origin::kProgram) -> std::invoke_result_t<Use, EncryptedFile&>;
  // Seals what can be sealed of a write, for the change() that comes next on this thread, while other threads
  // change the file.
  SealedAhead seal_ahead(std::uint64_t offset, ByteView data, Origin origin);
  // The kernel writes out a file's pages in their order, but does not wait for each to be written, so those
  // before `offset` may be with another thread still: waits until they are written, or kPatience is over,
  // before a hole is made of them.
  void let_writes_before_pass(std::uint64_t offset) const;
  Result<void> sync(bool data_only);

  // What `use(int fd)` says of the backing file, whose name does not matter; nothing if it is not open.
  template <typename Use>
  auto if_open(Use&& use) const -> std::optional<std::invoke_result_t<Use, int>> {
    std::shared_lock lock(mutex_);
    if (!opened_) return std::nullopt;
    return use(opened_->file->fd());
  }
  // The same for what sets the modification time, and says which one that is.
  std::optional<Result<struct stat>> set_times_if_open(const std::function<Result<struct stat>(int fd)>& set);
  // The open file once more, though its name may be gone or another's. ESTALE if it is not open.
  Result<UniqueFd> reopen(int flags) const;
  // The file id that the header names, without its key: for what hangs on the file id.
  Result<FileId> file_id(const Opener& opener);
  // What the header says, and the state as an open file knows it.
  Result<FileHeader> header(const Opener& opener);

  // A crash left something that could not be put right on disk.
  bool unrepaired() const;
  bool uses_key(const std::string& key_arn) const;
  // Keys are there that may not be used.
  bool has_unusable_key() const;
  // False if it has begun already: each withdrawal is told to the kernel once.
  bool begin_grace();
  // Wipes the content keys if the data key may not be used and the grace is over; at once with `now`.
  void drop_keys_if_due(bool now);
  void mark_clean();

 private:
  // What there is while somebody has the file open.
  struct Opened {
    std::unique_ptr<EncryptedFile> file;
    FileKey key;
    bool writable = false;                  // the backing descriptor is open for writing
    std::optional<timespec> modified = {};  // to leave the file with when it is marked clean; none: its own
    std::uint64_t count = 1;                // open() without close()
  };
  struct Prepared {
    UniqueFd fd;
    bool writable = false;
    std::optional<FileHeader> header;  // none: page 0 was never written, and may be made anew
    FileId new_id;
    FileKey key;
    KeySection new_section;
    Recovery recovery = Recovery::kRefuse;
    std::uint32_t generation = 0;
  };

  Result<bool> join(const Opener& opener, bool writable);
  Result<Prepared> prepare(const Opener& opener, bool writable);
  Result<void> fetch_key(Prepared& prepared) const;
  enum class Installed { kNew, kJoined, kStale };
  Result<Installed> install(Prepared prepared);
  Result<bool> may_repair(int fd) const;
  template <typename Lock>
  Lock locked();
  Result<void> usable(Origin origin);  // with the lock held, shared or alone, or inside the gate
  // Of shared volumes, with the lock held alone; the result holds the file's lock of all mounts.
  Result<SharedLock> lock_for_reading();
  Result<SharedLock> lock_for_changing();
  Result<std::unique_ptr<EncryptedFile>> open_shared(Prepared& prepared, const DataKey& data_key);
  Result<void> revive();
  void keep_time_of(Origin origin);
  std::optional<timespec> modification_time() const;
  template <typename Write>
  Result<void> keep_times(Write&& write);
  void mark_clean_locked();
  void seal_size();
  std::optional<std::uint64_t> size_if_unfinished(const FileId& id) const;
  void remember_unfinished();
  void start_clock_of_grace();
  void end_grace();

  ContentServices& services_;
  mutable std::shared_mutex mutex_;
  Gate keys_;  // open while there are keys; mutex_ is held alone to open and to close it
  // Guarded by mutex_. Inside the gate, the open file, its key and its content keys stay as they are.
  std::uint32_t generation_ = 0;  // counts openings and closings of the backing file
  std::unique_ptr<Opened> opened_;
  std::optional<FileId> file_id_;

  std::atomic<bool> withdrawn_{false};
  std::atomic<std::int64_t> grace_until_ns_{0};  // boot time; 0: the key was good when it was last used
};

// Of a shared file, whoever has the lock may wait for another mount, and so does who waits for him.
template <typename Lock>
Lock Inode::locked() {
  Lock lock(mutex_, std::try_to_lock);
  if (lock.owns_lock()) return lock;
  std::optional<LongWait> wait;
  if (services_.shared) wait.emplace();
  lock.lock();
  return lock;
}

template <typename F>
auto Inode::read(F&& use) -> std::invoke_result_t<F, const EncryptedFile&> {
  constexpr int kAttempts = 3;  // a key may be withdrawn again between its renewal and its use
  Result<void> problem;
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    {
      const auto lock = locked<std::shared_lock<std::shared_mutex>>();
      problem = usable(Origin::kProgram);
      if (problem && !services_.shared) return use(static_cast<const EncryptedFile&>(*opened_->file));
      if (problem) {
        auto current = opened_->file->is_current();
        if (!current) return std::move(current).error();
        if (*current) {
          auto done = use(static_cast<const EncryptedFile&>(*opened_->file));
          if (!done && done.error().kind != Kind::kCorrupt) return done;
          // A file that was emptied and grew meanwhile was zeros for a moment, which nobody has written.
          auto still = opened_->file->is_still_current();
          if (!still) return std::move(still).error();
          if (done && *still) return done;
        }
      }
    }
    if (problem) {
      const auto lock = locked<std::unique_lock<std::shared_mutex>>();
      problem = usable(Origin::kProgram);
      if (problem) {
        auto locked = lock_for_reading();
        if (!locked) return std::move(locked).error();
        return use(static_cast<const EncryptedFile&>(*opened_->file));
      }
    }
    KMSFS_TRY(revive());
  }
  return std::move(problem).error();
}

template <typename F>
bool Inode::read_if_usable(F&& use) {
  std::shared_lock lock(mutex_);
  if (!usable(Origin::kProgram)) return false;
  use(static_cast<const EncryptedFile&>(*opened_->file));
  return true;
}

template <typename F>
auto Inode::change(F&& use, Origin origin) -> std::invoke_result_t<F, EncryptedFile&> {
  constexpr int kAttempts = 3;
  Result<void> problem;
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    {
      const auto lock = locked<std::unique_lock<std::shared_mutex>>();
      problem = usable(origin);
      if (problem && !opened_->writable) return Error::from_errno(EBADF);
      if (problem && !services_.shared) {
        keep_time_of(origin);
        return use(*opened_->file);
      }
      if (problem) {
        auto locked = lock_for_changing();
        if (!locked) return std::move(locked).error();
        auto done = use(*opened_->file);
        // Whatever came of it: who has the lock next finds a file at rest.
        auto at_rest = opened_->file->mark_clean();
        if (done && !at_rest) return std::move(at_rest).error();
        return done;
      }
    }
    KMSFS_TRY(revive());
  }
  return std::move(problem).error();
}

}  // namespace kmsfs
