// KMS URIs as users type them. Threads: pure, but for the current directory.
#pragma once

#include <string>

#include "core/result.h"

namespace kmsfs::cli {

// With the directory of local: made absolute: a volume remembers its URI, and a daemon changes directory.
// Empty stays empty; kInvalid for local: without a directory.
Result<std::string> absolute_kms_uri(const std::string& uri);

}  // namespace kmsfs::cli
