// What every kmsfs process does to itself before it touches a key.
#pragma once

#include "core/result.h"
#include "core/xaes.h"

namespace kmsfs::cli {

struct ProcessOptions {
  AeadBackend backend = AeadBackend::kAutomatic;
  bool allow_unlocked_memory = false;  // for tests on machines where no memory may be locked
};

// No core files, not traceable, memory that may be locked raised to its hard limit; then locked memory and
// cryptography with their self-tests. Once, after the last fork and before any thread.
Result<void> secure_process(const ProcessOptions& options);

// As many descriptors as the hard limit gives: a mount holds one for each file that the kernel remembers.
void raise_descriptor_limit();

}  // namespace kmsfs::cli
