// The FileSystem is the POSIX view of a volume: nodes, handles and the operations on them. It knows nothing
// of FUSE; the FUSE front and the tests drive it directly.
//
// Always: one inode object per backing (st_dev, st_ino): one lock, one data key, one header, shared by all
// handles and paths. Backing access is by *at() calls under a directory descriptor, never following links;
// what is not a regular file is never opened. Errors become errno in one place (fs/errno.h): denied EACCES,
// disabled EKEYREVOKED, gone ENOKEY, expired EKEYEXPIRED, corrupt EIO, unknown format EOPNOTSUPP. The KMS is
// asked (through the key cache) by create and by the first open of a file, never by lookup, get_attributes,
// read_directory, rename, unlink, chmod, or by reads and writes of an open file whose key is fresh.
// Threads: any, together. Lock order: directories (by node id), then inode, then node table; none is held
// across a KMS call or a call of the Notifier. The process's umask is set to 0 by make(): modes come from the
// caller.
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
#include "fs/caller_identity.h"
#include "fs/disk.h"
#include "fs/node_table.h"
#include "fs/program_locks.h"
#include "fs/volume.h"
#include "keycache/key_cache.h"

namespace kmsfs {

using HandleId = std::uint64_t;  // an open file or directory

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
  bool kill_privileges = false;    // clear set-id bits and file capabilities, as write(2) does
  std::optional<HandleId> handle;  // the open file this comes through (ftruncate)
};

struct DirectoryEntry {
  std::string_view name;
  ino_t inode = 0;
  mode_t type = 0;         // S_IFMT bits
  std::uint64_t next = 0;  // the offset to go on from
  // With plus: looked up. nullptr for ".", "..", entries that vanished, and those of which the kernel knows
  // it all.
  const Entry* entry = nullptr;
};
// False: no room; the entry was not taken.
using DirectorySink = std::function<bool(const DirectoryEntry&)>;

struct FileSystemFigures {
  std::uint64_t nodes = 0, open_files = 0, descriptors = 0, corrupt = 0, denied = 0, repaired = 0,
                unreadable_names = 0, not_marked_clean = 0;
};

struct FileInformation {  // kmsfs info
  FileId file_id;
  std::string key_arn;             // the master key
  std::optional<BranchId> branch;  // whose key seals the data key, in a volume of that mode
  std::uint64_t plain_size = 0, backing_size = 0;
  bool clean = false, sparse = false;
  std::string stored_name;
};

class FileSystem {
 public:
  struct Options {
    bool read_only = false;
    bool as_caller = false;  // a root mount: create as the caller (uid, gid, supplementary groups)
    bool shared = false;     // other mounts change the volume meanwhile: docs/SHARING.md
    // The kernel caches writes (FUSE_WRITEBACK_CACHE), and tells their times by itself.
    bool kernel_keeps_times = false;
    bool selinux = false;  // this machine labels files; otherwise programs need not ask each for a label
    bool recover = false;  // the last mount on this host ended without unmounting: repair what that explains
    timespec recover_since{};  // ... in files whose backing change time is not older than this
    // Descriptors of directories kept for reuse; 0: a quarter of RLIMIT_NOFILE.
    std::size_t descriptor_budget = 0;
    std::size_t node_budget = 1 << 18;  // nodes known before cold ones are expired
    bool maintenance_thread = true;     // calls maintain() each second; tests do it themselves
  };
  // Called without locks, from a thread of the FileSystem's own where nothing else is said: they may wait for
  // operations that they cause.
  struct Notifier {
    // Write back, then drop the kernel's pages and attributes.
    std::function<void(NodeId)> invalidate_node = {};
    // (parent, name): drop the name, so that the kernel forgets the node if nobody uses it.
    std::function<void(NodeId, const std::string&)> expire_entry = {};
    // An operation changed attributes that it does not answer with. From within it: may not wait for others.
    std::function<void(NodeId)> forget_attributes = {};
  };

  // All references must outlive the FileSystem.
  static Result<std::unique_ptr<FileSystem>> make(Disk& disk, UniqueFd backing, const Volume& volume,
                                                  KeyCache& keys, const Clock& clock, Logger logger,
                                                  Options options);
  ~FileSystem();

  // Before the first operation. Without one, a revocation drops the keys of open files at once.
  void set_notifier(Notifier notifier);

  // Each success that returns an Entry counts one lookup, to be given back by forget(). A node id is never
  // used again for another file: its generation is always 0.
  Result<Entry> lookup(NodeId parent, std::string_view name);
  void forget(NodeId node, std::uint64_t lookups);
  Result<struct stat> get_attributes(NodeId node);
  Result<struct stat> set_attributes(NodeId node, const AttributeChange& change, const Caller& caller);
  Result<std::string> read_link(NodeId node);

  // When the file was made, for statx; nothing where the backing file system does not know.
  Result<std::optional<timespec>> birth_time(NodeId node);
  // A node by the st_ino that programs see; kNotFound if the kernel has forgotten it.
  Result<NodeId> find_node(ino_t inode);

  Result<Entry> make_node(NodeId parent, std::string_view name, mode_t mode, dev_t device,
                          const Caller& caller);
  Result<Entry> make_directory(NodeId parent, std::string_view name, mode_t mode, const Caller& caller);
  Result<Entry> make_symlink(NodeId parent, std::string_view name, std::string_view target,
                             const Caller& caller);
  Result<Entry> make_link(NodeId node, NodeId parent, std::string_view name, const Caller& caller);
  Result<void> unlink(NodeId parent, std::string_view name);
  Result<void> remove_directory(NodeId parent, std::string_view name);
  Result<void> rename(NodeId parent, std::string_view name, NodeId new_parent, std::string_view new_name,
                      unsigned flags);

  Result<Created> create(NodeId parent, std::string_view name, mode_t mode, int flags, const Caller& caller);
  // O_TMPFILE: an open file without a name; make_link() may give it one.
  Result<Created> create_unnamed(NodeId parent, mode_t mode, int flags, const Caller& caller);
  // Content changed by a caller without CAP_FSETID, `unprivileged`, loses its set-id bits and file
  // capability; whether the set-group-id bit of a file that its group may not execute goes depends on the
  // caller's groups. Of `flags` the access mode and O_TRUNC matter.
  Result<HandleId> open(NodeId node, int flags, const Caller* unprivileged = nullptr);
  // Between open() and its answer. The first time that somebody opens a small file since its node is known,
  // all of it goes to `give`, to be put into the kernel's cache: nobody else has the file open, and it cannot
  // change meanwhile. `room` is for the content. `give` may not wait for other operations.
  void opened(NodeId node, int flags, ByteSpan room, const std::function<void(ByteView)>& give);
  Result<std::size_t> read(NodeId node, HandleId handle, std::uint64_t offset, ByteSpan out);
  // Always at `offset`: for O_APPEND the kernel has put the end of the file there; with `append`, wherever
  // the file ends, because other mounts may have moved the end. from_page_cache (FUSE_WRITE_CACHE): the
  // program's write returned earlier, so it is still stored within a grace of 5 s after its key was
  // withdrawn.
  Result<void> write(NodeId node, HandleId handle, std::uint64_t offset, ByteView data,
                     const Caller* unprivileged = nullptr, bool from_page_cache = false, bool append = false);
  Result<void> flush(NodeId node, HandleId handle);
  // Locks of programs on a shared volume: see fs/program_locks.h.
  Result<void> lock(NodeId node, HandleId handle, const ProgramLocks::Owner& owner,
                    const ProgramLocks::Range& range, bool wait);
  Result<ProgramLocks::Range> find_lock(NodeId node, const ProgramLocks::Owner& owner,
                                        const ProgramLocks::Range& range);
  void unlock_all(const ProgramLocks::Owner& owner);
  void release(NodeId node, HandleId handle);
  Result<void> sync(NodeId node, HandleId handle, bool data_only);
  Result<void> allocate(NodeId node, HandleId handle, int mode, std::uint64_t offset, std::uint64_t size,
                        const Caller* unprivileged = nullptr);
  Result<std::uint64_t> seek(NodeId node, HandleId handle, std::uint64_t offset, int whence);
  Result<std::size_t> copy_range(NodeId from, HandleId from_handle, std::uint64_t from_offset, NodeId to,
                                 HandleId to_handle, std::uint64_t to_offset, std::size_t size,
                                 const Caller* unprivileged = nullptr);

  Result<HandleId> open_directory(NodeId node);
  // Offset 0 starts (and reads the directory anew); offsets stay valid while the volume is mounted, whatever
  // changes in the directory. Handle 0: of nobody who opened it.
  Result<void> read_directory(NodeId node, HandleId handle, std::uint64_t offset, bool plus,
                              const DirectorySink& sink);
  void release_directory(NodeId node, HandleId handle);
  Result<void> sync_directory(NodeId node);

  Result<struct statvfs> stat_file_system();
  // kill_set_group_id: an ACL set by somebody outside the file's group (FUSE_SETXATTR_ACL_KILL_SGID).
  Result<void> set_xattr(NodeId node, const std::string& name, ByteView value, int flags,
                         bool kill_set_group_id = false);
  Result<Bytes> get_xattr(NodeId node, const std::string& name);
  Result<std::vector<std::string>> list_xattr(NodeId node);
  Result<void> remove_xattr(NodeId node, const std::string& name);

  Result<FileInformation> information(NodeId node);
  FileSystemFigures figures() const;
  // Wipes the keys of files whose key is refused or expired and whose grace is over; lets the kernel forget
  // cold nodes.
  void maintain();
  // With Options::recover: repairs every file that a crash may have left unfinished. Runs by itself in a
  // thread of its own, unless maintenance_thread is false; what stopped it is logged, and the next mount has
  // to go on.
  Result<void> recover_all();
  // Nothing is left for the next mount to recover.
  bool recovered() const;
  // After shut_down(): no file was left half changed by a disk that took no change any more. One that was is
  // for the next mount to recover, as after a crash.
  bool finished() const;
  // At unmount: writes the state slots of all files still open. No operation may run or follow.
  void shut_down();

 private:
  Result<Created> open_existing(NodeId parent, std::string_view name, int flags, const Caller& caller);
  Result<void> recover_directory(NodeId directory, std::vector<NodeId>& waiting);
  Result<void> recover_file(NodeId node);

  struct State;
  explicit FileSystem(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace kmsfs
