// Random bytes from the kernel's generator.
//
// Drawn by getrandom(2) for each batch, never from a buffer of ours: the same bytes cannot come twice after
// fork, or after a virtual machine was cloned or restored (the kernel reseeds, random(4), vmgenid). Threads:
// any.
#pragma once

#include "core/bytes.h"

namespace kmsfs {

// Always fills all of `out`; aborts the process if the kernel has no generator.
void random_bytes(ByteSpan out);

}  // namespace kmsfs
