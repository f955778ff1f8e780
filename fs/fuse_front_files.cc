// Content: opening, reading, writing, syncing.
#include "fs/fuse_front_parts.h"

namespace kmsfs::front {
namespace {

// Of a file larger than this the kernel reads what it needs.
constexpr std::size_t kMostGiven = 32 << 10;

// Where others write too, writes go past the kernel's cache: it parts them at its pages, and does not know
// where an append ends up.
void choose_cache(const FuseFront& front, fuse_file_info& file) {
  file.keep_cache = front.shared() ? 0 : 1;
  file.direct_io = front.shared() && (file.flags & O_ACCMODE) != O_RDONLY ? 1 : 0;
}

// Not kept after a reply: where the last handle goes with it, so may the node.
void reply_open(fuse_req_t request, fuse_ino_t node, HandleId handle, fuse_file_info& file) {
  FileSystem& files = files_of(request);
  file.fh = handle;
  choose_cache(front_of(request), file);
  if (fuse_reply_open(request, &file) != 0) files.release(node, handle);
}

void create(fuse_req_t request, fuse_ino_t parent, const char* name, mode_t mode, fuse_file_info* file) {
  auto created = as_caller(creator_of(request), [&](const Caller& caller) {
    return files_of(request).create(parent, name, mode & 07777, file->flags, caller);
  });
  if (!created) return reply_error(request, created.error());
  const FuseFront& front = front_of(request);
  fuse_entry_param entry{};
  entry.ino = created->entry.node;
  entry.attr = created->entry.attributes;
  entry.entry_timeout = entry.attr_timeout = front.timeout();
  file->fh = created->handle;
  choose_cache(front, *file);
  if (fuse_reply_create(request, &entry, file) == 0) return;
  front.files().release(created->entry.node, created->handle);
  front.files().forget(created->entry.node, 1);
}

void open(fuse_req_t request, fuse_ino_t node, fuse_file_info* file) {
  const auto* in = current_request().as<fuse_open_in>();
  const bool kill = in != nullptr && (in->open_flags & FUSE_OPEN_KILL_SUIDGID) != 0;
  const Caller caller = caller_of(request);
  auto handle = files_of(request).open(node, file->flags, kill ? &caller : nullptr);
  if (!handle) return reply_error(request, handle.error());
  if (const auto& give = front_of(request).give(); give && front_of(request).exclusive()) {
    const ByteSpan room = current_request().reply_buffer;
    files_of(request).opened(node, file->flags, room.first(std::min(kMostGiven, room.size())),
                             [&](ByteView content) { give(node, content); });
  }
  reply_open(request, node, *handle, *file);
}

void read(fuse_req_t request, fuse_ino_t node, std::size_t size, off_t offset, fuse_file_info* file) {
  const ByteSpan buffer = current_request().reply_buffer;
  const ByteSpan out = buffer.first(std::min(size, buffer.size()));
  auto got = files_of(request).read(node, file->fh, static_cast<std::uint64_t>(offset), out);
  if (!got) return reply_error(request, got.error());
  fuse_reply_buf(request, as_text(out).data(), *got);
}

void write(fuse_req_t request, fuse_ino_t node, const char* data, std::size_t size, off_t offset,
           fuse_file_info* file) {
  const auto* in = current_request().as<fuse_write_in>();
  const bool kill = in != nullptr && (in->write_flags & FUSE_WRITE_KILL_SUIDGID) != 0;
  const Caller caller = caller_of(request);
  const bool from_cache = file->writepage != 0;
  const bool append = front_of(request).shared() && !from_cache && (file->flags & O_APPEND) != 0;
  auto written =
      files_of(request).write(node, file->fh, static_cast<std::uint64_t>(offset), as_bytes({data, size}),
                              kill ? &caller : nullptr, from_cache, append);
  if (!written) return reply_error(request, written.error());
  fuse_reply_write(request, size);
}

void release(fuse_req_t request, fuse_ino_t node, fuse_file_info* file) {
  files_of(request).release(node, file->fh);
  fuse_reply_err(request, 0);
}

void fsync(fuse_req_t request, fuse_ino_t node, int data_only, fuse_file_info* file) {
  reply_done(request, files_of(request).sync(node, file != nullptr ? file->fh : 0, data_only != 0));
}

void fallocate(fuse_req_t request, fuse_ino_t node, int mode, off_t offset, off_t size,
               fuse_file_info* file) {
  const Caller caller = caller_of(request);
  reply_done(request, files_of(request).allocate(node, file->fh, mode, static_cast<std::uint64_t>(offset),
                                                 static_cast<std::uint64_t>(size), unprivileged(caller)));
}

void lseek(fuse_req_t request, fuse_ino_t node, off_t offset, int whence, fuse_file_info* file) {
  // The kernel asks without writing out first, so a page that it still holds would look like a hole. Without
  // an answer it takes everything for data.
  if (front_of(request).exclusive()) {
    fuse_reply_err(request, ENOSYS);
    return;
  }
  auto found = files_of(request).seek(node, file->fh, static_cast<std::uint64_t>(offset), whence);
  if (!found) return reply_error(request, found.error());
  fuse_reply_lseek(request, static_cast<off_t>(*found));
}

void copy_file_range(fuse_req_t request, fuse_ino_t from, off_t from_offset, fuse_file_info* from_file,
                     fuse_ino_t to, off_t to_offset, fuse_file_info* to_file, std::size_t size, int flags) {
  if (flags != 0) {
    fuse_reply_err(request, EINVAL);
    return;
  }
  const Caller caller = caller_of(request);
  auto copied = files_of(request).copy_range(from, from_file->fh, static_cast<std::uint64_t>(from_offset), to,
                                             to_file->fh, static_cast<std::uint64_t>(to_offset),
                                             std::min(size, kMostCopied), unprivileged(caller));
  if (!copied) return reply_error(request, copied.error());
  fuse_reply_write(request, *copied);
}

}  // namespace

void add_file_operations(fuse_lowlevel_ops& operations) {
  operations.create = create;
  operations.open = open;
  operations.read = read;
  operations.write = write;
  operations.release = release;
  operations.fsync = fsync;
  operations.fallocate = fallocate;
  operations.lseek = lseek;
  operations.copy_file_range = copy_file_range;
}

}  // namespace kmsfs::front
