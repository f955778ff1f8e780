#include "kmsclient/credentials/secret_input.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <optional>
#include <thread>

#include "core/unique_fd.h"
#include "kms/private_file.h"
#include "kmsclient/credentials/credentials.h"

extern char** environ;

namespace kmsfs {

namespace {

constexpr std::size_t kProgramLimit = std::size_t{64} << 10;

using SteadyTime = std::chrono::steady_clock::time_point;

Milliseconds until(SteadyTime end) {
  const auto left = std::chrono::ceil<Milliseconds>(end - std::chrono::steady_clock::now());
  return std::max(left, Milliseconds(0));
}

// A child in a process group of its own, which does not outlive this.
class Child {
 public:
  static Result<Child> start(const std::string& command, int output) {
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    ::posix_spawn_file_actions_init(&actions);
    ::posix_spawnattr_init(&attributes);
    ::posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    ::posix_spawn_file_actions_adddup2(&actions, output, STDOUT_FILENO);
    sigset_t none;
    ::sigemptyset(&none);
    ::posix_spawnattr_setsigmask(&attributes, &none);
    ::posix_spawnattr_setpgroup(&attributes, 0);
    ::posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK);
    std::string shell = "/bin/sh", option = "-c", text = command;
    char* const arguments[] = {shell.data(), option.data(), text.data(), nullptr};
    pid_t pid = -1;
    const int failed = ::posix_spawn(&pid, shell.c_str(), &actions, &attributes, arguments, environ);
    ::posix_spawn_file_actions_destroy(&actions);
    ::posix_spawnattr_destroy(&attributes);
    if (failed != 0)
      return error(Kind::kUnavailable, std::string("it cannot be started: ") + ::strerror(failed));
    return Child(pid);
  }
  Child(Child&& other) noexcept : pid_(std::exchange(other.pid_, -1)) {}
  Child& operator=(Child&&) = delete;
  ~Child() {
    if (pid_ <= 0) return;
    ::kill(-pid_, SIGKILL);
    while (::waitpid(pid_, nullptr, 0) < 0 && errno == EINTR) {
    }
  }

  // Its exit status; nothing if it has not ended in time.
  std::optional<int> wait_until(SteadyTime end) {
    for (;;) {
      int status = 0;
      const pid_t ended = ::waitpid(pid_, &status, WNOHANG);
      if (ended < 0 && errno == EINTR) continue;
      if (ended != 0) {
        pid_ = -1;
        return ended < 0 ? 0 : status;  // somebody else reaped it: its output has to speak for itself
      }
      if (until(end) == Milliseconds(0)) return std::nullopt;
      std::this_thread::sleep_for(Milliseconds(1));
    }
  }

 private:
  explicit Child(pid_t pid) : pid_(pid) {}
  pid_t pid_;
};

Error too_late() { return error(Kind::kUnavailable, "it did not answer in time"); }

// Bytes read, in the front of `into`.
Result<std::size_t> read_until_end(int pipe, ByteSpan into, SteadyTime end) {
  std::size_t size = 0;
  for (;;) {
    pollfd ready{pipe, POLLIN, 0};
    const int polled = ::poll(&ready, 1, static_cast<int>(until(end).count()));
    if (polled < 0 && errno == EINTR) continue;
    if (polled <= 0) return too_late();
    if (size == into.size()) return error(Kind::kUnavailable, "it wrote more than 64 KiB");
    const ssize_t got = ::read(pipe, into.data() + size, into.size() - size);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return error(Kind::kUnavailable, std::string("reading from it: ") + ::strerror(errno));
    if (got == 0) return size;
    size += static_cast<std::size_t>(got);
  }
}

std::string_view without_space_at_end(std::string_view text) {
  while (!text.empty() && std::strchr(" \t\r\n", text.back()) != nullptr) text.remove_suffix(1);
  return text;
}

}  // namespace

Result<kms::SensitiveBytes> read_secret_file(const std::string& path, bool trimmed) {
  const UniqueFd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
  struct stat attributes {};
  if (!file || ::fstat(file.get(), &attributes) != 0) {
    return error(errno == ENOENT ? Kind::kNotFound : Kind::kUnavailable,
                 path + " cannot be read: " + ::strerror(errno));
  }
  if (!S_ISREG(attributes.st_mode)) return error(Kind::kUnavailable, path + " is not a regular file");
  if (static_cast<std::size_t>(attributes.st_size) > kSecretFileLimit) {
    return error(Kind::kUnavailable, path + " is longer than 256 KiB");
  }
  auto content = kms::SensitiveBytes::make(static_cast<std::size_t>(attributes.st_size));
  if (!content) return content;
  auto size = kms::read_up_to(file.get(), content->fill());
  if (!size) return error(Kind::kUnavailable, path + " cannot be read: " + size.error().text);
  const std::string_view text = as_text(content->reveal().first(*size));
  return trimmed ? sensitive_copy(without_space_at_end(text)) : sensitive_copy(text);
}

Result<kms::SensitiveBytes> read_from_program(const std::string& command, Milliseconds patience) {
  const SteadyTime end = std::chrono::steady_clock::now() + patience;
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0)
    return error(Kind::kUnavailable, std::string("no pipe: ") + ::strerror(errno));
  const UniqueFd reading(ends[0]);
  UniqueFd writing(ends[1]);
  auto child = Child::start(command, writing.get());
  if (!child) return std::move(child).error();
  writing.reset();
  auto output = kms::SensitiveBytes::make(kProgramLimit);
  if (!output) return output;
  auto size = read_until_end(reading.get(), output->fill(), end);
  if (!size) return std::move(size).error();
  const auto status = child->wait_until(end);
  if (!status) return too_late();
  if (!WIFEXITED(*status) || WEXITSTATUS(*status) != 0) {
    return error(Kind::kUnavailable, WIFEXITED(*status)
                                         ? "it ended with status " + std::to_string(WEXITSTATUS(*status))
                                         : "it was killed by signal " + std::to_string(WTERMSIG(*status)));
  }
  return sensitive_copy(as_text(output->reveal().first(*size)));
}

}  // namespace kmsfs
