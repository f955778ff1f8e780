#include "core/result.h"

#include <cerrno>
#include <cstring>
#include <system_error>

namespace kmsfs {

std::string_view to_string(Kind kind) {
  switch (kind) {
    case Kind::kInvalid:
      return "invalid";
    case Kind::kNotFound:
      return "not found";
    case Kind::kExists:
      return "exists";
    case Kind::kDenied:
      return "denied";
    case Kind::kDisabled:
      return "disabled";
    case Kind::kKeyGone:
      return "key gone";
    case Kind::kExpired:
      return "expired";
    case Kind::kUnavailable:
      return "unavailable";
    case Kind::kThrottled:
      return "throttled";
    case Kind::kCorrupt:
      return "corrupt";
    case Kind::kUnsupported:
      return "unsupported";
    case Kind::kNoSpace:
      return "no space";
    case Kind::kNoMemory:
      return "no memory";
    case Kind::kBusy:
      return "busy";
    case Kind::kSystem:
      return "system";
    case Kind::kInternal:
      return "internal";
  }
  return "unknown";
}

namespace {

Kind kind_of(int error_number) {
  switch (error_number) {
    case ENOENT:
      return Kind::kNotFound;
    case EEXIST:
      return Kind::kExists;
    case EACCES:
    case EPERM:
      return Kind::kDenied;
    case ENOSPC:
    case EDQUOT:
      return Kind::kNoSpace;
    case ENOMEM:
      return Kind::kNoMemory;
    case EBUSY:
      return Kind::kBusy;
    default:
      return Kind::kSystem;
  }
}

}  // namespace

Error Error::from_errno(int error_number, std::string_view what) {
  std::string text;
  if (!what.empty()) {
    text = std::string(what) + ": " + std::generic_category().message(error_number);
  }
  return Error{kind_of(error_number), error_number, std::move(text), nullptr};
}

Error Error::during(std::string_view what) && {
  text = text.empty() ? std::string(what) : std::string(what) + ": " + text;
  return std::move(*this);
}

}  // namespace kmsfs
