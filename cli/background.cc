#include "cli/background.h"

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>

#include "kms/private_file.h"

namespace kmsfs::cli {

Result<Background> Background::fork() {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) return Error::from_errno(errno, "making a pipe");
  UniqueFd read_end(ends[0]), write_end(ends[1]);
  const pid_t child = ::fork();
  if (child < 0) return Error::from_errno(errno, "starting a process");
  if (child > 0) return Background(child, std::move(read_end));
  return Background(0, std::move(write_end));
}

Outcome Background::wait() {
  // One byte of exit code, then the text; the end of the pipe ends it.
  std::string message;
  std::array<std::byte, 4096> buffer{};
  for (;;) {
    auto got = kms::read_up_to(pipe_.get(), buffer);
    if (!got) return failure(got.error(), "waiting for the background process");
    if (*got == 0) break;
    message += as_text(ByteView(buffer).first(*got));
  }
  if (!message.empty()) {
    const auto code = static_cast<ExitCode>(message[0]);
    if (code == ExitCode::kOk) return std::nullopt;
    return Failure{code, message.substr(1)};
  }
  int status = 0;
  while (::waitpid(child_, &status, 0) < 0 && errno == EINTR) {
  }
  const std::string how = WIFSIGNALED(status) ? std::string("it was killed: ") + ::strsignal(WTERMSIG(status))
                                              : "it ended with status " + std::to_string(WEXITSTATUS(status));
  return Failure{ExitCode::kFailure, "the background process ended before it could report: " + how};
}

void Background::report(const Outcome& outcome) {
  if (!pipe_) return;
  std::string message(1, static_cast<char>(outcome ? outcome->code : ExitCode::kOk));
  if (outcome) message += outcome->text;
  // A parent that is gone does not hear it; the child's own fate does not hang on that.
  (void)kms::write_all(pipe_.get(), as_bytes(message));
  pipe_.reset();
}

Result<void> Background::detach() {
  if (::setsid() < 0) return Error::from_errno(errno, "starting a session");
  if (::chdir("/") != 0) return Error::from_errno(errno, "changing to /");
  const UniqueFd null(::open("/dev/null", O_RDWR | O_CLOEXEC));
  if (!null) return Error::from_errno(errno, "opening /dev/null");
  for (int standard : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    if (::dup2(null.get(), standard) < 0) return Error::from_errno(errno, "closing the standard streams");
  }
  return {};
}

}  // namespace kmsfs::cli
