#include "fs/inode.h"

#include <fcntl.h>

#include <cassert>
#include <cerrno>
#include <thread>

namespace kmsfs {

Result<void> Inode::open(const Opener& opener, bool writable) {
  constexpr int kAttempts = 16;  // others may write a header that we found missing
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    auto joined = join(opener, writable);
    if (!joined) return std::move(joined).error();
    if (!*joined) {
      auto prepared = prepare(opener, writable);
      if (!prepared) return std::move(prepared).error();
      KMSFS_TRY(fetch_key(*prepared));
      auto installed = install(std::move(*prepared));
      if (!installed) return std::move(installed).error();
      if (*installed == Installed::kStale) continue;
      if (*installed == Installed::kNew) return {};
    }
    auto good = read([](const EncryptedFile&) { return Result<void>(); });
    if (!good) close();
    return good;
  }
  return error(Kind::kBusy, "a file is made anew too fast to be opened");
}

// True: the file was open, and has one opening more.
Result<bool> Inode::join(const Opener& opener, bool writable) {
  UniqueFd upgrade;
  for (;;) {
    {
      std::lock_guard lock(mutex_);
      if (!opened_) return false;
      if (writable && !opened_->writable && upgrade) {
        opened_->file->replace_fd(std::move(upgrade));
        opened_->writable = true;
      }
      if (!writable || opened_->writable) {
        ++opened_->count;
        return true;
      }
    }
    auto fd = opener(O_RDWR);
    if (!fd) return std::move(fd).error();
    upgrade = std::move(*fd);
  }
}

Result<bool> Inode::may_repair(int fd) const {
  if (!services_.recover_since) return false;
  auto attributes = services_.disk.stat(fd);
  if (!attributes) return std::move(attributes).error();
  return not_older(attributes->st_ctim, *services_.recover_since);
}

Result<Inode::Prepared> Inode::prepare(const Opener& opener, bool writable) {
  Prepared prepared;
  {
    std::shared_lock lock(mutex_);
    prepared.generation = generation_;
  }
  auto fd = opener(writable ? O_RDWR : O_RDONLY);
  if (!fd) return std::move(fd).error();
  prepared.fd = std::move(*fd);
  prepared.writable = writable;
  auto repair = may_repair(prepared.fd.get());
  if (!repair) return std::move(repair).error();
  if (*repair) {
    prepared.recovery = Recovery::kRepair;
    // A repair lasts only if it can be written; what cannot be opened for that is repaired in memory.
    Result<UniqueFd> for_writing = Error::from_errno(EROFS);
    if (!services_.read_only) for_writing = opener(O_RDWR);
    if (for_writing) {
      prepared.fd = std::move(*for_writing);
      prepared.writable = true;
    }
  }
  auto header = read_file_header(services_.disk, prepared.fd.get(), services_.volume.geometry());
  if (!header) return std::move(header).error();
  prepared.header = std::move(*header);
  if (!prepared.header && !(*repair && prepared.writable)) {
    return error(Kind::kCorrupt, "the header of a file was never written");
  }
  return prepared;
}

Result<void> Inode::fetch_key(Prepared& prepared) const {
  const VolumeParameters& volume = services_.volume.parameters();
  if (!prepared.header) {
    prepared.new_id = FileId::random();
    auto made = services_.keys.generate(volume.allowed_keys.front(), volume.suite,
                                        file_context(volume.id, prepared.new_id));
    if (!made) return std::move(made).error();
    prepared.key = FileKey(std::move(made->handle));
    prepared.new_section = {std::move(made->wrapped.key_arn), std::move(made->wrapped.blob)};
    return {};
  }
  auto key = unwrap_file_key(services_.keys, services_.volume, *prepared.header);
  if (!key) return std::move(key).error();
  prepared.key = std::move(*key);
  return {};
}

// Others may have opened the file since it was found closed: then this is one opening more, of what is there.
// What they may have changed and closed again does not matter, for a header stays what it is and the rest is
// read anew; but a header that was missing may be there now.
Result<Inode::Installed> Inode::install(Prepared prepared) {
  const VolumeParameters& volume = services_.volume.parameters();
  std::lock_guard lock(mutex_);
  if (opened_) {
    if (prepared.writable && !opened_->writable) {
      opened_->file->replace_fd(std::move(prepared.fd));
      opened_->writable = true;
    }
    ++opened_->count;
    return Installed::kJoined;
  }
  if (!prepared.header && generation_ != prepared.generation) return Installed::kStale;
  auto data_key = prepared.key.data_key();
  if (!data_key) return std::move(data_key).error();
  Result<std::unique_ptr<EncryptedFile>> file = error(Kind::kInternal, "not opened");
  if (prepared.header && services_.shared) {
    file = open_shared(prepared, *data_key);
  } else if (prepared.header) {
    file = EncryptedFile::open(services_.disk, std::move(prepared.fd), services_.volume.geometry(), volume.id,
                               *prepared.header, data_key->reveal(), prepared.recovery, services_.logger,
                               size_if_unfinished(prepared.header->file_id));
  } else {
    KMSFS_TRY(services_.disk.resize(prepared.fd.get(), 0));
    file = EncryptedFile::create(services_.disk, std::move(prepared.fd), services_.volume.geometry(),
                                 volume.id, prepared.new_id, data_key->reveal(), prepared.new_section);
  }
  if (!file) return std::move(file).error();
  if (!prepared.header || (*file)->repaired()) ++services_.figures.repaired;
  file_id_ = (*file)->file_id();
  opened_ = std::make_unique<Opened>(std::move(*file), std::move(prepared.key), prepared.writable);
  keys_.open();
  end_grace();
  ++generation_;
  ++services_.figures.open_files;
  return Installed::kNew;
}

// Whoever opens holds the lock, shared: then no change is under way. What is not at rest all the same was
// left by a mount that died, and who may write repairs it, holding the lock alone.
Result<std::unique_ptr<EncryptedFile>> Inode::open_shared(Prepared& prepared, const DataKey& data_key) {
  const UniqueFd kept(::fcntl(prepared.fd.get(), F_DUPFD_CLOEXEC, 0));  // outlives the lock, whatever fails
  if (!kept) return Error::from_errno(errno);
  const auto open = [&](UniqueFd fd, Recovery recovery) {
    return EncryptedFile::open(services_.disk, std::move(fd), services_.volume.geometry(),
                               services_.volume.parameters().id, *prepared.header, data_key.reveal(),
                               recovery, services_.logger);
  };
  if (prepared.recovery == Recovery::kRefuse) {
    auto lock = SharedLock::take(kept.get(), SharedLock::Kind::kShared);
    if (!lock) return std::move(lock).error();
    auto opened = open(std::move(prepared.fd), Recovery::kRefuse);
    if (opened ? (*opened)->clean() : opened.error().kind != Kind::kCorrupt) return opened;
  }
  if (!prepared.fd) {
    auto again = services_.disk.reopen(kept.get(), services_.read_only ? O_RDONLY : O_RDWR);
    prepared.writable = again.ok() && !services_.read_only;
    if (!again) again = services_.disk.reopen(kept.get(), O_RDONLY);
    if (!again) return std::move(again).error();
    prepared.fd = std::move(*again);
  }
  const UniqueFd locked(::fcntl(prepared.fd.get(), F_DUPFD_CLOEXEC, 0));
  if (!locked) return Error::from_errno(errno);
  auto lock = SharedLock::take(locked.get(),
                               prepared.writable ? SharedLock::Kind::kAlone : SharedLock::Kind::kShared);
  if (!lock) return std::move(lock).error();
  auto header = read_file_header(services_.disk, locked.get(), services_.volume.geometry());
  const bool at_rest = header && *header && (*header)->state.clean;
  auto opened = open(std::move(prepared.fd), at_rest ? prepared.recovery : Recovery::kRepair);
  if (opened && prepared.writable) KMSFS_TRY((*opened)->mark_clean());
  return opened;
}

Result<SharedLock> Inode::lock_for_reading() {
  {
    auto lock = SharedLock::take(opened_->file->fd(), SharedLock::Kind::kShared);
    if (!lock) return lock;
    auto refreshed = opened_->file->refresh(false);
    if (!refreshed) return std::move(refreshed).error();
    if (opened_->file->clean()) return lock;
  }
  if (!opened_->writable && !services_.read_only) {
    auto for_writing = services_.disk.reopen(opened_->file->fd(), O_RDWR);
    if (for_writing) {
      opened_->file->replace_fd(std::move(*for_writing));
      opened_->writable = true;
    }
  }
  if (opened_->writable) return lock_for_changing();
  auto lock = SharedLock::take(opened_->file->fd(), SharedLock::Kind::kShared);
  if (!lock) return lock;
  auto refreshed = opened_->file->refresh(false);
  if (!refreshed) return std::move(refreshed).error();
  return lock;
}

Result<SharedLock> Inode::lock_for_changing() {
  auto lock = SharedLock::take(opened_->file->fd(), SharedLock::Kind::kAlone);
  if (!lock) return lock;
  auto refreshed = opened_->file->refresh(true);
  if (!refreshed) return std::move(refreshed).error();
  if (opened_->file->repaired()) {
    ++services_.figures.repaired;
    services_.logger->warn("file {}: repaired what a mount left that died; size {}",
                           opened_->file->file_id().hex(), opened_->file->size());
  }
  return lock;
}

Result<UniqueFd> Inode::reopen(int flags) const {
  std::shared_lock lock(mutex_);
  if (!opened_) return Error::from_errno(ESTALE);
  return services_.disk.reopen(opened_->file->fd(), flags);
}

void Inode::adopt(std::unique_ptr<EncryptedFile> file, FileKey key, const timespec& modified) {
  std::lock_guard lock(mutex_);
  assert(!opened_);  // its name is not to be found before this
  file_id_ = file->file_id();
  opened_ = std::make_unique<Opened>(std::move(file), std::move(key), true, modified);
  keys_.open();
  ++generation_;
  ++services_.figures.open_files;
}

void Inode::close() {
  std::lock_guard lock(mutex_);
  if (!opened_ || --opened_->count > 0) return;
  mark_clean_locked();
  keys_.close();
  opened_.reset();
  ++generation_;
  --services_.figures.open_files;
}

Result<void> Inode::usable(Origin origin) {
  if (!opened_) return Error::from_errno(EBADF);
  auto good = opened_->key.check();
  if (good && opened_->file->has_keys()) return {};
  if (good) return error(Kind::kExpired, "the content keys were wiped");
  if (origin != Origin::kProgram && opened_->file->has_keys()) {
    start_clock_of_grace();
    if (services_.clock.boot_time().count() < grace_until_ns_) return {};
  }
  return good;
}

Result<void> Inode::revive() {
  FileKey key;
  {
    std::shared_lock lock(mutex_);
    if (!opened_) return Error::from_errno(EBADF);
    key = opened_->key;
  }
  KMSFS_TRY(services_.keys.ensure(key.handle()));
  std::lock_guard lock(mutex_);
  if (!opened_) return Error::from_errno(EBADF);
  if (!opened_->file->has_keys()) {
    auto data_key = opened_->key.data_key();
    if (!data_key) return std::move(data_key).error();
    KMSFS_TRY(opened_->file->rekey(data_key->reveal()));
    keys_.open();
  }
  end_grace();
  return {};
}

SealedAhead Inode::seal_ahead(std::uint64_t offset, ByteView data, Origin origin) {
  const auto visit = keys_.enter();
  if (!visit || !usable(origin)) return {};
  return opened_->file->seal_ahead(offset, data);
}

void Inode::let_writes_before_pass(std::uint64_t offset) const {
  using Steady = std::chrono::steady_clock;
  constexpr std::chrono::milliseconds kMostlyEnough{1};  // for a thread that has them, and no processor
  constexpr std::chrono::microseconds kStep{100};
  const auto must_wait = [&] {
    std::shared_lock lock(mutex_);
    return opened_ != nullptr && opened_->file->would_become_sparse(offset);
  };
  std::optional<LongWait> long_wait;
  const auto begun = Steady::now();
  while (must_wait()) {
    const auto waited = Steady::now() - begun;
    if (waited > kPatience) return;
    if (waited < kMostlyEnough) {
      std::this_thread::yield();
      continue;
    }
    if (!long_wait) long_wait.emplace();
    std::this_thread::sleep_for(kStep);
  }
}

Result<void> Inode::sync(bool data_only) {
  if (services_.shared) {
    std::shared_lock lock(mutex_);
    if (!opened_) return Error::from_errno(EBADF);
    return data_only ? services_.disk.sync_data(opened_->file->fd())
                     : services_.disk.sync(opened_->file->fd());
  }
  auto done = change([&](EncryptedFile& file) { return keep_times([&] { return file.sync(data_only); }); },
                     Origin::kOurselves);
  if (done || done.error().system_errno != EBADF) return done;
  std::shared_lock lock(mutex_);
  if (!opened_) return Error::from_errno(EBADF);
  return data_only ? services_.disk.sync_data(opened_->file->fd()) : services_.disk.sync(opened_->file->fd());
}

// A cached write was made when the program made it. The kernel tells that time unless it is the one that it
// has for the file, as with one that was made in the same tick of its clock; so a write as such moves
// nothing.
void Inode::keep_time_of(Origin origin) {
  if (origin == Origin::kOurselves) return;
  if (origin == Origin::kProgram || !services_.kernel_keeps_times) return opened_->modified.reset();
  if (!opened_->modified) opened_->modified = modification_time();
}

std::optional<timespec> Inode::modification_time() const {
  const auto attributes = services_.disk.stat(opened_->file->fd());
  return attributes ? std::optional(attributes->st_mtim) : std::nullopt;
}

std::optional<Result<struct stat>> Inode::set_times_if_open(
    const std::function<Result<struct stat>(int fd)>& set) {
  std::lock_guard lock(mutex_);
  if (!opened_) return std::nullopt;
  auto now = set(opened_->file->fd());
  opened_->modified = now ? std::optional(now->st_mtim) : std::nullopt;
  return now;
}

// Writing the state slot is our own book-keeping: it must not look like a change of the file.
template <typename Write>
Result<void> Inode::keep_times(Write&& write) {
  if (services_.shared || opened_->file->clean()) return write();
  const auto modified = opened_->modified ? opened_->modified : modification_time();
  KMSFS_TRY(write());
  if (!modified) return {};
  const timespec times[2] = {{0, UTIME_OMIT}, *modified};
  // Not ours to set if the file belongs to another user; then its time is off, and nothing else.
  (void)services_.disk.change_times(opened_->file->fd(), times).ok();
  return {};
}

void Inode::mark_clean() {
  std::lock_guard lock(mutex_);
  mark_clean_locked();
}

std::optional<std::uint64_t> Inode::size_if_unfinished(const FileId& id) const {
  return services_.sizes_of_unfinished.with([&](const auto& sizes) -> std::optional<std::uint64_t> {
    const auto found = sizes.find(id);
    if (found == sizes.end()) return std::nullopt;
    return found->second;
  });
}

void Inode::remember_unfinished() {
  services_.sizes_of_unfinished.with([&](auto& sizes) {
    if (opened_->file->unfinished()) {
      sizes[opened_->file->file_id()] = opened_->file->size();
    } else {
      sizes.erase(opened_->file->file_id());
    }
  });
}

void Inode::mark_clean_locked() {
  if (!opened_ || services_.shared) return;  // a shared file is at rest whenever its lock is free
  seal_size();
  remember_unfinished();
}

void Inode::seal_size() {
  if (!opened_->writable || opened_->file->clean() || !opened_->file->has_keys()) return;
  auto marked = keep_times([&] { return opened_->file->mark_clean(); });
  if (marked) return;
  ++services_.figures.not_marked_clean;
  services_.logger->warn("file {}: its size could not be sealed at close: {}", opened_->file->file_id().hex(),
                         marked.error().text);
}

Result<FileHeader> Inode::header(const Opener& opener) {
  auto fd = opener(O_RDONLY);
  if (!fd) return std::move(fd).error();
  auto header = read_file_header(services_.disk, fd->get(), services_.volume.geometry());
  if (!header) return std::move(header).error();
  if (!*header) return error(Kind::kCorrupt, "the header of a file was never written");
  FileHeader found = std::move(**header);
  std::shared_lock lock(mutex_);
  if (opened_) {
    found.state.clean = opened_->file->clean();
    found.state.sparse = opened_->file->sparse();
    found.state.plain_size = opened_->file->size();
  }
  return found;
}

Result<FileId> Inode::file_id(const Opener& opener) {
  {
    std::shared_lock lock(mutex_);
    // On a shared volume others may have given the number to another file.
    if (file_id_ && (opened_ || !services_.shared)) return *file_id_;
  }
  auto found = header(opener);
  if (!found) return std::move(found).error();
  std::lock_guard lock(mutex_);
  if (!file_id_ || !opened_) file_id_ = found->file_id;
  return *file_id_;
}

bool Inode::unrepaired() const {
  std::shared_lock lock(mutex_);
  return opened_ && opened_->file->unrepaired();
}

bool Inode::uses_key(const std::string& key_arn) const {
  std::shared_lock lock(mutex_);
  return opened_ && opened_->key.key_arn() == key_arn;
}

bool Inode::has_unusable_key() const {
  std::shared_lock lock(mutex_);
  return opened_ && opened_->file->has_keys() && !opened_->key.check();
}

bool Inode::begin_grace() {
  start_clock_of_grace();
  return !withdrawn_.exchange(true);
}

void Inode::start_clock_of_grace() {
  std::int64_t none = 0;
  grace_until_ns_.compare_exchange_strong(none, (services_.clock.boot_time() + kGrace).count());
}

void Inode::end_grace() {
  grace_until_ns_ = 0;
  withdrawn_ = false;
}

void Inode::drop_keys_if_due(bool now) {
  std::lock_guard lock(mutex_);
  if (!opened_ || !opened_->file->has_keys()) return;
  if (opened_->key.check()) {
    end_grace();
    return;
  }
  start_clock_of_grace();
  if (!now && services_.clock.boot_time().count() < grace_until_ns_) return;
  mark_clean_locked();
  keys_.close();
  opened_->file->drop_keys();
}

}  // namespace kmsfs
