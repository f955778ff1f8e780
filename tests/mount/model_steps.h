// The steps of a walk: random system calls, told as data, so that a walk can be printed, repeated and shrunk.
//
// Always: a step says all that it does but for what it finds, so any part of a walk is a walk too. Handles
// stand in numbered slots; a step on an empty slot does nothing. Paths begin at the walk's own directory.
// Threads: values.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <vector>

namespace kmsfs::testing {

enum class Deed {
  kOpen,
  kOpenUnnamed,  // O_TMPFILE
  kClose,
  kWrite,
  kRead,
  kWriteMapped,
  kReadMapped,
  kWritePrivately,  // into a private mapping: the file must not change
  kDirect,          // O_DIRECT: opened, written, read, closed
  kTruncate,
  kTruncatePath,
  kAllocate,
  kSeek,
  kCopyRange,
  kSync,
  kSyncDirectory,
  kRename,
  kUnlink,
  kLink,
  kLinkHandle,  // gives an open file a name, also one that has none
  kSymlink,
  kReadLink,
  kMakeDirectory,
  kRemoveDirectory,
  kMakeNode,
  kList,
  kStat,
  kStatHandle,
  kAccess,
  kMode,
  kOwner,
  kTimes,
  kTimesOfHandle,
  kSetXattr,
  kGetXattr,
  kListXattr,
  kRemoveXattr,
  kSetAcl,
  kLockFile,
  kLockRange,
  kStatFileSystem,
  kWatchTimes,  // the next step must change the times of the same entries on both sides
  kCount
};

struct Step {
  Deed deed = Deed::kStat;
  unsigned slot = 0, other_slot = 0;
  std::string path, other_path;  // "/name" or "/directory/name"
  std::int64_t at = 0, other_at = 0;
  std::size_t size = 0;
  int flags = 0;             // of the call; its mode too
  unsigned char fill = 0;    // where the pattern of the data begins
  std::string data() const;  // `size` bytes
  std::string to_string() const;
};

using Steps = std::vector<Step>;

inline constexpr unsigned kSlots = 12;

// The same for the same seed, on every machine.
Steps random_steps(unsigned long seed, std::size_t count);

// One step for each of `threads`, to be done at the same time on the same files: whatever their order, the
// outcome is the same. Each thread's slots 0 to 2 hold the files /s0 to /s2.
using Round = std::vector<Step>;
std::vector<Round> random_rounds(unsigned long seed, std::size_t count, unsigned threads);

std::string to_string(const Steps& steps, std::size_t most = 40);  // the last ones

}  // namespace kmsfs::testing
