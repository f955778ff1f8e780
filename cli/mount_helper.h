// mount.fuse.kmsfs: what mount(8) runs for `mount -t fuse.kmsfs BACKING MOUNTPOINT` and for fstab.
//
// mount(8) looks for /sbin/mount.fuse.kmsfs first, and calls it with `BACKING MOUNTPOINT [-sfnv] [-o
// OPTIONS]`. Where only mount.fuse3 is installed it runs `kmsfs BACKING MOUNTPOINT [-o OPTIONS]` instead,
// with absolute paths: both end here.
#pragma once

namespace kmsfs::cli {

bool is_mount_helper(int argument_count, const char* const* arguments);

// Exit status as mount(8) has it: 0, 1 for wrong usage, 32 for a mount that failed.
int run_mount_helper(int argument_count, const char* const* arguments);

}  // namespace kmsfs::cli
