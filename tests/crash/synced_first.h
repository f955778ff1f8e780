// Rebuilds a backing directory as a crash could have left it on a file system that keeps no order of names,
// but logs what is synced ahead of everything else (btrfs).
//
// The model: everything is committed as a whole at moments of the file system's own choosing. What was synced
// after the last commit arrives too: a file with its content and its names, and that the directories above
// exist, if they are new; a directory with its entries, new directories below it likewise; whatever had one
// of these names before, with its new one. With `renames_ahead`, so does each new name of what was there
// before. Nothing else arrives.
#pragma once

#include <string>
#include <vector>

#include "tests/crash/recording_disk.h"

namespace kmsfs::crash {

struct LoggedState {
  std::size_t end = 0;     // operations that had been done
  std::size_t commit = 0;  // those before were committed; commit <= end
  bool renames_ahead = false;

  std::string to_string() const;
};

// All that differ by a sync or a new name, with each commit, or with every `stride`th.
std::vector<LoggedState> logged_states(const std::vector<Operation>& operations, std::size_t stride);

// `start`: what the recorder started with; `directory` is made.
Result<void> replay_logged(const std::vector<Operation>& operations, const LoggedState& state,
                           const std::string& start, const std::string& directory);

}  // namespace kmsfs::crash
