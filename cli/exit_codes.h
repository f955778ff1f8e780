// How a command ends: its exit code, and the one line that says why.
//
// The list is part of the interface (kmsfs.1, "EXIT STATUS"): a number keeps its meaning for good.
// Threads: plain values.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "core/result.h"

namespace kmsfs::cli {

enum class ExitCode : int {
  kOk = 0,
  kFailure = 1,      // the system failed us, or we did; nothing below fits
  kUsage = 2,        // arguments or options are wrong, or the KMS finds the request wrong; nothing was done
  kNotAVolume = 3,   // the backing directory is no volume, or (init) cannot become one
  kSealed = 4,       // the local KMS does not open: wrong passphrase, none to be had, key file open to others
  kDenied = 5,       // the KMS, or the system, does not permit it; `kmsfs kms why`: it would not
  kKeyUnusable = 6,  // the master key is disabled, pending deletion, or gone
  kKmsUnreachable = 7,  // the KMS does not answer, or there is none where the volume says
  kMountpoint = 8,      // the mountpoint cannot be used
  kBusy = 9,            // the volume is mounted already, or the mount is in use
  kCorrupt = 10,        // bytes on disk, or a ciphertext, are damaged, or not what they claim to be
  kUnsupported = 11,    // a format, KMS scheme or system feature that this version or this system lacks
  kNotMounted = 12,     // no kmsfs mount there, or nobody serves it any more
};

struct Failure {
  ExitCode code = ExitCode::kFailure;
  std::string text;  // "what failed: why; what to do"
};

// What a command returns: nothing is success.
using Outcome = std::optional<Failure>;

ExitCode exit_code_of(const Error& error);
// For errors of opening a KMS: before it knows anybody, "denied" and "invalid" are about its seal and the
// passphrase, and "not found" means that there is none.
// Of a KMS elsewhere there is no seal that could be wrong: `uri` tells, empty means the default, a local one.
ExitCode exit_code_of_opening_kms(const Error& error, std::string_view uri = {});
// The code follows from the error's kind; `what` says what failed.
Failure failure(const Error& error, std::string_view what);
Failure failure(ExitCode code, const Error& error, std::string_view what);

}  // namespace kmsfs::cli
