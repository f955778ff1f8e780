// The words of `kmsfs kms …`, taken apart as a row of the table says.
//
// Always: what is returned has every parameter that must be given, and none that the command does not know.
// No error repeats the value of a blob. Threads: pure functions.
#pragma once

#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "cli/kms_commands.h"
#include "core/result.h"

namespace kmsfs::cli {

class KmsArguments {
 public:
  // `words`: what follows "kmsfs kms". kInvalid names what is wrong, and the command's usage.
  static Result<KmsArguments> parse(std::span<const std::string_view> words);

  const KmsCommand* command() const { return command_; }  // nullptr: none was named
  bool help() const { return flag("--help") == true; }

  // Everything that was given for a parameter, in order; nothing: it was not given.
  std::span<const std::string> all(std::string_view name) const;
  bool given(std::string_view name) const { return !all(name).empty(); }
  // The only one; empty: it was not given.
  std::string text(std::string_view name) const { return given(name) ? all(name).front() : std::string(); }
  std::optional<bool> flag(std::string_view name) const;

 private:
  const KmsCommand* command_ = nullptr;
  std::map<std::string, std::vector<std::string>, std::less<>> values_;
  friend class KmsArgumentsParser;
};

}  // namespace kmsfs::cli
