// KMS URIs as users type them. Threads: pure, but for the current directory.
#pragma once

#include <string>

#include "core/result.h"

namespace kmsfs::cli {

// With the path of local: or unix: made absolute: a volume remembers its URI, and a daemon changes directory.
// Empty stays empty; kInvalid for what is wrong with a URI of a scheme that is known.
Result<std::string> absolute_kms_uri(const std::string& uri);

}  // namespace kmsfs::cli
