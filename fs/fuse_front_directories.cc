// Directories: read into the worker's reply buffer, entry by entry, in the kernel's own layout.
#include "fs/fuse_front_parts.h"

namespace kmsfs::front {
namespace {

// The records of one reply.
class Listing {
 public:
  Listing(ByteSpan room, bool plus, double timeout) : room_(room), plus_(plus), timeout_(timeout) {}

  bool add(const DirectoryEntry& entry) {
    const std::size_t head = plus_ ? sizeof(fuse_entry_out) : 0;
    const std::size_t size = head + FUSE_NAME_OFFSET + entry.name.size();
    const std::size_t padded = FUSE_REC_ALIGN(size);
    if (padded > room_.size() - used_) return false;
    std::byte* at = room_.data() + used_;
    if (plus_) {
      // Node 0: the kernel shows the name and looks it up when somebody asks.
      const fuse_entry_out out =
          entry.entry != nullptr ? to_entry_out(*entry.entry, timeout_) : fuse_entry_out{};
      std::memcpy(at, &out, sizeof out);
    }
    fuse_dirent record{};
    record.ino = entry.inode;
    record.off = entry.next;
    record.namelen = static_cast<std::uint32_t>(entry.name.size());
    record.type = entry.type >> 12;
    std::memcpy(at + head, &record, FUSE_NAME_OFFSET);
    std::memcpy(at + head + FUSE_NAME_OFFSET, entry.name.data(), entry.name.size());
    std::memset(at + size, 0, padded - size);
    used_ += padded;
    return true;
  }

  std::size_t used() const { return used_; }
  const char* data() const { return as_text(room_).data(); }

  // The kernel did not take it.
  void give_back(FileSystem& files) const {
    for (std::size_t at = 0; plus_ && at < used_;) {
      fuse_entry_out entry;
      fuse_dirent record;
      std::memcpy(&entry, room_.data() + at, sizeof entry);
      std::memcpy(&record, room_.data() + at + sizeof entry, FUSE_NAME_OFFSET);
      if (entry.nodeid != 0) files.forget(entry.nodeid, 1);
      at += FUSE_REC_ALIGN(sizeof entry + FUSE_NAME_OFFSET + record.namelen);
    }
  }

 private:
  const ByteSpan room_;
  const bool plus_;
  const double timeout_;
  std::size_t used_ = 0;
};

void list(fuse_req_t request, fuse_ino_t node, std::size_t size, off_t offset, const fuse_file_info& file,
          bool plus) {
  FileSystem& files = files_of(request);
  const ByteSpan buffer = current_request().reply_buffer;
  Listing listing(buffer.first(std::min(size, buffer.size())), plus, front_of(request).timeout());
  auto done = files.read_directory(node, file.fh, static_cast<std::uint64_t>(offset), plus,
                                   [&](const DirectoryEntry& entry) { return listing.add(entry); });
  if (!done) {
    listing.give_back(files);
    return reply_error(request, done.error());
  }
  if (fuse_reply_buf(request, listing.data(), listing.used()) != 0) listing.give_back(files);
}

void opendir(fuse_req_t request, fuse_ino_t node, fuse_file_info* file) {
  // Nobody else adds or removes names: to the kernel that means (since 5.1) that it may list from what it
  // read before, and that it opens and closes directories without us from now on.
  if (front_of(request).exclusive()) {
    fuse_reply_err(request, ENOSYS);
    return;
  }
  FileSystem& files = files_of(request);
  auto handle = files.open_directory(node);
  if (!handle) return reply_error(request, handle.error());
  file->fh = *handle;
  if (fuse_reply_open(request, file) != 0) files.release_directory(node, *handle);
}

void readdir(fuse_req_t request, fuse_ino_t node, std::size_t size, off_t offset, fuse_file_info* file) {
  list(request, node, size, offset, *file, false);
}

void readdirplus(fuse_req_t request, fuse_ino_t node, std::size_t size, off_t offset, fuse_file_info* file) {
  list(request, node, size, offset, *file, true);
}

void releasedir(fuse_req_t request, fuse_ino_t node, fuse_file_info* file) {
  files_of(request).release_directory(node, file->fh);
  fuse_reply_err(request, 0);
}

void fsyncdir(fuse_req_t request, fuse_ino_t node, int, fuse_file_info*) {
  reply_done(request, files_of(request).sync_directory(node));
}

}  // namespace

void add_directory_operations(fuse_lowlevel_ops& operations) {
  operations.opendir = opendir;
  operations.readdir = readdir;
  operations.readdirplus = readdirplus;
  operations.releasedir = releasedir;
  operations.fsyncdir = fsyncdir;
}

}  // namespace kmsfs::front
