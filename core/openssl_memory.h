// Keeps OpenSSL's own copies of keys (key schedules, HMAC pads) in locked memory.
//
// OpenSSL allocates cipher contexts on the ordinary heap. route_openssl_memory() installs allocation
// functions that serve from LockedMemory while the calling thread is inside a SecureScope, and from malloc
// otherwise. It must be the first call into libcrypto of the process, after LockedMemory::start; start_crypto
// calls it.
#pragma once

#include "core/result.h"

namespace kmsfs {

Result<void> route_openssl_memory();

// While one lives, what this thread allocates through OpenSSL is locked memory (nullptr when full: OpenSSL
// then fails).
class SecureScope {
 public:
  SecureScope() noexcept;
  ~SecureScope();
  SecureScope(const SecureScope&) = delete;
  SecureScope& operator=(const SecureScope&) = delete;
};

}  // namespace kmsfs
