// What the files of the FUSE front share: from requests to the FileSystem's words, and from those to replies.
// Private to fs/fuse_front_*.cc.
#pragma once

#include <utility>

#include "fs/errno.h"
#include "fs/fuse_front.h"
#include "fs/fuse_library.h"

namespace kmsfs::front {

// Each adds its operations to libfuse's table.
void add_entry_operations(fuse_lowlevel_ops& operations);
void add_file_operations(fuse_lowlevel_ops& operations);
void add_lock_operations(fuse_lowlevel_ops& operations);
void add_directory_operations(fuse_lowlevel_ops& operations);
void add_attribute_operations(fuse_lowlevel_ops& operations);
// Without these the kernel hears ENOSYS once and answers EOPNOTSUPP itself from then on.
void add_xattr_operations(fuse_lowlevel_ops& operations);

inline FuseFront& front_of(fuse_req_t request) {
  return *static_cast<FuseFront*>(fuse_req_userdata(request));
}
inline FileSystem& files_of(fuse_req_t request) { return front_of(request).files(); }

// Who asks; groups are looked up when they matter.
Caller caller_of(fuse_req_t request);
// Who makes a name, with the groups if the kernel tells them.
Caller creator_of(fuse_req_t request);

// As the caller. The kernel tells the one group that decides about ownership; where an access list lets a
// caller in by another group, the backing file system refuses, and only all of them, from /proc, will do.
template <typename Make>
auto as_caller(Caller caller, Make&& make) {
  auto made = make(std::as_const(caller));
  if (made || made.error().system_errno != EACCES || caller.uid == 0 || !caller.groups) return made;
  caller.groups.reset();
  return make(std::as_const(caller));
}

// Programs without CAP_FSETID lose set-id bits when they change a file; where the kernel does not say, uid 0
// has it. Nobody, if the caller has.
inline const Caller* unprivileged(const Caller& caller) { return caller.uid != 0 ? &caller : nullptr; }

// A copy longer than this is answered in part, so that it can be interrupted; programs then ask for the rest.
inline constexpr std::size_t kMostCopied = 16 << 20;

fuse_attr to_fuse_attr(const struct stat& attributes);
fuse_entry_out to_entry_out(const Entry& entry, double timeout);

void reply_error(fuse_req_t request, const Error& error);
void reply_done(fuse_req_t request, const Result<void>& result);
// Gives the lookup back if the kernel did not take it.
void reply_entry(fuse_req_t request, const Result<Entry>& entry);
void reply_attributes(fuse_req_t request, const Result<struct stat>& attributes);

}  // namespace kmsfs::front
