// Other processes: running one, and finding those that use a mount. Threads: any.
#pragma once

#include <string>
#include <vector>

#include "core/result.h"

namespace kmsfs::cli {

struct ProgramResult {
  int status = -1;     // exit status; 128 + signal if it was killed
  std::string output;  // standard output and error, without the last newline
};
// The program is looked up in PATH; no shell is involved.
Result<ProgramResult> run_program(const std::vector<std::string>& command);

// "bash (812), less (1033)": who has a file open, its directory or its program under `mountpoint`, as far as
// we may see, and not this process; at most five. Touches nothing inside the mount.
std::string processes_using(const std::string& mountpoint);

}  // namespace kmsfs::cli
