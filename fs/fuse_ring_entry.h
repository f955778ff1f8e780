// A RingEntry is the place where one request of a queue comes and its reply goes, shared with the kernel.
//
// Layout of its memory: a page that ends in the request's headers, so that a request is one piece; the
// payload, which starts on a page. A read decrypts into the payload, and the kernel takes it from there.
// Memory is used from the first request on, and no more of it than requests were large.
// Threads: an entry belongs to the kernel or to one thread.
#pragma once

#include <sys/uio.h>

#include <deque>

#include "fs/fuse_handler.h"

namespace kmsfs {

class RingEntry {
 public:
  RingEntry(std::uint16_t queue, std::byte* memory, wire::RingHeaders& headers);
  RingEntry(const RingEntry&) = delete;
  RingEntry& operator=(const RingEntry&) = delete;

  // The request that the kernel has put here, as it would have come over /dev/fuse. Empty if it is broken.
  ByteSpan request();
  ByteSpan payload() const;
  // The reply that the next commit sends: a fuse_out_header, then what follows it.
  ssize_t set_reply(const iovec* parts, int count);
  void set_failed(int error_number);
  // Gives memory behind the reply back to the system.
  void trim() const;

  std::uint16_t queue() const { return queue_; }
  std::uint64_t commit_id() const { return commit_id_; }
  const iovec* shared() const { return shared_; }  // headers and payload, as the kernel wants to have them

 private:
  const std::uint16_t queue_;
  wire::RingHeaders& headers_;
  std::uint64_t commit_id_ = 0;
  std::uint64_t unique_ = 0;
  iovec shared_[2];
};

// The entries of one queue.
class RingEntries {
 public:
  static Result<std::unique_ptr<RingEntries>> make(std::uint16_t queue, std::size_t count);
  std::deque<RingEntry>& all() { return entries_; }

 private:
  RingEntries(FuseBuffer requests, FuseBuffer headers)
      : requests_(std::move(requests)), headers_(std::move(headers)) {}

  const FuseBuffer requests_, headers_;
  std::deque<RingEntry> entries_;
};

}  // namespace kmsfs
