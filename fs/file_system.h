// The FileSystem is the POSIX view of a volume: nodes, handles and the operations on them. It knows nothing of FUSE; the FUSE
// front and the tests drive it directly.
//
// Always: one inode object per backing (st_dev, st_ino): one lock, one data key, one header, shared by all handles and paths.
// Backing access is by *at() calls under a directory descriptor, never following links; what is not a regular file is never
// opened. Errors become errno in one place (fs/errno.h): denied EACCES, disabled EKEYREVOKED, gone ENOKEY, expired EKEYEXPIRED,
// corrupt EIO, unknown format EOPNOTSUPP.
// The KMS is asked (through the key cache) by create and by the first open of a file, never by lookup, get_attributes,
// read_directory, rename, unlink, chmod, or by reads and writes of an open file whose key is fresh.
// Threads: any, together. Lock order: table, then directory, then inode; none is held across a KMS call.
#pragma once

#include <sys/stat.h>
#include <sys/statvfs.h>

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/clock.h"
#include "core/log.h"
#include "core/unique_fd.h"
#include "fs/disk.h"
#include "fs/volume.h"
#include "keycache/key_cache.h"

namespace kmsfs {

using NodeId = std::uint64_t;    // what the kernel calls nodeid; the root is 1
using HandleId = std::uint64_t;  // an open file or directory

inline constexpr NodeId kRootNode = 1;

// Who asks, for ownership of what is created. Permission itself is checked by the kernel (default_permissions).
struct Caller {
  uid_t uid = 0;
  gid_t gid = 0;
  pid_t pid = 0;
  mode_t umask = 0;  // already applied by the kernel unless ACL defaults are in play (DONT_MASK)
  std::optional<std::vector<gid_t>> groups;  // supplementary, if the kernel told; otherwise looked up by pid when needed
};

struct Entry {
  NodeId node = 0;
  struct stat attributes {};
};

struct Created {
  Entry entry;
  HandleId handle = 0;
};

struct AttributeChange {
  std::optional<mode_t> mode;
  std::optional<uid_t> uid;
  std::optional<gid_t> gid;
  std::optional<std::uint64_t> size;
  std::optional<timespec> access_time;  // tv_nsec may be UTIME_NOW
  std::optional<timespec> modification_time;
  bool kill_privileges = false;         // clear set-id bits and file capabilities, as write(2) does
  std::optional<HandleId> handle;       // the open file this comes through (ftruncate)
};

struct DirectoryEntry {
  std::string_view name;
  ino_t inode = 0;
  mode_t type = 0;           // S_IFMT bits
  std::uint64_t next = 0;    // the offset to go on from
  const Entry* entry = nullptr;  // with plus: looked up; nullptr for "." and ".." and entries that vanished
};
// False: no room; the entry was not taken.
using DirectorySink = std::function<bool(const DirectoryEntry&)>;

struct FileSystemFigures {
  std::uint64_t nodes = 0, open_files = 0, descriptors = 0, corrupt = 0, denied = 0, repaired = 0, unreadable_names = 0;
};

struct FileInformation {  // kmsfs info
  FileId file_id;
  std::string key_arn;
  std::uint64_t plain_size = 0, backing_size = 0;
  bool clean = false, sparse = false;
  std::string stored_name;
};

class FileSystem {
 public:
  struct Options {
    bool read_only = false;
    bool writeback = true;      // the kernel caches writes: every backing file is opened for reading too, never O_APPEND
    bool as_caller = false;     // a root mount: create as the caller (uid, gid, supplementary groups)
    bool recover = false;       // the last mount on this host ended without unmounting: repair what that explains
    timespec recover_since{};   // ... in files whose backing change time is not older than this
    std::size_t descriptor_budget = 0;  // O_PATH descriptors kept; 0: from RLIMIT_NOFILE
  };
  // Both called without locks held, from a thread that is not inside a handler of the same node.
  struct Notifier {
    std::function<void(NodeId)> invalidate_node;                       // drop the kernel's pages and attributes
    std::function<void(NodeId, const std::string&)> expire_entry;      // let the kernel forget a cold entry
  };

  // All references must outlive the FileSystem.
  static Result<std::unique_ptr<FileSystem>> make(Disk& disk, UniqueFd backing, const Volume& volume, KeyCache& keys,
                                                  const Clock& clock, Logger logger, Options options);
  ~FileSystem();

  void set_notifier(Notifier notifier);

  // Each success that returns an Entry counts one lookup, to be given back by forget().
  Result<Entry> lookup(NodeId parent, std::string_view name);
  void forget(NodeId node, std::uint64_t lookups);
  Result<struct stat> get_attributes(NodeId node);
  Result<struct stat> set_attributes(NodeId node, const AttributeChange& change, const Caller& caller);
  Result<std::string> read_link(NodeId node);

  Result<Entry> make_node(NodeId parent, std::string_view name, mode_t mode, dev_t device, const Caller& caller);
  Result<Entry> make_directory(NodeId parent, std::string_view name, mode_t mode, const Caller& caller);
  Result<Entry> make_symlink(NodeId parent, std::string_view name, std::string_view target, const Caller& caller);
  Result<Entry> make_link(NodeId node, NodeId parent, std::string_view name, const Caller& caller);
  Result<void> unlink(NodeId parent, std::string_view name);
  Result<void> remove_directory(NodeId parent, std::string_view name);
  Result<void> rename(NodeId parent, std::string_view name, NodeId new_parent, std::string_view new_name, unsigned flags);

  Result<Created> create(NodeId parent, std::string_view name, mode_t mode, int flags, const Caller& caller);
  // kill_privileges: with O_TRUNC, clear set-id bits.
  Result<HandleId> open(NodeId node, int flags, bool kill_privileges, const Caller& caller);
  Result<std::size_t> read(NodeId node, HandleId handle, std::uint64_t offset, ByteSpan out);
  Result<void> write(NodeId node, HandleId handle, std::uint64_t offset, ByteView data, bool kill_privileges);
  Result<void> flush(NodeId node, HandleId handle);
  void release(NodeId node, HandleId handle);
  Result<void> sync(NodeId node, HandleId handle, bool data_only);
  Result<void> allocate(NodeId node, HandleId handle, int mode, std::uint64_t offset, std::uint64_t size);
  Result<std::uint64_t> seek(NodeId node, HandleId handle, std::uint64_t offset, int whence);
  Result<std::size_t> copy_range(NodeId from, HandleId from_handle, std::uint64_t from_offset, NodeId to,
                                 HandleId to_handle, std::uint64_t to_offset, std::size_t size);

  Result<HandleId> open_directory(NodeId node);
  // Offset 0 starts (and reads the directory anew); offsets stay valid while the handle is open.
  Result<void> read_directory(NodeId node, HandleId handle, std::uint64_t offset, bool plus, const DirectorySink& sink);
  void release_directory(NodeId node, HandleId handle);
  Result<void> sync_directory(NodeId node);

  Result<struct statvfs> stat_file_system();
  Result<void> set_xattr(NodeId node, const std::string& name, ByteView value, int flags);
  Result<Bytes> get_xattr(NodeId node, const std::string& name);
  Result<std::vector<std::string>> list_xattr(NodeId node);
  Result<void> remove_xattr(NodeId node, const std::string& name);

  Result<FileInformation> information(NodeId node);
  FileSystemFigures figures() const;
  // At unmount: writes the state slots of all files still open. No operation may run or follow.
  void shut_down();

 private:
  struct State;
  explicit FileSystem(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace kmsfs
