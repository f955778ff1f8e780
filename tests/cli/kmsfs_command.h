// Runs the built kmsfs as a user without a terminal would, with all that it keeps for itself in one scratch
// directory where it lets itself be told so.
#pragma once

#include <gtest/gtest.h>
#include <pty.h>
#include <sys/wait.h>
#include <unistd.h>

#include <string>
#include <vector>

#include "cli/exit_codes.h"
#include "cli/processes.h"
#include "core/unique_fd.h"
#include "tests/cli/scratch_directory.h"

namespace kmsfs::testing {

class KmsfsCommand : public ::testing::Test {
 protected:
  using Arguments = std::vector<std::string>;

  std::string path(const std::string& name) const { return top_ / name; }
  std::string kms() const { return "local:" + path("kms"); }

  cli::ProgramResult run(const Arguments& command) const {
    auto result = cli::run_program(command);
    EXPECT_TRUE(result) << result.error().text;
    return result ? *result : cli::ProgramResult{};
  }
  cli::ProgramResult kmsfs(const Arguments& arguments) const {
    Arguments command = {"timeout",
                         "60",
                         "setsid",
                         "-w",
                         "env",
                         "HOME=" + top_.path(),
                         "XDG_DATA_HOME=" + path("data"),
                         "XDG_STATE_HOME=" + path("state"),
                         KMSFS_BINARY};
    command.insert(command.end(), arguments.begin(), arguments.end());
    return run(command);
  }

  // On a terminal: types the next answer whenever a prompt waits (output ends in ": ").
  cli::ProgramResult kmsfs_on_terminal(const Arguments& arguments, const Arguments& answers) const {
    Arguments command = {"timeout", "--foreground", "60", KMSFS_BINARY};
    command.insert(command.end(), arguments.begin(), arguments.end());
    std::vector<char*> pointers;
    for (std::string& argument : command) pointers.push_back(argument.data());
    pointers.push_back(nullptr);
    int terminal = -1;
    const pid_t child = ::forkpty(&terminal, nullptr, nullptr, nullptr);
    if (child == 0) {
      ::execvp(pointers[0], pointers.data());
      ::_exit(127);
    }
    const UniqueFd owner(terminal);
    cli::ProgramResult result;
    std::size_t typed = 0;
    char buffer[512];
    for (ssize_t got = 0; (got = ::read(terminal, buffer, sizeof buffer)) > 0;) {
      result.output.append(buffer, static_cast<std::size_t>(got));
      if (!result.output.ends_with(": ") || typed == answers.size()) continue;
      const std::string& answer = answers[typed++];
      EXPECT_EQ(::write(terminal, answer.data(), answer.size()), static_cast<ssize_t>(answer.size()));
    }
    int status = 0;
    EXPECT_EQ(::waitpid(child, &status, 0), child);
    result.status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    return result;
  }

  // Ended with that code, and said so in one line that contains `words`.
  ::testing::AssertionResult fails(const Arguments& arguments, cli::ExitCode code,
                                   const std::string& words) const {
    const auto result = kmsfs(arguments);
    if (result.status == static_cast<int>(code) && result.output.starts_with("kmsfs: ") &&
        result.output.find('\n') == std::string::npos && result.output.find(words) != std::string::npos) {
      return ::testing::AssertionSuccess();
    }
    return ::testing::AssertionFailure() << "status " << result.status << ": " << result.output;
  }
  ::testing::AssertionResult succeeds(const Arguments& arguments) const {
    const auto result = kmsfs(arguments);
    if (result.status == 0) return ::testing::AssertionSuccess();
    return ::testing::AssertionFailure() << "status " << result.status << ": " << result.output;
  }

  ScratchDirectory top_;
};

}  // namespace kmsfs::testing
