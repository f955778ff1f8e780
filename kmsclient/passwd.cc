#include "kmsclient/passwd.h"

#include <pwd.h>

#include <vector>

namespace kmsfs {

PasswdEntry passwd_entry(uid_t uid) {
  std::vector<char> buffer(16384);
  passwd entry{};
  passwd* found = nullptr;
  if (::getpwuid_r(uid, &entry, buffer.data(), buffer.size(), &found) != 0 || found == nullptr) return {};
  return {found->pw_name, found->pw_dir};
}

}  // namespace kmsfs
