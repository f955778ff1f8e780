// The right to be the one server of a store: a lock on DIR/kmsd.lock, held as long as the object lives.
//
// Whoever embeds the KMS shares the store without it. The kernel frees the lock of a server that died, so
// that a file left behind means nothing. Threads: any.
#pragma once

#include <string>

#include "core/result.h"
#include "core/unique_fd.h"

namespace kmsfs::kms {

class StoreLock {
 public:
  // kBusy if another server holds it; the text names its process. Otherwise as a private directory opens.
  static Result<StoreLock> take(const std::string& directory);

 private:
  explicit StoreLock(UniqueFd file) : file_(std::move(file)) {}
  UniqueFd file_;
};

}  // namespace kmsfs::kms
