#include "fs/fuse_figures.h"

#include <cstring>

namespace kmsfs {
namespace {

const char* name_of(std::size_t opcode) {
  switch (opcode) {
    case FUSE_LOOKUP:
      return "lookup";
    case FUSE_FORGET:
      return "forget";
    case FUSE_GETATTR:
      return "getattr";
    case FUSE_SETATTR:
      return "setattr";
    case FUSE_READLINK:
      return "readlink";
    case FUSE_SYMLINK:
      return "symlink";
    case FUSE_MKNOD:
      return "mknod";
    case FUSE_MKDIR:
      return "mkdir";
    case FUSE_UNLINK:
      return "unlink";
    case FUSE_RMDIR:
      return "rmdir";
    case FUSE_RENAME:
      return "rename";
    case FUSE_LINK:
      return "link";
    case FUSE_OPEN:
      return "open";
    case FUSE_READ:
      return "read";
    case FUSE_WRITE:
      return "write";
    case FUSE_STATFS:
      return "statfs";
    case FUSE_RELEASE:
      return "release";
    case FUSE_FSYNC:
      return "fsync";
    case FUSE_SETXATTR:
      return "setxattr";
    case FUSE_GETXATTR:
      return "getxattr";
    case FUSE_LISTXATTR:
      return "listxattr";
    case FUSE_REMOVEXATTR:
      return "removexattr";
    case FUSE_FLUSH:
      return "flush";
    case FUSE_INIT:
      return "init";
    case FUSE_OPENDIR:
      return "opendir";
    case FUSE_READDIR:
      return "readdir";
    case FUSE_RELEASEDIR:
      return "releasedir";
    case FUSE_FSYNCDIR:
      return "fsyncdir";
    case FUSE_GETLK:
      return "getlk";
    case FUSE_SETLK:
      return "setlk";
    case FUSE_SETLKW:
      return "setlkw";
    case FUSE_ACCESS:
      return "access";
    case FUSE_CREATE:
      return "create";
    case FUSE_INTERRUPT:
      return "interrupt";
    case FUSE_BMAP:
      return "bmap";
    case FUSE_DESTROY:
      return "destroy";
    case FUSE_IOCTL:
      return "ioctl";
    case FUSE_POLL:
      return "poll";
    case FUSE_BATCH_FORGET:
      return "batch_forget";
    case FUSE_FALLOCATE:
      return "fallocate";
    case FUSE_READDIRPLUS:
      return "readdirplus";
    case FUSE_RENAME2:
      return "rename2";
    case FUSE_LSEEK:
      return "lseek";
    case FUSE_COPY_FILE_RANGE:
      return "copy_file_range";
    case FUSE_SYNCFS:
      return "syncfs";
    case FUSE_TMPFILE:
      return "tmpfile";
    case wire::kStatx:
      return "statx";
    case wire::kCopyFileRange64:
      return "copy_file_range_64";
    default:
      return "other";
  }
}

}  // namespace

void FuseCounters::add_to(FuseFigures& figures) const {
  for (std::size_t opcode = 0; opcode < requests_.size(); ++opcode) {
    if (const auto count = requests_[opcode].load(std::memory_order_relaxed))
      figures.operations[name_of(opcode)] += count;
  }
  for (std::size_t number = 0; number < errors_.size(); ++number) {
    const auto count = errors_[number].load(std::memory_order_relaxed);
    if (count == 0) continue;
    const char* name = ::strerrorname_np(static_cast<int>(number));
    figures.errors[name != nullptr ? name : "other"] += count;
  }
}

}  // namespace kmsfs
