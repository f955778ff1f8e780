#include "cli/directories.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <memory>

#include "core/unique_fd.h"
#include "kms/private_file.h"

namespace kmsfs::cli {

namespace {

// An absolute path from the environment; relative ones are to be ignored (XDG Base Directory Specification).
std::string path_from_environment(const char* name) {
  const char* value = std::getenv(name);
  return value != nullptr && value[0] == '/' ? value : std::string();
}

Result<std::string> made(const std::string& path) {
  KMSFS_TRY(kms::make_private_directory(path));
  KMSFS_TRY(kms::open_private_directory(path, "the directory"));
  return path;
}

struct DirectoryCloser {
  void operator()(DIR* directory) const { ::closedir(directory); }
};

bool is_directory(const std::string& path) { return ::access(path.c_str(), X_OK) == 0; }

bool is_in_memory(const std::string& path) {
  struct statfs status {};
  return ::statfs(path.c_str(), &status) == 0 &&
         (status.f_type == TMPFS_MAGIC || status.f_type == RAMFS_MAGIC);
}

}  // namespace

Result<std::string> state_directory() {
  // Root's is fixed: what mount -a at boot writes must be found by root's shell, whatever is exported there.
  if (::geteuid() == 0) return made("/var/lib/kmsfs/state");
  if (const auto state = path_from_environment("XDG_STATE_HOME"); !state.empty())
    return made(state + "/kmsfs");
  const auto home = path_from_environment("HOME");
  if (home.empty()) return error(Kind::kInvalid, "neither XDG_STATE_HOME nor HOME is set; set one of them");
  return made(home + "/.local/state/kmsfs");
}

std::vector<std::string> runtime_directories_of(uid_t uid) {
  if (uid == 0) return {"/run/kmsfs"};
  std::vector<std::string> out;
  if (const auto runtime = path_from_environment("XDG_RUNTIME_DIR"); !runtime.empty() && uid == ::geteuid()) {
    out.push_back(runtime + "/kmsfs");
  }
  out.push_back("/run/user/" + std::to_string(uid) + "/kmsfs");
  out.push_back("/tmp/kmsfs-" + std::to_string(uid));
  return out;
}

Result<std::string> runtime_directory() {
  for (const std::string& path : runtime_directories_of(::geteuid())) {
    const std::string parent = path.substr(0, path.rfind('/'));
    if (is_directory(parent)) return made(path);
  }
  return error(Kind::kNotFound, "there is no /tmp");
}

Result<std::string> memory_directory() {
  auto runtime = runtime_directory();
  if (!runtime || is_in_memory(*runtime)) return runtime;
  return made("/dev/shm/kmsfs-" + std::to_string(::geteuid()));
}

Result<bool> is_empty_directory(int directory) {
  UniqueFd fd(::openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd) return Error::from_errno(errno);
  const std::unique_ptr<DIR, DirectoryCloser> entries(::fdopendir(fd.get()));
  if (!entries) return Error::from_errno(errno);
  fd.release();
  for (const dirent* entry = ::readdir(entries.get()); entry != nullptr; entry = ::readdir(entries.get())) {
    const std::string_view name = entry->d_name;
    if (name != "." && name != "..") return false;
  }
  return true;
}

}  // namespace kmsfs::cli
