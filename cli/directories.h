// Where kmsfs keeps what is its own on this host, outside every backing directory.
//
// All are mode 0700 and belong to the caller; they are made when first asked for. Threads: any.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "core/result.h"

namespace kmsfs::cli {

// Survives a reboot: records of running mounts. $XDG_STATE_HOME/kmsfs, ~/.local/state/kmsfs; for root
// /var/lib/kmsfs/state.
Result<std::string> state_directory();

// Gone with the session: control sockets. $XDG_RUNTIME_DIR/kmsfs, /run/user/UID/kmsfs or /tmp/kmsfs-UID; for
// root /run/kmsfs.
Result<std::string> runtime_directory();

// Where a mount of that uid may have put its control socket, most likely place first. Makes nothing.
std::vector<std::string> runtime_directories_of(uid_t uid);

// A directory in memory (tmpfs): the runtime directory where it is one, otherwise /dev/shm/kmsfs-UID.
Result<std::string> memory_directory();

// Holds nothing but "." and "..". The descriptor may be O_PATH.
Result<bool> is_empty_directory(int directory);

}  // namespace kmsfs::cli
