// A Disk that does everything on a real directory and writes down what it did, so that the directory can be
// rebuilt as a crash would have left it at any point.
//
// What is recorded: changes of names, sizes and attributes ("metadata", which journalling file systems make
// durable in order), pages of data (which reach the disk in any order, or not at all), and syncs. Objects are
// known by a number, given when the recorder first meets them; what stands in the directory at the start is
// numbered by walking it, in the order of its sorted paths.
// Threads: any; calls are recorded in the order in which they were done, one at a time.
#pragma once

#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <tuple>
#include <vector>

#include "fs/disk.h"

namespace kmsfs::crash {

using ObjectId = std::size_t;
inline constexpr ObjectId kNoObject = ~std::size_t{0};

struct Operation {
  enum class Type {
    kCreateFile,
    kCreateUnnamed,
    kMakeDirectory,
    kMakeNode,
    kSymlink,
    kLink,
    kUnlink,
    kRename,
    kResize,
    kAllocate,
    kMode,
    kOwner,
    kTimes,
    kSetAttribute,
    kRemoveAttribute,  // metadata up to here
    kWrite,            // data
    kSync              // of one object
  };
  Type type{};
  ObjectId object = kNoObject;     // what is made or changed
  ObjectId directory = kNoObject;  // where its name stands
  std::string name;
  ObjectId new_directory = kNoObject;
  std::string new_name;  // of a rename; the target of a symbolic link; the name of an attribute
  std::uint64_t offset = 0, size = 0;
  int flags = 0;
  mode_t mode = 0;
  dev_t device = 0;
  Bytes data;
  bool extends = false;  // a write that itself made the file longer
  timespec times[2] = {};
  uid_t uid = 0;
  gid_t gid = 0;

  bool is_metadata() const { return type < Type::kWrite; }
  std::string to_string() const;
};

class RecordingDisk final : public Disk {
 public:
  // `before_change`, if given, is called before each change with the number of those done so far.
  explicit RecordingDisk(const std::string& directory, std::function<void(std::size_t)> before_change = {});

  // What was recorded so far. No call may run.
  const std::vector<Operation>& operations() const { return operations_; }
  std::size_t count();
  // Be a file system that keeps no order of names.
  void keep_no_order() { keeps_order_ = false; }

  Result<UniqueFd> open_at(int directory, const std::string& name, int flags, mode_t mode) override;
  Result<UniqueFd> reopen(int path_fd, int flags) override { return disk_.reopen(path_fd, flags); }
  Result<std::size_t> read_at(int fd, std::uint64_t offset, ByteSpan out) override {
    return disk_.read_at(fd, offset, out);
  }
  Result<void> write_at(int fd, std::uint64_t offset, ByteView data) override;
  Result<void> resize(int fd, std::uint64_t size) override;
  Result<void> sync(int fd) override;
  Result<void> sync_data(int fd) override;
  Result<void> allocate(int fd, int mode, std::uint64_t offset, std::uint64_t size) override;
  Result<std::uint64_t> seek(int fd, std::uint64_t offset, int whence) override {
    return disk_.seek(fd, offset, whence);
  }
  Result<void> make_directory_at(int directory, const std::string& name, mode_t mode) override;
  Result<void> make_node_at(int directory, const std::string& name, mode_t mode, dev_t device) override;
  Result<void> symlink_at(const std::string& target, int directory, const std::string& name) override;
  Result<std::string> read_link(int path_fd) override { return disk_.read_link(path_fd); }
  Result<std::string> read_link_at(int directory, const std::string& name) override {
    return disk_.read_link_at(directory, name);
  }
  Result<void> link_at(int path_fd, int directory, const std::string& name) override;
  Result<void> unlink_at(int directory, const std::string& name, int flags) override;
  Result<void> rename_at(int from, const std::string& old_name, int to, const std::string& new_name,
                         unsigned flags) override;
  Result<struct stat> stat(int fd) override { return disk_.stat(fd); }
  Result<struct stat> stat_at(int directory, const std::string& name) override {
    return disk_.stat_at(directory, name);
  }
  Result<std::optional<timespec>> birth_time(int fd) override { return disk_.birth_time(fd); }
  Result<struct statvfs> stat_file_system(int fd) override { return disk_.stat_file_system(fd); }
  bool keeps_order_of_names(int) override { return keeps_order_; }
  Result<void> change_mode(int fd, mode_t mode) override;
  Result<void> change_owner(int fd, uid_t uid, gid_t gid) override;
  Result<void> change_times(int fd, const timespec (&times)[2]) override;
  Result<void> set_xattr(int fd, const std::string& name, ByteView value, int flags) override;
  Result<Bytes> get_xattr(int fd, const std::string& name) override { return disk_.get_xattr(fd, name); }
  Result<std::vector<std::string>> list_xattr(int fd) override { return disk_.list_xattr(fd); }
  Result<void> remove_xattr(int fd, const std::string& name) override;

 private:
  // Inode numbers are used again after a removal; with the time of birth they are not.
  using Identity = std::tuple<dev_t, ino_t, std::int64_t, std::uint32_t>;
  static Identity identity_of(int fd, const std::string& name);
  ObjectId object_of(int fd, const std::string& name = {});
  void record(Operation operation) { operations_.push_back(std::move(operation)); }
  void announce() const {
    if (before_change_) before_change_(operations_.size());
  }
  Operation change_of(Operation::Type type, int fd);
  Result<void> make_entry(Operation::Type type, int directory, const std::string& name, mode_t mode,
                          dev_t device, const std::string& target);

  RealDisk disk_;
  const std::function<void(std::size_t)> before_change_;
  bool keeps_order_ = true;
  std::mutex mutex_;
  std::map<Identity, ObjectId> objects_;
  std::vector<Operation> operations_;
};

// The paths of a tree below a directory, "" for itself first, sorted: the order in which objects are
// numbered.
std::vector<std::string> sorted_paths(const std::string& directory);

}  // namespace kmsfs::crash
