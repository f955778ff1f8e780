// A Disk on top of another that counts calls, records changes of files, and fails or cuts short the call it
// is told to.
//
//   FaultyDisk disk(real);
//   disk.fail(FaultyDisk::Call::kWrite, 2, ENOSPC);      // the second write from now fails, and does nothing
//   disk.cut_write(1, 4096, ENOSPC);                     // the next write writes 4096 bytes, then fails
//   disk.record(true); ...; disk.changes();              // what was written, resized, allocated and synced
//
// Threads: any for the calls of a Disk; faults and records are for one thread, while no call runs.
#pragma once

#include <algorithm>
#include <array>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "fs/disk.h"

namespace kmsfs::testing {

class FaultyDisk final : public Disk {
 public:
  // kEntry: make, link, rename, unlink; kAttribute: stat, mode, owner, times, xattrs.
  enum class Call : std::uint8_t {
    kOpen,
    kRead,
    kWrite,
    kResize,
    kSync,
    kAllocate,
    kSeek,
    kEntry,
    kAttribute
  };
  static constexpr std::size_t kCalls = 9;

  struct Change {
    Call call = Call::kWrite;  // kWrite, kResize, kAllocate or kSync
    int fd = -1;
    int mode = 0;              // of kAllocate
    std::uint64_t offset = 0;  // of kWrite and kAllocate
    std::uint64_t size = 0;    // of kResize and kAllocate
    Bytes data;                // of kWrite
  };

  explicit FaultyDisk(Disk& below) : below_(below) {}

  // Faults add up until heal(). nth: 1 is the next call of this kind.
  void fail(Call call, int nth, int error_number) { faults_.push_back({call, nth, error_number, 0}); }
  // The nth call that changes a file's bytes or size fails.
  void fail_change(int nth, int error_number) { faults_.push_back({std::nullopt, nth, error_number, 0}); }
  void cut_write(int nth, std::size_t written, int error_number) {
    faults_.push_back({Call::kWrite, nth, error_number, written});
  }
  void heal() { faults_.clear(); }
  // All that was to fail did.
  bool has_failed() const {
    return std::ranges::all_of(faults_, [](const Fault& fault) { return fault.left <= 0; });
  }

  std::uint64_t count(Call call) const { return counts_[static_cast<std::size_t>(call)]; }
  void reset_counts() { counts_ = {}; }
  void record(bool on) { recording_ = on; }
  const std::vector<Change>& changes() const { return changes_; }
  void forget_changes() { changes_.clear(); }
  // Syncs cost much and tell a test nothing that the record does not.
  void skip_syncs() { skip_syncs_ = true; }

  Result<UniqueFd> open_at(int directory, const std::string& name, int flags, mode_t mode) override {
    KMSFS_TRY(met(Call::kOpen));
    return below_.open_at(directory, name, flags, mode);
  }
  Result<UniqueFd> reopen(int path_fd, int flags) override {
    KMSFS_TRY(met(Call::kOpen));
    return below_.reopen(path_fd, flags);
  }
  Result<std::size_t> read_at(int fd, std::uint64_t offset, ByteSpan out) override {
    KMSFS_TRY(met(Call::kRead));
    return below_.read_at(fd, offset, out);
  }
  Result<void> write_at(int fd, std::uint64_t offset, ByteView data) override {
    if (auto fault = met(Call::kWrite); !fault) {
      KMSFS_TRY(write(fd, offset, data.first(std::min(written_, data.size()))));
      return fault;
    }
    return write(fd, offset, data);
  }
  Result<void> resize(int fd, std::uint64_t size) override {
    KMSFS_TRY(met(Call::kResize));
    note({Call::kResize, fd, 0, 0, size, {}});
    return below_.resize(fd, size);
  }
  Result<void> sync(int fd) override {
    KMSFS_TRY(met(Call::kSync));
    note({Call::kSync, fd, 0, 0, 0, {}});
    return skip_syncs_ ? Result<void>{} : below_.sync(fd);
  }
  Result<void> sync_data(int fd) override {
    KMSFS_TRY(met(Call::kSync));
    note({Call::kSync, fd, 0, 0, 0, {}});
    return skip_syncs_ ? Result<void>{} : below_.sync_data(fd);
  }
  Result<void> allocate(int fd, int mode, std::uint64_t offset, std::uint64_t size) override {
    KMSFS_TRY(met(Call::kAllocate));
    note({Call::kAllocate, fd, mode, offset, size, {}});
    return below_.allocate(fd, mode, offset, size);
  }
  Result<std::uint64_t> seek(int fd, std::uint64_t offset, int whence) override {
    KMSFS_TRY(met(Call::kSeek));
    return below_.seek(fd, offset, whence);
  }

  Result<void> make_directory_at(int directory, const std::string& name, mode_t mode) override {
    KMSFS_TRY(met(Call::kEntry));
    return below_.make_directory_at(directory, name, mode);
  }
  Result<void> make_node_at(int directory, const std::string& name, mode_t mode, dev_t device) override {
    KMSFS_TRY(met(Call::kEntry));
    return below_.make_node_at(directory, name, mode, device);
  }
  Result<void> symlink_at(const std::string& target, int directory, const std::string& name) override {
    KMSFS_TRY(met(Call::kEntry));
    return below_.symlink_at(target, directory, name);
  }
  Result<std::string> read_link(int path_fd) override {
    KMSFS_TRY(met(Call::kRead));
    return below_.read_link(path_fd);
  }
  Result<std::string> read_link_at(int directory, const std::string& name) override {
    KMSFS_TRY(met(Call::kRead));
    return below_.read_link_at(directory, name);
  }
  Result<void> link_at(int path_fd, int directory, const std::string& name) override {
    KMSFS_TRY(met(Call::kEntry));
    return below_.link_at(path_fd, directory, name);
  }
  Result<void> unlink_at(int directory, const std::string& name, int flags) override {
    KMSFS_TRY(met(Call::kEntry));
    return below_.unlink_at(directory, name, flags);
  }
  Result<void> rename_at(int from, const std::string& old_name, int to, const std::string& new_name,
                         unsigned flags) override {
    KMSFS_TRY(met(Call::kEntry));
    return below_.rename_at(from, old_name, to, new_name, flags);
  }

  Result<struct stat> stat(int fd) override {
    KMSFS_TRY(met(Call::kAttribute));
    return below_.stat(fd);
  }
  Result<struct stat> stat_at(int directory, const std::string& name) override {
    KMSFS_TRY(met(Call::kAttribute));
    return below_.stat_at(directory, name);
  }
  Result<std::optional<timespec>> birth_time(int fd) override {
    KMSFS_TRY(met(Call::kAttribute));
    return below_.birth_time(fd);
  }
  Result<struct statvfs> stat_file_system(int fd) override {
    KMSFS_TRY(met(Call::kAttribute));
    return below_.stat_file_system(fd);
  }
  bool keeps_order_of_names(int fd) override { return below_.keeps_order_of_names(fd); }
  Result<void> change_mode(int fd, mode_t mode) override {
    KMSFS_TRY(met(Call::kAttribute));
    return below_.change_mode(fd, mode);
  }
  Result<void> change_owner(int fd, uid_t uid, gid_t gid) override {
    KMSFS_TRY(met(Call::kAttribute));
    return below_.change_owner(fd, uid, gid);
  }
  Result<void> change_times(int fd, const timespec (&times)[2]) override {
    KMSFS_TRY(met(Call::kAttribute));
    return below_.change_times(fd, times);
  }
  Result<void> set_xattr(int fd, const std::string& name, ByteView value, int flags) override {
    KMSFS_TRY(met(Call::kAttribute));
    return below_.set_xattr(fd, name, value, flags);
  }
  Result<Bytes> get_xattr(int fd, const std::string& name) override {
    KMSFS_TRY(met(Call::kAttribute));
    return below_.get_xattr(fd, name);
  }
  Result<std::vector<std::string>> list_xattr(int fd) override {
    KMSFS_TRY(met(Call::kAttribute));
    return below_.list_xattr(fd);
  }
  Result<void> remove_xattr(int fd, const std::string& name) override {
    KMSFS_TRY(met(Call::kAttribute));
    return below_.remove_xattr(fd, name);
  }

 private:
  struct Fault {
    std::optional<Call> call;  // nullopt: any that changes bytes or size
    int left;
    int error_number;
    std::size_t written;
  };

  Result<void> met(Call call) {
    const std::lock_guard lock(mutex_);
    ++counts_[static_cast<std::size_t>(call)];
    const bool changes = call == Call::kWrite || call == Call::kResize || call == Call::kAllocate;
    for (Fault& fault : faults_) {
      if (fault.call ? *fault.call != call : !changes) continue;
      if (--fault.left != 0) continue;
      written_ = fault.written;
      return Error::from_errno(fault.error_number);
    }
    return {};
  }
  Result<void> write(int fd, std::uint64_t offset, ByteView data) {
    if (data.empty()) return {};
    note({Call::kWrite, fd, 0, offset, 0, Bytes(data.begin(), data.end())});
    return below_.write_at(fd, offset, data);
  }

  void note(Change change) {
    const std::lock_guard lock(mutex_);
    if (recording_) changes_.push_back(std::move(change));
  }

  Disk& below_;
  std::mutex mutex_;
  std::vector<Fault> faults_;
  std::size_t written_ = 0;  // of the write that failed last
  std::array<std::uint64_t, kCalls> counts_{};
  bool recording_ = false;
  bool skip_syncs_ = false;
  std::vector<Change> changes_;
};

}  // namespace kmsfs::testing
