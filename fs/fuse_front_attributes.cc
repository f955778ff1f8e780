// Attributes, extended attributes, and those of the whole volume. Who may change what, the kernel has
// checked, or nobody but root is let in.
#include "fs/fuse_front_parts.h"

namespace kmsfs::front {
namespace {

void getattr(fuse_req_t request, fuse_ino_t node, fuse_file_info*) {
  reply_attributes(request, files_of(request).get_attributes(node));
}

AttributeChange change_of(const struct stat& to, int what, const fuse_file_info* file) {
  const timespec now{0, UTIME_NOW};
  AttributeChange change;
  if ((what & FUSE_SET_ATTR_MODE) != 0) change.mode = to.st_mode & 07777;
  if ((what & FUSE_SET_ATTR_UID) != 0) change.uid = to.st_uid;
  if ((what & FUSE_SET_ATTR_GID) != 0) change.gid = to.st_gid;
  if ((what & FUSE_SET_ATTR_SIZE) != 0) change.size = static_cast<std::uint64_t>(to.st_size);
  if ((what & FUSE_SET_ATTR_ATIME) != 0) change.access_time = to.st_atim;
  if ((what & FUSE_SET_ATTR_MTIME) != 0) change.modification_time = to.st_mtim;
  if ((what & FUSE_SET_ATTR_ATIME_NOW) != 0) change.access_time = now;
  if ((what & FUSE_SET_ATTR_MTIME_NOW) != 0) change.modification_time = now;
  // The change time that the kernel also sends is the backing file system's to set.
  change.kill_privileges = (what & FATTR_KILL_SUIDGID) != 0;
  if (file != nullptr) change.handle = file->fh;
  return change;
}

void setattr(fuse_req_t request, fuse_ino_t node, struct stat* to, int what, fuse_file_info* file) {
  reply_attributes(request,
                   files_of(request).set_attributes(node, change_of(*to, what, file), caller_of(request)));
}

// The kernel asks only where it does not check itself: root may do anything, but run what nobody may run.
void access(fuse_req_t request, fuse_ino_t node, int rights) {
  if ((rights & X_OK) == 0) return reply_done(request, {});
  const auto attributes = files_of(request).get_attributes(node);
  if (!attributes) return reply_error(request, attributes.error());
  const bool may = S_ISDIR(attributes->st_mode) || (attributes->st_mode & 0111) != 0;
  fuse_reply_err(request, may ? 0 : EACCES);
}

void statfs(fuse_req_t request, fuse_ino_t) {
  auto figures = files_of(request).stat_file_system();
  if (!figures) return reply_error(request, figures.error());
  fuse_reply_statfs(request, &*figures);
}

// As getxattr(2) and listxattr(2): with no room, how much there would be.
void reply_value(fuse_req_t request, ByteView value, std::size_t room) {
  if (room == 0) {
    fuse_reply_xattr(request, value.size());
  } else if (value.size() > room) {
    fuse_reply_err(request, ERANGE);
  } else {
    fuse_reply_buf(request, as_text(value).data(), value.size());
  }
}

void setxattr(fuse_req_t request, fuse_ino_t node, const char* name, const char* value, std::size_t size,
              int flags) {
  const bool kill = (current_request().setxattr_flags & FUSE_SETXATTR_ACL_KILL_SGID) != 0;
  reply_done(request, files_of(request).set_xattr(node, name, as_bytes({value, size}), flags, kill));
}

void getxattr(fuse_req_t request, fuse_ino_t node, const char* name, std::size_t room) {
  auto value = files_of(request).get_xattr(node, name);
  if (!value) return reply_error(request, value.error());
  reply_value(request, *value, room);
}

void listxattr(fuse_req_t request, fuse_ino_t node, std::size_t room) {
  auto names = files_of(request).list_xattr(node);
  if (!names) return reply_error(request, names.error());
  std::string list;
  for (const std::string& name : *names) list.append(name).push_back('\0');
  reply_value(request, as_bytes(list), room);
}

void removexattr(fuse_req_t request, fuse_ino_t node, const char* name) {
  reply_done(request, files_of(request).remove_xattr(node, name));
}

}  // namespace

void add_attribute_operations(fuse_lowlevel_ops& operations) {
  operations.getattr = getattr;
  operations.setattr = setattr;
  operations.access = access;
  operations.statfs = statfs;
}

void add_xattr_operations(fuse_lowlevel_ops& operations) {
  operations.setxattr = setxattr;
  operations.getxattr = getxattr;
  operations.listxattr = listxattr;
  operations.removexattr = removexattr;
}

}  // namespace kmsfs::front
