// The seam of the disk: every call on the backing directory goes through a Disk.
//
// Names are relative to a directory descriptor and never followed if they are symbolic links. Calls retry
// EINTR and short transfers, so a read that comes back short met the end of the file, and a write is whole or
// an error. Errors carry errno (Error::from_errno with no text: these are hot paths; callers add what they
// were doing). Threads: any, together. Tests put a recording or faulty Disk here.
#pragma once

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "core/bytes.h"
#include "core/result.h"
#include "core/unique_fd.h"

namespace kmsfs {

class Disk {
 public:
  virtual ~Disk() = default;

  // Files. O_NOFOLLOW, O_CLOEXEC and (unless O_PATH) O_NONBLOCK and O_NOCTTY are added: a planted FIFO cannot
  // block us.
  virtual Result<UniqueFd> open_at(int directory, const std::string& name, int flags, mode_t mode = 0) = 0;
  // Opens again what an O_PATH descriptor names, with other flags.
  virtual Result<UniqueFd> reopen(int path_fd, int flags) = 0;
  virtual Result<std::size_t> read_at(int fd, std::uint64_t offset, ByteSpan out) = 0;
  virtual Result<void> write_at(int fd, std::uint64_t offset, ByteView data) = 0;
  virtual Result<void> resize(int fd, std::uint64_t size) = 0;
  virtual Result<void> sync(int fd) = 0;       // data and metadata: fsync(2)
  virtual Result<void> sync_data(int fd) = 0;  // fdatasync(2)
  virtual Result<void> allocate(int fd, int mode, std::uint64_t offset,
                                std::uint64_t size) = 0;                             // fallocate(2)
  virtual Result<std::uint64_t> seek(int fd, std::uint64_t offset, int whence) = 0;  // SEEK_DATA, SEEK_HOLE

  // Entries.
  virtual Result<void> make_directory_at(int directory, const std::string& name, mode_t mode) = 0;
  virtual Result<void> make_node_at(int directory, const std::string& name, mode_t mode, dev_t device) = 0;
  virtual Result<void> symlink_at(const std::string& target, int directory, const std::string& name) = 0;
  virtual Result<std::string> read_link(int path_fd) = 0;  // of an O_PATH descriptor
  virtual Result<std::string> read_link_at(int directory, const std::string& name) = 0;
  virtual Result<void> link_at(int path_fd, int directory,
                               const std::string& name) = 0;  // what path_fd names
  virtual Result<void> unlink_at(int directory, const std::string& name,
                                 int flags) = 0;  // flags: AT_REMOVEDIR
  virtual Result<void> rename_at(int from, const std::string& old_name, int to, const std::string& new_name,
                                 unsigned flags) = 0;  // renameat2(2)

  // Attributes. `fd` may be O_PATH.
  virtual Result<struct stat> stat(int fd) = 0;
  virtual Result<struct stat> stat_at(int directory, const std::string& name) = 0;
  virtual Result<std::optional<timespec>> birth_time(int fd) = 0;  // nullopt where the file system keeps none
  virtual Result<struct statvfs> stat_file_system(int fd) = 0;
  // Names become durable in the order in which they were made: docs/FORMAT.md, "Order of names". False if not
  // known.
  virtual bool keeps_order_of_names(int fd) = 0;
  virtual Result<void> change_mode(int fd, mode_t mode) = 0;
  virtual Result<void> change_owner(int fd, uid_t uid, gid_t gid) = 0;
  virtual Result<void> change_times(int fd, const timespec (&times)[2]) = 0;  // as utimensat(2)
  virtual Result<void> set_xattr(int fd, const std::string& name, ByteView value, int flags) = 0;
  virtual Result<Bytes> get_xattr(int fd, const std::string& name) = 0;
  virtual Result<std::vector<std::string>> list_xattr(int fd) = 0;
  virtual Result<void> remove_xattr(int fd, const std::string& name) = 0;
};

// The kernel's.
class RealDisk final : public Disk {
 public:
  Result<UniqueFd> open_at(int directory, const std::string& name, int flags, mode_t mode) override;
  Result<UniqueFd> reopen(int path_fd, int flags) override;
  Result<std::size_t> read_at(int fd, std::uint64_t offset, ByteSpan out) override;
  Result<void> write_at(int fd, std::uint64_t offset, ByteView data) override;
  Result<void> resize(int fd, std::uint64_t size) override;
  Result<void> sync(int fd) override;
  Result<void> sync_data(int fd) override;
  Result<void> allocate(int fd, int mode, std::uint64_t offset, std::uint64_t size) override;
  Result<std::uint64_t> seek(int fd, std::uint64_t offset, int whence) override;
  Result<void> make_directory_at(int directory, const std::string& name, mode_t mode) override;
  Result<void> make_node_at(int directory, const std::string& name, mode_t mode, dev_t device) override;
  Result<void> symlink_at(const std::string& target, int directory, const std::string& name) override;
  Result<std::string> read_link(int path_fd) override;
  Result<std::string> read_link_at(int directory, const std::string& name) override;
  Result<void> link_at(int path_fd, int directory, const std::string& name) override;
  Result<void> unlink_at(int directory, const std::string& name, int flags) override;
  Result<void> rename_at(int from, const std::string& old_name, int to, const std::string& new_name,
                         unsigned flags) override;
  Result<struct stat> stat(int fd) override;
  Result<struct stat> stat_at(int directory, const std::string& name) override;
  Result<std::optional<timespec>> birth_time(int fd) override;
  Result<struct statvfs> stat_file_system(int fd) override;
  bool keeps_order_of_names(int fd) override;
  Result<void> change_mode(int fd, mode_t mode) override;
  Result<void> change_owner(int fd, uid_t uid, gid_t gid) override;
  Result<void> change_times(int fd, const timespec (&times)[2]) override;
  Result<void> set_xattr(int fd, const std::string& name, ByteView value, int flags) override;
  Result<Bytes> get_xattr(int fd, const std::string& name) override;
  Result<std::vector<std::string>> list_xattr(int fd) override;
  Result<void> remove_xattr(int fd, const std::string& name) override;
};

}  // namespace kmsfs
