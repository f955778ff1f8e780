// The command line: the door to CLI11. Parses, then runs the command.
#pragma once

namespace kmsfs::cli {

// The exit status of the process. Failures are printed to standard error, one line each.
int run_command_line(int argument_count, const char* const* arguments);

}  // namespace kmsfs::cli
