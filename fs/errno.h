// The one place where an Error becomes an errno for programs.
#pragma once

#include "core/result.h"

namespace kmsfs {

// The system's errno where there is one; otherwise by kind: denied EACCES, disabled EKEYREVOKED, key gone
// ENOKEY, expired EKEYEXPIRED, corrupt EIO, unknown format or suite EOPNOTSUPP, ... Never ENOENT or EPERM for
// those.
int to_errno(const Error& error);

}  // namespace kmsfs
