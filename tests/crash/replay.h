// Rebuilds a backing directory as a crash could have left it.
//
// The model of the disk: changes of metadata become durable in the order in which they were made (the journal
// of ext4 or XFS); a sync of anything makes all metadata before it durable, and the data of what was synced.
// Data that was not synced arrives page by page of 4096 bytes, in any order, or not at all; a page that did
// not arrive is what it was before, zeros if it never was written. A file's size is metadata, except where a
// write itself made it longer: then size and data arrive together.
#pragma once

#include <random>
#include <string>
#include <vector>

#include "tests/crash/recording_disk.h"

namespace kmsfs::crash {

struct CrashState {
  std::size_t end = 0;  // operations that had been done
  std::size_t metadata =
      0;  // metadata operations among the first `metadata` operations arrived; metadata <= end
  // For data that was not synced: how likely a page arrived, in percent, drawn from `seed`.
  unsigned arrival_percent = 100;
  unsigned long seed = 0;

  std::string to_string() const;
};

// States worth trying after `end` operations: nothing lost, all lost that may be, and `samples` drawn from
// `random`.
std::vector<CrashState> states_after(const std::vector<Operation>& operations, std::size_t end,
                                     std::size_t samples, std::mt19937_64& random);

// Applies to `directory`, a copy of what the recorder started with. kInternal if the record makes no sense
// there.
Result<void> replay(const std::vector<Operation>& operations, const CrashState& state,
                    const std::string& directory);

}  // namespace kmsfs::crash
