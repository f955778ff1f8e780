#include "fs/program_locks.h"

#include <fcntl.h>

#include <algorithm>
#include <cerrno>
#include <limits>
#include <vector>

#include "core/waiting.h"
#include "fs/shared_lock.h"

namespace kmsfs {
namespace {

// Releases of this mount are heard of at once, those of others are looked for.
constexpr std::chrono::milliseconds kFirstPause{1}, kLongestPause{50};

Result<ProgramLocks::Range> in_backing_file(const ProgramLocks::Owner& owner, ProgramLocks::Range wanted) {
  if (owner.whole_file) return ProgramLocks::Range{wanted.type, kWholeFileLock, 1};
  if (wanted.start < 0 || wanted.start >= kLocksOfMounts) return Error::from_errno(EOVERFLOW);
  const off_t most = kLocksOfMounts - wanted.start;
  wanted.length = wanted.length == 0 ? most : std::min(wanted.length, most);
  return wanted;
}

}  // namespace

// Said aloud: closing alone is not enough for every network file system.
ProgramLocks::Held::~Held() { (void)try_lock(fd.get(), F_UNLCK, 0, 0).ok(); }

std::shared_ptr<ProgramLocks::Held> ProgramLocks::held_by(const Owner& owner) const {
  std::lock_guard lock(mutex_);
  const auto found = entries_.find(owner);
  return found == entries_.end() ? nullptr : found->second.held;
}

Result<std::shared_ptr<ProgramLocks::Held>> ProgramLocks::open_for(const Owner& owner, Handle handle,
                                                                   const Opener& open) {
  auto held = held_by(owner);
  if (held == nullptr) {
    auto fd = open(O_RDWR);
    const bool writable = fd.ok();
    if (!fd) fd = open(O_RDONLY);
    if (!fd) return std::move(fd).error();
    held = std::make_shared<Held>(std::move(*fd), writable);
  }
  std::lock_guard lock(mutex_);
  Entry& entry = entries_[owner];
  if (entry.held == nullptr) entry.held = std::move(held);  // another thread may have been faster
  entry.handles.insert(handle);
  owners_ = entries_.size();
  return entry.held;
}

Result<void> ProgramLocks::set(const Owner& owner, Handle handle, Range wanted, bool wait,
                               const Opener& open) {
  auto range = in_backing_file(owner, wanted);
  if (!range) return std::move(range).error();
  if (range->type == F_UNLCK) {
    const auto held = held_by(owner);
    if (held == nullptr) return {};
    auto unlocked = try_lock(held->fd.get(), F_UNLCK, range->start, range->length);
    tell_waiters();
    if (!unlocked) return std::move(unlocked).error();
    return {};
  }
  auto held = open_for(owner, handle, open);
  if (!held) return std::move(held).error();
  // As on NFS: to lock alone, the file must be writable for whoever serves the mount.
  if (range->type == F_WRLCK && !(*held)->writable) return Error::from_errno(EBADF);
  auto locked = try_lock((*held)->fd.get(), range->type, range->start, range->length);
  if (!locked) return std::move(locked).error();
  if (*locked) return {};
  if (!wait) return Error::from_errno(EAGAIN);
  return wait_for(**held, *range);
}

Result<void> ProgramLocks::wait_for(const Held& held, const Range& wanted) {
  const LongWait long_wait;
  auto pause = kFirstPause;
  for (;;) {
    std::uint64_t seen = 0;
    {
      std::lock_guard lock(mutex_);
      seen = releases_;
    }
    auto locked = try_lock(held.fd.get(), wanted.type, wanted.start, wanted.length);
    if (!locked) return std::move(locked).error();
    if (*locked) return {};
    if (long_wait.signalled()) return Error::from_errno(EINTR);
    std::unique_lock lock(mutex_);
    released_.wait_for(lock, pause, [&] { return releases_ != seen; });
    pause = std::min(pause * 2, kLongestPause);
  }
}

void ProgramLocks::tell_waiters() {
  {
    std::lock_guard lock(mutex_);
    ++releases_;
  }
  released_.notify_all();
}

Result<ProgramLocks::Range> ProgramLocks::find_blocker(const Owner& owner, Range wanted,
                                                       const Opener& open) const {
  auto range = in_backing_file(owner, wanted);
  if (!range) return std::move(range).error();
  auto held = held_by(owner);
  if (held == nullptr) {
    auto fd = open(O_RDONLY);
    if (!fd) return std::move(fd).error();
    held = std::make_shared<Held>(std::move(*fd), false);
  }
  struct flock asked {};
  asked.l_type = range->type;
  asked.l_whence = SEEK_SET;
  asked.l_start = range->start;
  asked.l_len = range->length;
  if (::fcntl(held->fd.get(), F_OFD_GETLK, &asked) != 0) {
    return Error::from_errno(errno, "asking for the locks of a backing file");
  }
  const bool to_the_end = asked.l_len == 0 || asked.l_start + asked.l_len >= kLocksOfMounts;
  return Range{asked.l_type, asked.l_start, to_the_end ? 0 : asked.l_len};
}

void ProgramLocks::drop(const Owner& owner) {
  if (owners_ == 0) return;
  Entry dropped;  // its descriptor closes after the lock is gone
  {
    std::lock_guard lock(mutex_);
    const auto found = entries_.find(owner);
    if (found == entries_.end()) return;
    dropped = std::move(found->second);
    entries_.erase(found);
    owners_ = entries_.size();
  }
  dropped = {};
  tell_waiters();
}

void ProgramLocks::drop_handle(Node node, Handle handle) {
  if (owners_ == 0) return;
  std::vector<Entry> dropped;
  {
    std::lock_guard lock(mutex_);
    for (auto at = entries_.lower_bound({node, false, 0}); at != entries_.end() && at->first.node == node;) {
      const bool last = at->second.handles.erase(handle) != 0 && at->second.handles.empty();
      if (last) dropped.push_back(std::move(at->second));
      at = last ? entries_.erase(at) : std::next(at);
    }
    owners_ = entries_.size();
  }
  if (dropped.empty()) return;
  dropped.clear();
  tell_waiters();
}

}  // namespace kmsfs
