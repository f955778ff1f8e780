// A Disk that does what it is told on the real one, until the call that is to fail.
//
//   FailingDisk disk;
//   disk.fail_change(3, ENOSPC);   // the fourth call from now that would change something fails, once
//
// Threads: any, together.
#pragma once

#include <atomic>
#include <optional>
#include <string>
#include <vector>

#include "fs/disk.h"

namespace kmsfs::testing {

class FailingDisk final : public Disk {
 public:
  void fail_change(int after, int error_number) {
    error_number_ = error_number;
    countdown_ = after;
  }
  // False as long as the call that is to fail has not come.
  bool has_failed() const { return countdown_ < 0; }

  Result<UniqueFd> open_at(int directory, const std::string& name, int flags, mode_t mode) override {
    if ((flags & (O_CREAT | O_TRUNC)) != 0) KMSFS_TRY(change());
    return disk_.open_at(directory, name, flags, mode);
  }
  Result<UniqueFd> reopen(int path_fd, int flags) override { return disk_.reopen(path_fd, flags); }
  Result<std::size_t> read_at(int fd, std::uint64_t offset, ByteSpan out) override {
    return disk_.read_at(fd, offset, out);
  }
  Result<void> write_at(int fd, std::uint64_t offset, ByteView data) override {
    KMSFS_TRY(change());
    return disk_.write_at(fd, offset, data);
  }
  Result<void> resize(int fd, std::uint64_t size) override {
    KMSFS_TRY(change());
    return disk_.resize(fd, size);
  }
  Result<void> sync(int fd) override {
    KMSFS_TRY(change());
    return disk_.sync(fd);
  }
  Result<void> sync_data(int fd) override {
    KMSFS_TRY(change());
    return disk_.sync_data(fd);
  }
  Result<void> allocate(int fd, int mode, std::uint64_t offset, std::uint64_t size) override {
    KMSFS_TRY(change());
    return disk_.allocate(fd, mode, offset, size);
  }
  Result<std::uint64_t> seek(int fd, std::uint64_t offset, int whence) override {
    return disk_.seek(fd, offset, whence);
  }

  Result<void> make_directory_at(int directory, const std::string& name, mode_t mode) override {
    KMSFS_TRY(change());
    return disk_.make_directory_at(directory, name, mode);
  }
  Result<void> make_node_at(int directory, const std::string& name, mode_t mode, dev_t device) override {
    KMSFS_TRY(change());
    return disk_.make_node_at(directory, name, mode, device);
  }
  Result<void> symlink_at(const std::string& target, int directory, const std::string& name) override {
    KMSFS_TRY(change());
    return disk_.symlink_at(target, directory, name);
  }
  Result<std::string> read_link(int path_fd) override { return disk_.read_link(path_fd); }
  Result<std::string> read_link_at(int directory, const std::string& name) override {
    return disk_.read_link_at(directory, name);
  }
  Result<void> link_at(int path_fd, int directory, const std::string& name) override {
    KMSFS_TRY(change());
    return disk_.link_at(path_fd, directory, name);
  }
  Result<void> unlink_at(int directory, const std::string& name, int flags) override {
    KMSFS_TRY(change());
    return disk_.unlink_at(directory, name, flags);
  }
  Result<void> rename_at(int from, const std::string& old_name, int to, const std::string& new_name,
                         unsigned flags) override {
    KMSFS_TRY(change());
    return disk_.rename_at(from, old_name, to, new_name, flags);
  }

  Result<struct stat> stat(int fd) override { return disk_.stat(fd); }
  Result<struct stat> stat_at(int directory, const std::string& name) override {
    return disk_.stat_at(directory, name);
  }
  Result<std::optional<timespec>> birth_time(int fd) override { return disk_.birth_time(fd); }
  Result<struct statvfs> stat_file_system(int fd) override { return disk_.stat_file_system(fd); }
  bool keeps_order_of_names(int fd) override { return disk_.keeps_order_of_names(fd); }
  Result<void> change_mode(int fd, mode_t mode) override {
    KMSFS_TRY(change());
    return disk_.change_mode(fd, mode);
  }
  Result<void> change_owner(int fd, uid_t uid, gid_t gid) override {
    KMSFS_TRY(change());
    return disk_.change_owner(fd, uid, gid);
  }
  Result<void> change_times(int fd, const timespec (&times)[2]) override {
    KMSFS_TRY(change());
    return disk_.change_times(fd, times);
  }
  Result<void> set_xattr(int fd, const std::string& name, ByteView value, int flags) override {
    KMSFS_TRY(change());
    return disk_.set_xattr(fd, name, value, flags);
  }
  Result<Bytes> get_xattr(int fd, const std::string& name) override { return disk_.get_xattr(fd, name); }
  Result<std::vector<std::string>> list_xattr(int fd) override { return disk_.list_xattr(fd); }
  Result<void> remove_xattr(int fd, const std::string& name) override {
    KMSFS_TRY(change());
    return disk_.remove_xattr(fd, name);
  }

 private:
  static constexpr int kNever = 1 << 30;

  Result<void> change() {
    if (countdown_.fetch_sub(1) == 0) return Error::from_errno(error_number_);
    return {};
  }

  RealDisk disk_;
  std::atomic<int> countdown_{kNever};
  std::atomic<int> error_number_{0};
};

}  // namespace kmsfs::testing
