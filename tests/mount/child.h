// Another process of a test. Threads: any, but the child has only the calling one.
#pragma once

#include <sys/wait.h>
#include <unistd.h>

namespace kmsfs::testing {

// The status with which a child ends that does `act`, which says it; -1 if something else ended it.
template <typename Act>
int in_child(Act&& act) {
  const pid_t child = ::fork();
  if (child == 0) ::_exit(act());
  int status = -1;
  ::waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

}  // namespace kmsfs::testing
