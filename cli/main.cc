#include "cli/command_line.h"
#include "core/process.h"

int main(int argument_count, char** arguments) {
  kmsfs::open_standard_streams();
  return kmsfs::cli::run_command_line(argument_count, arguments);
}
