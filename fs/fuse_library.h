// The door to libfuse: its low-level API, in the version that this code is written for.
#pragma once

#define FUSE_USE_VERSION 314  // NOLINT
#include <fuse_lowlevel.h>
