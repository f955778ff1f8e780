// A process that works in the background, and a caller who hears how its start went.
//
//   auto background = Background::fork();            // before threads, locked memory, LMDB
//   if (background->in_parent()) return background->wait();
//   ... start ...
//   background->detach();                            // only after success
//   background->report(outcome);                     // what wait() returns in the parent
//
// Until detach() the child keeps terminal, session and standard error, so it can ask for a passphrase.
// Threads: none exist yet.
#pragma once

#include <sys/types.h>

#include "cli/exit_codes.h"
#include "core/unique_fd.h"

namespace kmsfs::cli {

class Background {
 public:
  static Result<Background> fork();

  bool in_parent() const { return child_ > 0; }
  // In the parent: until the child has reported, or died without (which is a failure too).
  Outcome wait();

  // In the child. The first report counts.
  void report(const Outcome& outcome);
  Result<void> detach();  // a session of its own, no terminal, the root directory

 private:
  Background(pid_t child, UniqueFd pipe) : child_(child), pipe_(std::move(pipe)) {}
  pid_t child_;
  UniqueFd pipe_;  // the parent's end to read, or the child's to write
};

}  // namespace kmsfs::cli
