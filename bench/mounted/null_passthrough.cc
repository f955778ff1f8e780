// A file system that passes everything on to a directory and encrypts nothing: what kmsfs's transport, the
// kernel and the calls below cost without it. Options, INIT flags, timeouts and limits are those of kmsfs.
//
//   null_passthrough SOURCE MOUNTPOINT [OPTION]
//
// OPTION: one of kmsfs's, as transport=device. It returns when it is mounted, and serves until it is
// unmounted. For measuring only: it serves root and believes its kernel.
#include <dirent.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <cstring>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>

#include "core/unique_fd.h"
#include "fs/fuse_library.h"
#include "fs/fuse_mount.h"
#include "fs/fuse_ring_transport.h"

namespace kmsfs {
namespace {

constexpr double kTimeout = 86400;
constexpr unsigned kWorkers = 4;

// What the kernel knows by its node id, which is this object's address.
struct Node {
  UniqueFd path;  // O_PATH
  std::uint64_t inode = 0;
  std::uint64_t lookups = 0;  // under Files::mutex
};

struct OpenDirectory {
  explicit OpenDirectory(DIR* stream) : entries(stream) {}
  ~OpenDirectory() { ::closedir(entries); }
  DIR* const entries;
  const dirent* pending = nullptr;
  off_t at = 0;
};

struct Files {
  Node root;
  std::mutex mutex;
  std::unordered_map<std::uint64_t, std::unique_ptr<Node>> nodes;  // by inode number: one disk
};

Files& files_of(fuse_req_t request) { return *static_cast<Files*>(fuse_req_userdata(request)); }
Node& node_of(fuse_req_t request, fuse_ino_t id) {
  return id == FUSE_ROOT_ID ? files_of(request).root : *reinterpret_cast<Node*>(id);  // NOLINT
}
int fd_of(fuse_req_t request, fuse_ino_t id) { return node_of(request, id).path.get(); }
int handle_of(const fuse_file_info* file) { return static_cast<int>(file->fh); }
std::string in_proc(int fd) { return "/proc/self/fd/" + std::to_string(fd); }

void reply_result(fuse_req_t request, int result) { fuse_reply_err(request, result == -1 ? errno : 0); }

// Another reference to the entry; an errno if there is none.
int find(fuse_req_t request, fuse_ino_t parent, const char* name, fuse_entry_param& entry) {
  UniqueFd path(::openat(fd_of(request, parent), name, O_PATH | O_NOFOLLOW | O_CLOEXEC));
  if (!path || ::fstatat(path.get(), "", &entry.attr, AT_EMPTY_PATH) != 0) return errno;
  Files& files = files_of(request);
  const std::lock_guard lock(files.mutex);
  auto& node = files.nodes[entry.attr.st_ino];
  if (!node) {
    node = std::make_unique<Node>();
    node->path = std::move(path);
    node->inode = entry.attr.st_ino;
  }
  ++node->lookups;
  entry.ino = reinterpret_cast<fuse_ino_t>(node.get());
  entry.attr_timeout = entry.entry_timeout = kTimeout;
  return 0;
}

void forget_node(Files& files, fuse_ino_t id, std::uint64_t lookups) {
  if (id == FUSE_ROOT_ID) return;
  const std::lock_guard lock(files.mutex);
  Node* node = reinterpret_cast<Node*>(id);  // NOLINT
  if ((node->lookups -= lookups) == 0) files.nodes.erase(node->inode);
}

void reply_found(fuse_req_t request, fuse_ino_t parent, const char* name) {
  fuse_entry_param entry{};
  const int failed = find(request, parent, name, entry);
  if (failed == ENOENT) {
    entry.entry_timeout = kTimeout;  // that there is none may be remembered, too
  } else if (failed != 0) {
    fuse_reply_err(request, failed);
    return;
  }
  if (fuse_reply_entry(request, &entry) != 0 && failed == 0) forget_node(files_of(request), entry.ino, 1);
}

void reply_attributes(fuse_req_t request, fuse_ino_t id) {
  struct stat attributes {};
  if (::fstatat(fd_of(request, id), "", &attributes, AT_EMPTY_PATH) != 0) return reply_result(request, -1);
  fuse_reply_attr(request, &attributes, kTimeout);
}

void forget(fuse_req_t request, fuse_ino_t id, std::uint64_t lookups) {
  forget_node(files_of(request), id, lookups);
  fuse_reply_none(request);
}

void forget_multi(fuse_req_t request, std::size_t count, fuse_forget_data* list) {
  for (std::size_t i = 0; i < count; ++i) forget_node(files_of(request), list[i].ino, list[i].nlookup);
  fuse_reply_none(request);
}

void getattr(fuse_req_t request, fuse_ino_t id, fuse_file_info*) { reply_attributes(request, id); }

void setattr(fuse_req_t request, fuse_ino_t id, struct stat* to, int what, fuse_file_info*) {
  const std::string path = in_proc(fd_of(request, id));
  int result = 0;
  if ((what & FUSE_SET_ATTR_MODE) != 0) result |= ::chmod(path.c_str(), to->st_mode);
  if ((what & (FUSE_SET_ATTR_UID | FUSE_SET_ATTR_GID)) != 0) {
    const uid_t uid = (what & FUSE_SET_ATTR_UID) != 0 ? to->st_uid : static_cast<uid_t>(-1);
    const gid_t gid = (what & FUSE_SET_ATTR_GID) != 0 ? to->st_gid : static_cast<gid_t>(-1);
    result |= ::fchownat(fd_of(request, id), "", uid, gid, AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW);
  }
  if ((what & FUSE_SET_ATTR_SIZE) != 0) result |= ::truncate(path.c_str(), to->st_size);
  if ((what & (FUSE_SET_ATTR_ATIME | FUSE_SET_ATTR_MTIME)) != 0) {
    timespec times[2] = {{0, UTIME_OMIT}, {0, UTIME_OMIT}};
    if ((what & FUSE_SET_ATTR_ATIME_NOW) != 0)
      times[0].tv_nsec = UTIME_NOW;
    else if ((what & FUSE_SET_ATTR_ATIME) != 0)
      times[0] = to->st_atim;
    if ((what & FUSE_SET_ATTR_MTIME_NOW) != 0)
      times[1].tv_nsec = UTIME_NOW;
    else if ((what & FUSE_SET_ATTR_MTIME) != 0)
      times[1] = to->st_mtim;
    result |= ::utimensat(AT_FDCWD, path.c_str(), times, 0);
  }
  if (result != 0) return reply_result(request, -1);
  reply_attributes(request, id);
}

void readlink(fuse_req_t request, fuse_ino_t id) {
  std::string target(PATH_MAX, '\0');
  const ssize_t size = ::readlinkat(fd_of(request, id), "", target.data(), target.size() - 1);
  if (size < 0) return reply_result(request, -1);
  target[static_cast<std::size_t>(size)] = '\0';
  fuse_reply_readlink(request, target.c_str());
}

void mkdir(fuse_req_t request, fuse_ino_t parent, const char* name, mode_t mode) {
  if (::mkdirat(fd_of(request, parent), name, mode) != 0) return reply_result(request, -1);
  reply_found(request, parent, name);
}

void mknod(fuse_req_t request, fuse_ino_t parent, const char* name, mode_t mode, dev_t device) {
  if (::mknodat(fd_of(request, parent), name, mode, device) != 0) return reply_result(request, -1);
  reply_found(request, parent, name);
}

void symlink(fuse_req_t request, const char* target, fuse_ino_t parent, const char* name) {
  if (::symlinkat(target, fd_of(request, parent), name) != 0) return reply_result(request, -1);
  reply_found(request, parent, name);
}

void link(fuse_req_t request, fuse_ino_t id, fuse_ino_t parent, const char* name) {
  const std::string path = in_proc(fd_of(request, id));
  if (::linkat(AT_FDCWD, path.c_str(), fd_of(request, parent), name, AT_SYMLINK_FOLLOW) != 0) {
    return reply_result(request, -1);
  }
  reply_found(request, parent, name);
}

void unlink(fuse_req_t request, fuse_ino_t parent, const char* name) {
  reply_result(request, ::unlinkat(fd_of(request, parent), name, 0));
}

void rmdir(fuse_req_t request, fuse_ino_t parent, const char* name) {
  reply_result(request, ::unlinkat(fd_of(request, parent), name, AT_REMOVEDIR));
}

void rename(fuse_req_t request, fuse_ino_t from, const char* name, fuse_ino_t to, const char* new_name,
            unsigned flags) {
  reply_result(request, ::renameat2(fd_of(request, from), name, fd_of(request, to), new_name, flags));
}

// The kernel reads pages to complete them, and appends itself.
int flags_below(int flags) {
  if ((flags & O_ACCMODE) == O_WRONLY) flags = (flags & ~O_ACCMODE) | O_RDWR;
  return (flags & ~(O_APPEND | O_NOFOLLOW)) | O_CLOEXEC;
}

void create(fuse_req_t request, fuse_ino_t parent, const char* name, mode_t mode, fuse_file_info* file) {
  UniqueFd made(
      ::openat(fd_of(request, parent), name, flags_below(file->flags) | O_CREAT | O_NOFOLLOW, mode));
  if (!made) return reply_result(request, -1);
  fuse_entry_param entry{};
  if (const int failed = find(request, parent, name, entry); failed != 0) {
    fuse_reply_err(request, failed);
    return;
  }
  file->fh = static_cast<std::uint64_t>(made.get());
  file->keep_cache = 1;
  if (fuse_reply_create(request, &entry, file) == 0) static_cast<void>(made.release());
}

void open(fuse_req_t request, fuse_ino_t id, fuse_file_info* file) {
  UniqueFd opened(::open(in_proc(fd_of(request, id)).c_str(), flags_below(file->flags)));
  if (!opened) return reply_result(request, -1);
  file->fh = static_cast<std::uint64_t>(opened.get());
  file->keep_cache = 1;
  if (fuse_reply_open(request, file) == 0) static_cast<void>(opened.release());
}

void read(fuse_req_t request, fuse_ino_t, std::size_t size, off_t offset, fuse_file_info* file) {
  const ByteSpan buffer = current_request().reply_buffer;
  const ssize_t got = ::pread(handle_of(file), buffer.data(), std::min(size, buffer.size()), offset);
  if (got < 0) return reply_result(request, -1);
  fuse_reply_buf(request, as_text(buffer).data(), static_cast<std::size_t>(got));
}

void write(fuse_req_t request, fuse_ino_t, const char* data, std::size_t size, off_t offset,
           fuse_file_info* file) {
  const ssize_t put = ::pwrite(handle_of(file), data, size, offset);
  if (put < 0) return reply_result(request, -1);
  fuse_reply_write(request, static_cast<std::size_t>(put));
}

void release(fuse_req_t request, fuse_ino_t, fuse_file_info* file) {
  reply_result(request, ::close(handle_of(file)));
}

void fsync(fuse_req_t request, fuse_ino_t, int data_only, fuse_file_info* file) {
  reply_result(request, data_only != 0 ? ::fdatasync(handle_of(file)) : ::fsync(handle_of(file)));
}

void fallocate(fuse_req_t request, fuse_ino_t, int mode, off_t offset, off_t size, fuse_file_info* file) {
  reply_result(request, ::fallocate(handle_of(file), mode, offset, size));
}

OpenDirectory& directory_of(const fuse_file_info* file) {
  return *reinterpret_cast<OpenDirectory*>(file->fh);  // NOLINT
}

void opendir(fuse_req_t request, fuse_ino_t id, fuse_file_info* file) {
  UniqueFd opened(::openat(fd_of(request, id), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  DIR* entries = opened ? ::fdopendir(opened.get()) : nullptr;
  if (entries == nullptr) return reply_result(request, -1);
  static_cast<void>(opened.release());
  file->fh = reinterpret_cast<std::uint64_t>(new OpenDirectory(entries));  // until releasedir
  file->cache_readdir = file->keep_cache = 1;
  if (fuse_reply_open(request, file) != 0) delete &directory_of(file);
}

void list(fuse_req_t request, fuse_ino_t id, std::size_t size, off_t offset, fuse_file_info* file,
          bool plus) {
  OpenDirectory& directory = directory_of(file);
  if (offset != directory.at) {
    ::seekdir(directory.entries, offset);
    directory.pending = nullptr;
    directory.at = offset;
  }
  std::string buffer(size, '\0');
  std::size_t used = 0;
  while (true) {
    if (directory.pending == nullptr) directory.pending = ::readdir(directory.entries);
    const dirent* entry = directory.pending;
    if (entry == nullptr) break;
    const bool dots = std::strcmp(entry->d_name, ".") == 0 || std::strcmp(entry->d_name, "..") == 0;
    fuse_entry_param found{};
    found.attr.st_ino = entry->d_ino;
    found.attr.st_mode = static_cast<mode_t>(entry->d_type) << 12;
    if (plus && !dots && find(request, id, entry->d_name, found) != 0) found.ino = 0;
    char* to = buffer.data() + used;
    const std::size_t left = size - used;
    const std::size_t needed =
        plus ? fuse_add_direntry_plus(request, to, left, entry->d_name, &found, entry->d_off)
             : fuse_add_direntry(request, to, left, entry->d_name, &found.attr, entry->d_off);
    if (needed > left) {
      if (found.ino != 0) forget_node(files_of(request), found.ino, 1);
      break;
    }
    used += needed;
    directory.at = entry->d_off;
    directory.pending = nullptr;
  }
  fuse_reply_buf(request, buffer.data(), used);
}

void readdir(fuse_req_t request, fuse_ino_t id, std::size_t size, off_t offset, fuse_file_info* file) {
  list(request, id, size, offset, file, false);
}

void readdirplus(fuse_req_t request, fuse_ino_t id, std::size_t size, off_t offset, fuse_file_info* file) {
  list(request, id, size, offset, file, true);
}

void releasedir(fuse_req_t request, fuse_ino_t, fuse_file_info* file) {
  delete &directory_of(file);
  fuse_reply_err(request, 0);
}

void fsyncdir(fuse_req_t request, fuse_ino_t, int, fuse_file_info* file) {
  reply_result(request, ::fsync(::dirfd(directory_of(file).entries)));
}

void statfs(fuse_req_t request, fuse_ino_t) {
  struct statvfs figures {};
  if (::fstatvfs(files_of(request).root.path.get(), &figures) != 0) return reply_result(request, -1);
  fuse_reply_statfs(request, &figures);
}

// Its size alone, if no room was given for more.
void reply_value(fuse_req_t request, const std::string& value, ssize_t got) {
  if (got < 0) return reply_result(request, -1);
  const auto size = static_cast<std::size_t>(got);
  if (value.empty()) {
    fuse_reply_xattr(request, size);
  } else {
    fuse_reply_buf(request, value.data(), size);
  }
}

void getxattr(fuse_req_t request, fuse_ino_t id, const char* name, std::size_t size) {
  std::string value(size, '\0');
  const ssize_t got = ::getxattr(in_proc(fd_of(request, id)).c_str(), name, value.data(), size);
  reply_value(request, value, got);
}

void listxattr(fuse_req_t request, fuse_ino_t id, std::size_t size) {
  std::string names(size, '\0');
  const ssize_t got = ::listxattr(in_proc(fd_of(request, id)).c_str(), names.data(), size);
  reply_value(request, names, got);
}

void setxattr(fuse_req_t request, fuse_ino_t id, const char* name, const char* value, std::size_t size,
              int flags) {
  reply_result(request, ::setxattr(in_proc(fd_of(request, id)).c_str(), name, value, size, flags));
}

void removexattr(fuse_req_t request, fuse_ino_t id, const char* name) {
  reply_result(request, ::removexattr(in_proc(fd_of(request, id)).c_str(), name));
}

void init(void*, fuse_conn_info* connection) {
  connection->want = 0;  // flags are the transport's business
  connection->max_write = kMaxWrite;
}

Session make_session(Files& files) {
  fuse_lowlevel_ops operations{};
  operations.init = init;
  operations.lookup = reply_found;
  operations.forget = forget;
  operations.forget_multi = forget_multi;
  operations.getattr = getattr;
  operations.setattr = setattr;
  operations.readlink = readlink;
  operations.mkdir = mkdir;
  operations.mknod = mknod;
  operations.symlink = symlink;
  operations.link = link;
  operations.unlink = unlink;
  operations.rmdir = rmdir;
  operations.rename = rename;
  operations.create = create;
  operations.open = open;
  operations.read = read;
  operations.write = write;
  operations.release = release;
  operations.fsync = fsync;
  operations.fallocate = fallocate;
  operations.opendir = opendir;
  operations.readdir = readdir;
  operations.readdirplus = readdirplus;
  operations.releasedir = releasedir;
  operations.fsyncdir = fsyncdir;
  operations.statfs = statfs;
  operations.getxattr = getxattr;
  operations.listxattr = listxattr;
  operations.setxattr = setxattr;
  operations.removexattr = removexattr;
  std::string name = "null_passthrough";
  std::array<char*, 2> words{name.data(), nullptr};
  fuse_args arguments = FUSE_ARGS_INIT(1, words.data());
  Session session(fuse_session_new(&arguments, &operations, sizeof operations, &files));
  fuse_opt_free_args(&arguments);
  return session;
}

class NothingUnknown final : public UnknownRequests {
 public:
  RawAnswer answer(const FuseRequest&) override { return RawAnswer::failed(ENOSYS); }
  void undelivered(const FuseRequest&, const RawAnswer&) override {}
};

int give_up(const std::string& why) {
  std::fprintf(stderr, "null_passthrough: %s\n", why.c_str());
  return 1;
}

// The parent leaves as soon as the child has mounted, with its status.
int serve(const char* source, const char* mountpoint, std::string_view option, int announce) {
  ::umask(0);

  Files files;
  files.root.path.reset(::open(source, O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!files.root.path) return give_up(std::string(source) + ": " + std::strerror(errno));
  MountOptions options;
  options.mountpoint = mountpoint;
  options.source = source;
  options.subtype = "null";
  if (!option.empty() && !options.take(option)) return give_up(std::string(option));
  auto there = MountPoint::mount(options);
  if (!there) return give_up(there.error().text);
  NothingUnknown unknown;
  InitChoices choices;
  choices.check_permissions = options.kernel_checks_permissions();
  choices.busy_wait = options.busy_wait;
  auto transport = make_transport(options.transport, std::move(there->device), make_session(files), unknown,
                                  kWorkers, choices, make_null_logger());
  if (!transport) return give_up(transport.error().text);
  if (auto started = (*transport)->start(); !started) return give_up(started.error().text);
  raise_kernel_limits(there->point.device());
  if (::write(announce, "", 1) != 1) return give_up("nobody waits for the mount");
  ::close(announce);
  (*transport)->wait();
  (*transport)->close();
  return 0;
}

}  // namespace
}  // namespace kmsfs

int main(int argument_count, char** arguments) {
  if (argument_count != 3 && argument_count != 4)
    return kmsfs::give_up("null_passthrough SOURCE MOUNTPOINT [OPTION]");
  std::array<int, 2> ready{};
  if (::pipe2(ready.data(), O_CLOEXEC) != 0) return kmsfs::give_up("no pipe");
  if (const pid_t child = ::fork(); child != 0) {
    ::close(ready[1]);
    char mounted = 0;
    return child > 0 && ::read(ready[0], &mounted, 1) == 1 ? 0 : 1;
  }
  ::setsid();
  ::close(ready[0]);
  // It holds a descriptor for each file that the kernel knows: a tree of 100,000 needs as many.
  const rlimit as_many{1 << 20, 1 << 20};
  rlimit allowed{};
  if (::setrlimit(RLIMIT_NOFILE, &as_many) != 0 && ::getrlimit(RLIMIT_NOFILE, &allowed) == 0) {
    allowed.rlim_cur = allowed.rlim_max;
    ::setrlimit(RLIMIT_NOFILE, &allowed);
  }
  return kmsfs::serve(arguments[1], arguments[2], argument_count == 4 ? arguments[3] : "", ready[1]);
}
