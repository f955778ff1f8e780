#include "kmsclient/environment.h"

#include <strings.h>
#include <unistd.h>

#include <cstdlib>

#include "kmsclient/passwd.h"

namespace kmsfs {

Environment::Environment() : lookup_([](const char* name) { return ::secure_getenv(name); }) {}

bool Environment::is_true(const char* name) const { return ::strcasecmp(text(name).c_str(), "true") == 0; }

std::string Environment::home() const {
  const std::string home = text("HOME");
  return home.starts_with('/') ? home : passwd_entry(::geteuid()).home;
}

}  // namespace kmsfs
