// The FuseFront turns FUSE requests into calls of a FileSystem and their results into replies.
//
// One small function per operation, in fuse_front_*.cc. Always: no lock is held when a reply goes out, and
// what a reply names (a lookup, a handle) is given back if the kernel did not take it. An Error becomes an
// errno by to_errno() alone. What programs see of the cache: names and attributes stay with the kernel for a
// day, because nobody else changes the volume; data too, across opens. O_DIRECT bypasses the kernel's cache
// and nothing else: the backing file is never opened with it. Threads: the workers', together.
#pragma once

#include <functional>

#include "fs/file_system.h"
#include "fs/fuse_transport.h"
#include "fs/mount_point.h"

namespace kmsfs {

class FuseFront final : public UnknownRequests {
 public:
  // `exclusive`: nobody else changes the volume, and the kernel caches writes. `shared`: others do.
  FuseFront(FileSystem& files, bool exclusive, bool shared = false)
      : files_(files), exclusive_(exclusive), shared_(shared) {}
  FuseFront(const FuseFront&) = delete;
  FuseFront& operator=(const FuseFront&) = delete;

  // A libfuse session whose requests come here. The front must outlive it.
  Result<Session> make_session(const MountOptions& options);

  // O_TMPFILE, statx, copy_file_range of more than 4 GiB.
  RawAnswer answer(const FuseRequest& request) override;
  void undelivered(const FuseRequest& request, const RawAnswer& answer) override;

  // Where the content of a file that is opened goes (node, all of it), ahead of the answer: before requests
  // come.
  using Give = std::function<void(NodeId, ByteView)>;
  void set_give(Give give) { give_ = std::move(give); }
  const Give& give() const { return give_; }

  FileSystem& files() const { return files_; }
  bool exclusive() const { return exclusive_; }
  bool shared() const { return shared_; }
  double timeout() const { return exclusive_ ? 86400.0 : 0.0; }  // seconds

 private:
  RawAnswer create_unnamed(const FuseRequest& request);
  RawAnswer statx(const FuseRequest& request);
  RawAnswer copy_range(const FuseRequest& request);

  FileSystem& files_;
  const bool exclusive_;
  const bool shared_;
  Give give_;
};

}  // namespace kmsfs
