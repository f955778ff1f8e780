// The kernel's table of mounts, read without touching any mounted file system: one that hangs hangs nobody.
// Threads: any.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/result.h"

namespace kmsfs::cli {

inline constexpr std::string_view kMountType = "fuse.kmsfs";

struct MountEntry {
  dev_t device = 0;  // names a mounted file system on this host, as st_dev does
  std::string mountpoint;
  std::string options;
  std::string type;
  std::string source;
  std::string super_options;

  bool is_fuse() const { return type == "fuse" || type.rfind("fuse.", 0) == 0; }
  uid_t owner() const;  // the uid that mounted it (user_id=), 0 if that is not told
};

// In the order of mounting: of several on one mountpoint, the last is the visible one.
Result<std::vector<MountEntry>> read_mount_table();
// As proc_pid_mountinfo(5) describes it; lines that are not of that form are left out.
std::vector<MountEntry> parse_mount_table(std::string_view text);

// The visible mount whose mountpoint is exactly `path`, as typed by a user: relative, through symbolic links,
// with a slash at its end. Touches nothing inside the mount.
std::optional<MountEntry> find_mount(const std::vector<MountEntry>& table, const std::string& path);
std::optional<MountEntry> find_mount(const std::vector<MountEntry>& table, dev_t device);

}  // namespace kmsfs::cli
