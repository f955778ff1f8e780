// What the system knows about a uid. Threads: any.
#pragma once

#include <sys/types.h>

#include <string>

namespace kmsfs {

struct PasswdEntry {
  std::string name, home;
};
PasswdEntry passwd_entry(uid_t uid);  // empty if the system does not know it

}  // namespace kmsfs
