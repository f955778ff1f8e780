#include "cli/exit_codes.h"

namespace kmsfs::cli {

ExitCode exit_code_of(const Error& error) {
  switch (error.kind) {
    case Kind::kInvalid:
      return ExitCode::kUsage;
    case Kind::kDenied:
      return ExitCode::kDenied;
    case Kind::kDisabled:
    case Kind::kKeyGone:
      return ExitCode::kKeyUnusable;
    case Kind::kExpired:
    case Kind::kUnavailable:
    case Kind::kThrottled:
      return ExitCode::kKmsUnreachable;
    case Kind::kCorrupt:
      return ExitCode::kCorrupt;
    case Kind::kUnsupported:
      return ExitCode::kUnsupported;
    case Kind::kBusy:
      return ExitCode::kBusy;
    case Kind::kNotFound:
    case Kind::kExists:
    case Kind::kNoSpace:
    case Kind::kNoMemory:
    case Kind::kSystem:
    case Kind::kInternal:
      return ExitCode::kFailure;
  }
  return ExitCode::kFailure;
}

Failure failure(const Error& error, std::string_view what) {
  return failure(exit_code_of(error), error, what);
}

Failure failure(ExitCode code, const Error& error, std::string_view what) {
  return Failure{code, std::string(what) + ": " + error.text};
}

}  // namespace kmsfs::cli
