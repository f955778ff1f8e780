#include <fcntl.h>
#include <unistd.h>

#include "cli/command_line.h"

namespace {

// A descriptor of ours must never be taken for a standard stream that the caller had closed.
void open_standard_streams() {
  int fd = 0;
  while (fd >= 0 && fd <= STDERR_FILENO) fd = ::open("/dev/null", O_RDWR);
  if (fd > STDERR_FILENO) ::close(fd);
}

}  // namespace

int main(int argument_count, char** arguments) {
  open_standard_streams();
  return kmsfs::cli::run_command_line(argument_count, arguments);
}
