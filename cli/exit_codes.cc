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

ExitCode exit_code_of_opening_kms(const Error& error, std::string_view uri) {
  if (!uri.empty() && !uri.starts_with("local:")) return exit_code_of(error);
  // With a code it is the word of a KMS that is open.
  if (error.kind == Kind::kDenied && error.code != nullptr) return exit_code_of(error);
  switch (error.kind) {
    case Kind::kDenied:
    case Kind::kInvalid:
      return ExitCode::kSealed;
    case Kind::kNotFound:
      return ExitCode::kKmsUnreachable;
    default:
      return exit_code_of(error);
  }
}

Failure failure(const Error& error, std::string_view what) {
  return failure(exit_code_of(error), error, what);
}

Failure failure(ExitCode code, const Error& error, std::string_view what) {
  return Failure{code, std::string(what) + ": " + error.text};
}

}  // namespace kmsfs::cli
