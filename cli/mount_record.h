// Records, outside the backing directory, that a volume is being mounted on this host; found again when
// nobody holds it, it says that a mount ended without unmounting.
//
// Always: begin() is durable before it returns; a record whose mount lives is held by a lock (flock), so
// process numbers that come again and reboots cannot mislead. Threads: one at a time.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "core/clock.h"
#include "core/ids.h"
#include "core/unique_fd.h"

namespace kmsfs::cli {

class MountRecord {
 public:
  // Call with the volume's lock held. `directory` is state_directory().
  static Result<MountRecord> begin(const std::string& directory, const VolumeId& volume,
                                   const std::string& backing, const std::string& mountpoint,
                                   const Clock& clock);
  MountRecord(MountRecord&&) = default;
  MountRecord& operator=(MountRecord&&) = delete;
  // What was begun and neither ended nor abandoned stays on disk: that is what an unclean end is.
  ~MountRecord() = default;

  // When the earliest of the mounts began that did not end cleanly; nothing if there was none.
  std::optional<WallTime> unclean_since() const { return unclean_since_; }

  Result<void> end();  // after a clean unmount: this record and those of unclean ends go
  void abandon();      // nothing was mounted, or not all repaired: this record goes, the others stay

 private:
  MountRecord() = default;
  std::string directory_;
  std::string name_;
  UniqueFd lock_;
  std::vector<std::string> unclean_;
  std::optional<WallTime> unclean_since_;
};

}  // namespace kmsfs::cli
