// Runs real programs as a user would: a script through bash, its output and exit status kept.
// Threads: any; each run is a process of its own.
#pragma once

#include <sys/wait.h>

#include <array>
#include <cstdio>
#include <string>

namespace kmsfs::testing {

struct ScriptResult {
  int status = -1;     // exit status; 128 + signal if killed; -1: could not be started
  std::string output;  // standard output and standard error together
};

inline std::string quoted(const std::string& text) {
  std::string out = "'";
  for (char c : text) out += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return out + "'";
}

// Stops at the first command that fails. Killed after `seconds`, so that a hung mount fails one test and not
// the run.
inline ScriptResult run_script(const std::string& script, int seconds = 300) {
  const std::string command =
      "timeout -k 5 " + std::to_string(seconds) + " bash -euo pipefail -c " + quoted(script) + " 2>&1";
  ScriptResult result;
  FILE* pipe = ::popen(command.c_str(), "r");
  if (pipe == nullptr) return result;
  std::array<char, 4096> buffer{};
  for (std::size_t got = 0; (got = std::fread(buffer.data(), 1, buffer.size(), pipe)) > 0;) {
    result.output.append(buffer.data(), got);
  }
  const int status = ::pclose(pipe);
  result.status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  return result;
}

}  // namespace kmsfs::testing
