#include "fs/fuse_front.h"

#include <sys/sysmacros.h>

#include "fs/fuse_front_parts.h"
#include "fs/fuse_init.h"

namespace kmsfs {
namespace front {
namespace {

void init(void*, fuse_conn_info* connection) {
  connection->want = 0;  // flags are the transport's business
  connection->max_write = kMaxWrite;
}

}  // namespace

Caller caller_of(fuse_req_t request) {
  const fuse_ctx& context = *fuse_req_ctx(request);
  return {context.uid, context.gid, context.pid, context.umask, std::nullopt};
}

Caller creator_of(fuse_req_t request) {
  Caller caller = caller_of(request);
  caller.groups = current_request().groups();
  return caller;
}

fuse_attr to_fuse_attr(const struct stat& from) {
  fuse_attr to{};
  to.ino = from.st_ino;
  to.size = static_cast<std::uint64_t>(from.st_size);
  to.blocks = static_cast<std::uint64_t>(from.st_blocks);
  to.atime = static_cast<std::uint64_t>(from.st_atim.tv_sec);
  to.mtime = static_cast<std::uint64_t>(from.st_mtim.tv_sec);
  to.ctime = static_cast<std::uint64_t>(from.st_ctim.tv_sec);
  to.atimensec = static_cast<std::uint32_t>(from.st_atim.tv_nsec);
  to.mtimensec = static_cast<std::uint32_t>(from.st_mtim.tv_nsec);
  to.ctimensec = static_cast<std::uint32_t>(from.st_ctim.tv_nsec);
  to.mode = from.st_mode;
  to.nlink = static_cast<std::uint32_t>(from.st_nlink);
  to.uid = from.st_uid;
  to.gid = from.st_gid;
  to.rdev = static_cast<std::uint32_t>(from.st_rdev);
  to.blksize = static_cast<std::uint32_t>(from.st_blksize);
  return to;
}

fuse_entry_out to_entry_out(const Entry& entry, double timeout) {
  fuse_entry_out out{};
  out.nodeid = entry.node;
  out.entry_valid = out.attr_valid = static_cast<std::uint64_t>(timeout);
  out.attr = to_fuse_attr(entry.attributes);
  return out;
}

void reply_error(fuse_req_t request, const Error& error) { fuse_reply_err(request, to_errno(error)); }

void reply_done(fuse_req_t request, const Result<void>& result) {
  fuse_reply_err(request, result ? 0 : to_errno(result.error()));
}

void reply_entry(fuse_req_t request, const Result<Entry>& entry) {
  if (!entry) return reply_error(request, entry.error());
  const FuseFront& front = front_of(request);  // the request is gone after the reply
  fuse_entry_param answer{};
  answer.ino = entry->node;
  answer.attr = entry->attributes;
  answer.entry_timeout = answer.attr_timeout = front.timeout();
  if (fuse_reply_entry(request, &answer) != 0) front.files().forget(entry->node, 1);
}

void reply_attributes(fuse_req_t request, const Result<struct stat>& attributes) {
  if (!attributes) return reply_error(request, attributes.error());
  fuse_reply_attr(request, &*attributes, front_of(request).timeout());
}

}  // namespace front

Result<Session> FuseFront::make_session(const MountOptions& options) {
  fuse_lowlevel_ops operations{};
  operations.init = front::init;
  front::add_entry_operations(operations);
  front::add_file_operations(operations);
  front::add_lock_operations(operations);
  front::add_directory_operations(operations);
  front::add_attribute_operations(operations);
  if (options.extended_attributes) front::add_xattr_operations(operations);

  std::string name = "kmsfs", debug_option = "-odebug";
  std::array<char*, 3> words{name.data(), debug_option.data(), nullptr};
  fuse_args arguments = FUSE_ARGS_INIT(options.debug ? 2 : 1, words.data());
  Session session(fuse_session_new(&arguments, &operations, sizeof operations, this));
  fuse_opt_free_args(&arguments);
  if (!session) return error(Kind::kInternal, "libfuse makes no session");
  return session;
}

RawAnswer FuseFront::answer(const FuseRequest& request) {
  switch (request.header->opcode) {
    case FUSE_TMPFILE:
      return create_unnamed(request);
    case wire::kStatx:
      return statx(request);
    case wire::kCopyFileRange64:
      return copy_range(request);
    default:
      return RawAnswer::failed(ENOSYS);
  }
}

namespace {

struct CreatedOut {
  fuse_entry_out entry;
  fuse_open_out open;
};

statx_timestamp to_timestamp(const timespec& time) {
  statx_timestamp out{};
  out.tv_sec = time.tv_sec;
  out.tv_nsec = static_cast<std::uint32_t>(time.tv_nsec);
  return out;
}

struct statx to_statx(const struct stat& from) {
  struct statx to {};
  to.stx_mask = STATX_BASIC_STATS;
  to.stx_blksize = static_cast<std::uint32_t>(from.st_blksize);
  to.stx_nlink = static_cast<std::uint32_t>(from.st_nlink);
  to.stx_uid = from.st_uid;
  to.stx_gid = from.st_gid;
  to.stx_mode = static_cast<std::uint16_t>(from.st_mode);
  to.stx_ino = from.st_ino;
  to.stx_size = static_cast<std::uint64_t>(from.st_size);
  to.stx_blocks = static_cast<std::uint64_t>(from.st_blocks);
  to.stx_atime = to_timestamp(from.st_atim);
  to.stx_mtime = to_timestamp(from.st_mtim);
  to.stx_ctime = to_timestamp(from.st_ctim);
  to.stx_rdev_major = major(from.st_rdev);
  to.stx_rdev_minor = minor(from.st_rdev);
  return to;
}

}  // namespace

RawAnswer FuseFront::create_unnamed(const FuseRequest& request) {
  const auto* in = request.as<fuse_create_in>();
  if (in == nullptr) return RawAnswer::failed(EINVAL);
  const fuse_in_header& header = *request.header;
  const Caller caller{header.uid, header.gid, static_cast<pid_t>(header.pid), in->umask, request.groups()};
  auto created = front::as_caller(caller, [&](const Caller& as) {
    return files_.create_unnamed(header.nodeid, in->mode & 07777, static_cast<int>(in->flags), as);
  });
  if (!created) return RawAnswer::failed(to_errno(created.error()));
  CreatedOut out{front::to_entry_out(created->entry, timeout()), {}};
  out.open.fh = created->handle;
  out.open.open_flags = shared_ ? FOPEN_DIRECT_IO : FOPEN_KEEP_CACHE;
  return RawAnswer::of(out);
}

RawAnswer FuseFront::statx(const FuseRequest& request) {
  const NodeId node = request.header->nodeid;
  auto attributes = files_.get_attributes(node);
  if (!attributes) return RawAnswer::failed(to_errno(attributes.error()));
  wire::StatxOut out{};
  out.valid_seconds = static_cast<std::uint64_t>(timeout());
  out.attributes = to_statx(*attributes);
  auto born = files_.birth_time(node);
  if (!born) return RawAnswer::failed(to_errno(born.error()));
  if (*born) {
    out.attributes.stx_mask |= STATX_BTIME;
    out.attributes.stx_btime = to_timestamp(**born);
  }
  return RawAnswer::of(out);
}

RawAnswer FuseFront::copy_range(const FuseRequest& request) {
  const auto* in = request.as<fuse_copy_file_range_in>();
  if (in == nullptr || in->flags != 0) return RawAnswer::failed(EINVAL);
  const fuse_in_header& header = *request.header;
  const Caller caller{header.uid, header.gid, static_cast<pid_t>(header.pid), 0, std::nullopt};
  auto copied =
      files_.copy_range(header.nodeid, in->fh_in, in->off_in, in->nodeid_out, in->fh_out, in->off_out,
                        std::min<std::uint64_t>(in->len, front::kMostCopied), front::unprivileged(caller));
  if (!copied) return RawAnswer::failed(to_errno(copied.error()));
  return RawAnswer::of(wire::CopyFileRangeOut{*copied});
}

void FuseFront::undelivered(const FuseRequest& request, const RawAnswer& answer) {
  if (request.header->opcode != FUSE_TMPFILE || answer.error != 0) return;
  CreatedOut out;
  std::memcpy(&out, answer.bytes.data(), sizeof out);
  files_.release(out.entry.nodeid, out.open.fh);
  files_.forget(out.entry.nodeid, 1);
}

}  // namespace kmsfs
