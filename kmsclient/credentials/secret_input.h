// Secrets from files and from programs, straight into locked memory. Threads: any.
#pragma once

#include <string>
#include <vector>

#include "core/result.h"
#include "kms/sensitive_bytes.h"
#include "kmsclient/survival.h"

namespace kmsfs {

inline constexpr std::size_t kSecretFileLimit = std::size_t{256} << 10;

// kNotFound if it is not there, kUnavailable for all else; names the file. One without a newline or spaces at
// its end, if `trimmed`.
Result<kms::SensitiveBytes> read_secret_file(const std::string& path, bool trimmed);

// What `/bin/sh -c command` writes to its standard output. kUnavailable if it fails, writes more than 64 KiB,
// or is not done in time; then it and its children are killed. What it writes to standard error goes to ours.
Result<kms::SensitiveBytes> read_from_program(const std::string& command, Milliseconds patience);

}  // namespace kmsfs
