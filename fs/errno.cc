#include "fs/errno.h"

#include <cerrno>

namespace kmsfs {

int to_errno(const Error& error) {
  if (error.system_errno != 0) return error.system_errno;
  switch (error.kind) {
    case Kind::kInvalid:
      return EINVAL;
    case Kind::kNotFound:
      return ENOENT;
    case Kind::kExists:
      return EEXIST;
    case Kind::kDenied:
      return EACCES;
    case Kind::kDisabled:
      return EKEYREVOKED;
    case Kind::kKeyGone:
      return ENOKEY;
    // No key to be had now, for whatever reason of the KMS. Not EAGAIN: programs would spin on it.
    case Kind::kExpired:
    case Kind::kUnavailable:
    case Kind::kThrottled:
      return EKEYEXPIRED;
    case Kind::kCorrupt:
      return EIO;
    case Kind::kUnsupported:
      return EOPNOTSUPP;
    case Kind::kNoSpace:
      return ENOSPC;
    case Kind::kNoMemory:
      return ENOMEM;
    case Kind::kBusy:
      return EBUSY;
    case Kind::kSystem:
      return EIO;
    case Kind::kInternal:
      return EIO;
  }
  return EIO;
}

}  // namespace kmsfs
