// What every process of ours does to itself before it touches a key. Threads: none exist yet.
#pragma once

#include "core/result.h"
#include "core/xaes.h"

namespace kmsfs {

struct ProcessOptions {
  AeadBackend backend = AeadBackend::kAutomatic;
  bool allow_unlocked_memory = false;  // for tests on machines where no memory may be locked
};

// A descriptor of ours must never be taken for a standard stream that the caller had closed.
void open_standard_streams();

// No core files, not traceable, memory that may be locked raised to its hard limit; then locked memory and
// cryptography with their self-tests. Once, after the last fork and before any thread.
Result<void> secure_process(const ProcessOptions& options);

// As many descriptors as the hard limit gives: a mount holds one for each file that the kernel remembers, a
// server one for each connection.
void raise_descriptor_limit();

// One heap for all threads, where many small things live long: by default malloc gives nearly each thread its
// own, and what a file costs grows to four times as much. Before any thread.
void share_one_heap();

}  // namespace kmsfs
