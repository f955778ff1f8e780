// Files and directories that nobody else may read: opened only if that is so.
//
// Always: never through a symbolic link at the last component; regular files and directories only; owned by
// the caller's effective uid; no permission for group and others. Otherwise kDenied, with a text that says
// what to change. Threads: any.
#pragma once

#include <string>

#include "core/bytes.h"
#include "core/unique_fd.h"

namespace kmsfs::kms {

// `what` names the thing in errors: "the key file".
Result<UniqueFd> open_private_file(const std::string& path, std::string_view what, int flags);
Result<UniqueFd> open_private_directory(const std::string& path, std::string_view what);

// Makes the directory, mode 0700, and what is missing above it; one that is there stays as it is.
Result<void> make_private_directory(const std::string& path);

// Reads until `out` is full or the file ends; the number of bytes read.
Result<std::size_t> read_up_to(int fd, ByteSpan out);
Result<void> write_all(int fd, ByteView bytes);

}  // namespace kmsfs::kms
