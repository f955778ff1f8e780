// Names: looking up, making, removing, renaming.
#include "fs/fuse_front_parts.h"

namespace kmsfs::front {
namespace {

void lookup(fuse_req_t request, fuse_ino_t parent, const char* name) {
  auto entry = files_of(request).lookup(parent, name);
  // The kernel remembers that there is no such name, too.
  if (!entry && to_errno(entry.error()) == ENOENT) {
    fuse_entry_param none{};
    none.entry_timeout = front_of(request).timeout();
    fuse_reply_entry(request, &none);
    return;
  }
  reply_entry(request, entry);
}

void forget(fuse_req_t request, fuse_ino_t node, std::uint64_t lookups) {
  files_of(request).forget(node, lookups);
  fuse_reply_none(request);
}

void forget_multi(fuse_req_t request, std::size_t count, fuse_forget_data* list) {
  for (std::size_t i = 0; i < count; ++i) files_of(request).forget(list[i].ino, list[i].nlookup);
  fuse_reply_none(request);
}

void readlink(fuse_req_t request, fuse_ino_t node) {
  auto target = files_of(request).read_link(node);
  if (!target) return reply_error(request, target.error());
  fuse_reply_readlink(request, target->c_str());
}

void mknod(fuse_req_t request, fuse_ino_t parent, const char* name, mode_t mode, dev_t device) {
  reply_entry(request, as_caller(creator_of(request), [&](const Caller& caller) {
                return files_of(request).make_node(parent, name, mode, device, caller);
              }));
}

void mkdir(fuse_req_t request, fuse_ino_t parent, const char* name, mode_t mode) {
  reply_entry(request, as_caller(creator_of(request), [&](const Caller& caller) {
                return files_of(request).make_directory(parent, name, mode & 07777, caller);
              }));
}

void symlink(fuse_req_t request, const char* target, fuse_ino_t parent, const char* name) {
  reply_entry(request, as_caller(creator_of(request), [&](const Caller& caller) {
                return files_of(request).make_symlink(parent, name, target, caller);
              }));
}

void link(fuse_req_t request, fuse_ino_t node, fuse_ino_t parent, const char* name) {
  reply_entry(request, files_of(request).make_link(node, parent, name, caller_of(request)));
}

void unlink(fuse_req_t request, fuse_ino_t parent, const char* name) {
  reply_done(request, files_of(request).unlink(parent, name));
}

void rmdir(fuse_req_t request, fuse_ino_t parent, const char* name) {
  reply_done(request, files_of(request).remove_directory(parent, name));
}

void rename(fuse_req_t request, fuse_ino_t parent, const char* name, fuse_ino_t new_parent,
            const char* new_name, unsigned flags) {
  reply_done(request, files_of(request).rename(parent, name, new_parent, new_name, flags));
}

}  // namespace

void add_entry_operations(fuse_lowlevel_ops& operations) {
  operations.lookup = lookup;
  operations.forget = forget;
  operations.forget_multi = forget_multi;
  operations.readlink = readlink;
  operations.mknod = mknod;
  operations.mkdir = mkdir;
  operations.symlink = symlink;
  operations.link = link;
  operations.unlink = unlink;
  operations.rmdir = rmdir;
  operations.rename = rename;
}

}  // namespace kmsfs::front
