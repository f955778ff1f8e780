// Locks: only shared mounts ask the kernel for them.
#include <sys/file.h>

#include "fs/fuse_front_parts.h"

namespace kmsfs::front {
namespace {

ProgramLocks::Owner owner_of(fuse_ino_t node, const fuse_file_info& file, bool whole_file) {
  return {node, whole_file, file.lock_owner};
}

void getlk(fuse_req_t request, fuse_ino_t node, fuse_file_info* file, struct flock* wanted) {
  auto found = files_of(request).find_lock(node, owner_of(node, *file, false),
                                           {wanted->l_type, wanted->l_start, wanted->l_len});
  if (!found) return reply_error(request, found.error());
  wanted->l_type = found->type;
  wanted->l_start = found->start;
  wanted->l_len = found->length;
  wanted->l_pid = 0;  // another mount's process means nothing here
  fuse_reply_lock(request, wanted);
}

void setlk(fuse_req_t request, fuse_ino_t node, fuse_file_info* file, struct flock* wanted, int wait) {
  reply_done(request, files_of(request).lock(node, file->fh, owner_of(node, *file, false),
                                             {wanted->l_type, wanted->l_start, wanted->l_len}, wait != 0));
}

void flock(fuse_req_t request, fuse_ino_t node, fuse_file_info* file, int operation) {
  const int what = operation & ~LOCK_NB;
  const auto type = static_cast<short>(what == LOCK_EX ? F_WRLCK : what == LOCK_SH ? F_RDLCK : F_UNLCK);
  reply_done(request, files_of(request).lock(node, file->fh, owner_of(node, *file, true), {type, 0, 0},
                                             (operation & LOCK_NB) == 0));
}

// Nothing is held back at close, so only locks make it worth a request: ENOSYS once spares all others.
void flush(fuse_req_t request, fuse_ino_t node, fuse_file_info* file) {
  if (!front_of(request).shared()) {
    fuse_reply_err(request, ENOSYS);
    return;
  }
  files_of(request).unlock_all(owner_of(node, *file, false));
  fuse_reply_err(request, 0);
}

}  // namespace

void add_lock_operations(fuse_lowlevel_ops& operations) {
  operations.getlk = getlk;
  operations.setlk = setlk;
  operations.flock = flock;
  operations.flush = flush;
}

}  // namespace kmsfs::front
