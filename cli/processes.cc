#include "cli/processes.h"

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <filesystem>
#include <fstream>

#include "core/bytes.h"
#include "core/unique_fd.h"
#include "kms/private_file.h"

namespace kmsfs::cli {

namespace {

namespace filesystem = std::filesystem;

// What a program does with its standard streams while it runs.
class StreamsTo {
 public:
  explicit StreamsTo(int fd) {
    ::posix_spawn_file_actions_init(&actions_);
    ::posix_spawn_file_actions_addopen(&actions_, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    ::posix_spawn_file_actions_adddup2(&actions_, fd, STDOUT_FILENO);
    ::posix_spawn_file_actions_adddup2(&actions_, fd, STDERR_FILENO);
  }
  ~StreamsTo() { ::posix_spawn_file_actions_destroy(&actions_); }
  StreamsTo(const StreamsTo&) = delete;
  StreamsTo& operator=(const StreamsTo&) = delete;
  const posix_spawn_file_actions_t* get() const { return &actions_; }

 private:
  posix_spawn_file_actions_t actions_{};
};

bool is_under(const filesystem::path& link, const std::string& mountpoint) {
  std::error_code failed;
  const std::string target = filesystem::read_symlink(link, failed).string();
  return !failed && (target == mountpoint || target.starts_with(mountpoint + "/"));
}

bool uses(const filesystem::path& process, const std::string& mountpoint) {
  for (const char* link : {"cwd", "root", "exe"}) {
    if (is_under(process / link, mountpoint)) return true;
  }
  std::error_code failed;
  for (filesystem::directory_iterator at(process / "fd", failed), end; !failed && at != end;
       at.increment(failed)) {
    if (is_under(at->path(), mountpoint)) return true;
  }
  return false;
}

std::string name_of(const filesystem::path& process) {
  std::string name;
  std::ifstream comm(process / "comm");
  std::getline(comm, name);
  return name + " (" + process.filename().string() + ")";
}

}  // namespace

Result<ProgramResult> run_program(const std::vector<std::string>& command) {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) return Error::from_errno(errno, "making a pipe");
  const UniqueFd read_end(ends[0]);
  UniqueFd write_end(ends[1]);
  std::vector<char*> arguments;
  for (const std::string& argument : command) arguments.push_back(const_cast<char*>(argument.c_str()));
  arguments.push_back(nullptr);
  const StreamsTo streams(write_end.get());
  pid_t child = 0;
  const int failed = ::posix_spawnp(&child, arguments[0], streams.get(), nullptr, arguments.data(), environ);
  if (failed != 0) return Error::from_errno(failed, "running " + command[0]);
  write_end.reset();

  ProgramResult result;
  for (std::array<std::byte, 4096> buffer{};;) {
    auto got = kms::read_up_to(read_end.get(), buffer);
    if (!got || *got == 0) break;
    result.output += as_text(ByteView(buffer).first(*got));
  }
  if (result.output.ends_with('\n')) result.output.pop_back();
  int status = 0;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  result.status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  return result;
}

std::string processes_using(const std::string& mountpoint) {
  constexpr int kMost = 5;
  const std::string self = std::to_string(::getpid());  // holds only what its caller handed down
  std::string out;
  int found = 0;
  std::error_code failed;
  for (filesystem::directory_iterator at("/proc", failed), end; !failed && at != end; at.increment(failed)) {
    const std::string name = at->path().filename().string();
    if (name.find_first_not_of("0123456789") != std::string::npos || name == self) continue;
    if (!uses(at->path(), mountpoint)) continue;
    if (found == kMost) return out + " and others";
    out += (found == 0 ? "" : ", ") + name_of(at->path());
    ++found;
  }
  return out;
}

}  // namespace kmsfs::cli
