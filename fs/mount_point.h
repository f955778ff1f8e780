// A MountPoint is a directory over which a FUSE file system hangs, and how it got there.
//
// Root mounts with mount(2); others through fusermount3, which is set-uid. The type that df and findmnt show
// is fuse.kmsfs. Threads: mount() from anywhere; a MountPoint's methods from one thread at a time.
#pragma once

#include <sys/types.h>

#include <string>
#include <string_view>

#include "core/result.h"
#include "core/unique_fd.h"

namespace kmsfs {

// Over what the kernel sends requests: io_uring where it works, one of the two, or no mount.
enum class TransportChoice { kAutomatic, kRing, kDevice };

struct MountOptions {
  std::string mountpoint;
  std::string source;             // what df shows in its first column, for example the backing directory
  std::string subtype = "kmsfs";  // the type is "fuse." and this
  bool read_only = false;
  bool allow_other = false;          // others than who mounts may see it
  bool default_permissions = false;  // the kernel checks permissions even where root alone may see it
  bool nosuid = true;
  bool nodev = true;
  bool noexec = false;
  bool noatime = false;
  bool nodiratime = false;
  bool synchronous = false;
  bool extended_attributes = true;  // and access lists
  bool busy_wait = true;            // workers look for requests where that helps
  unsigned workers = 4;
  TransportChoice transport = TransportChoice::kAutomatic;
  bool writeback = true;  // the kernel caches writes; only for a volume that nobody else changes
  bool shared = false;    // others change the volume too: the kernel caches neither writes nor names
  bool debug = false;     // libfuse says every request on standard error

  // One word of `-o`: true if it was an option of a mount and is now set, false if it is none of ours.
  // kInvalid: ours, with a value that cannot be.
  Result<bool> take(std::string_view option);
  // Modes and access lists decide. Not where root alone may enter, who passes all of them: the kernel would
  // ask for a directory's attributes after each change of it only to let root pass.
  bool kernel_checks_permissions() const;
  bool kernel_caches_writes() const { return writeback && !shared; }
};

class MountPoint {
 public:
  struct Mounted;

  // Errors say what to do. The mountpoint must be a directory.
  static Result<Mounted> mount(const MountOptions& options);

  MountPoint() = default;
  MountPoint(MountPoint&& other) noexcept;
  MountPoint& operator=(MountPoint&& other) noexcept;
  ~MountPoint();  // unmounts, lazily, what is still mounted

  const std::string& path() const { return path_; }
  // As the kernel numbers it: /sys/class/bdi/0:MINOR, /sys/fs/fuse/connections/MINOR.
  dev_t device() const { return device_; }
  bool mounted() const;  // still ours, and topmost there

  // kBusy if it is in use and not `lazy`. Success if it was not mounted any more.
  Result<void> unmount(bool lazy);

 private:
  std::string path_;
  dev_t device_ = 0;
  bool by_helper_ = false;  // fusermount3 mounted it and must unmount it
};

struct MountPoint::Mounted {
  MountPoint point;
  UniqueFd device;  // /dev/fuse, connected: INIT waits to be read
};

}  // namespace kmsfs
