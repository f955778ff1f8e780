// The directory over which a volume will hang: whether it can be used, and its guard.
//
// The guard keeps programs from writing plain text into the directory while nothing is mounted over it: where
// the file system and our rights allow it the directory is made immutable, otherwise it loses its write
// permission (which does not bind root). It stays until `kmsfs umount --unguard`. Threads: one at a time.
#pragma once

#include <string>
#include <string_view>

#include "core/result.h"
#include "core/unique_fd.h"

namespace kmsfs::cli {

enum class Guard { kNone, kMode, kImmutable };
std::string_view to_string(Guard guard);

class Mountpoint {
 public:
  // Checks, changing nothing: a directory, empty, no FUSE mount there already (kBusy), neither inside
  // `backing` nor around it, seen by device and inode. Other errors are kInvalid and say what to do.
  static Result<Mountpoint> open(const std::string& path, int backing);

  const std::string& path() const { return path_; }  // absolute, without links

  // Gives a guarded directory's owner the permission that mounting through fusermount3 takes.
  Result<void> prepare();
  // After mounting; works on the directory below the mount. Returns what could be done.
  Guard guard();
  // After a mount that failed: as it was.
  void restore();

  // Lifts the guard of a directory that nothing is mounted over.
  static Result<void> unguard(const std::string& path);

 private:
  Mountpoint(std::string path, UniqueFd directory);
  std::string path_;
  UniqueFd directory_;
  bool prepared_ = false;
};

}  // namespace kmsfs::cli
