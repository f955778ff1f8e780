// Texts of a policy that may hold wildcards (* and ?) and variables (${aws:username}).
//
// Always: what a variable stands for is taken literally: a * in a user's tag is no wildcard.
// Threads: any; const after parsing.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/result.h"
#include "kms/decision/context_key.h"

namespace kmsfs::kms {

class Pattern {
 public:
  enum class Variables : std::uint8_t { kLiteral, kResolved };

  // kLiteral: "${" is text (policies older than version 2012-10-17).
  static Result<Pattern> parse(std::string_view text, Variables variables);

  // A variable that cannot be resolved (absent key, several values, no default) makes the text match nothing.
  bool like(std::string_view value, const Request& request) const;
  bool equals(std::string_view value, const Request& request) const;
  bool equals_ignore_case(std::string_view value, const Request& request) const;
  // The six parts of an ARN are matched one by one: a * does not reach over a colon, except in the pattern's
  // last part.
  bool arn_like(std::string_view value, const Request& request) const;

  bool resolves(const Request& request) const { return insertions_.empty() || expand(request).has_value(); }
  bool has_variables() const { return !insertions_.empty(); }
  // Is a variable used before the n-th colon?
  bool variable_before_colon(std::size_t n) const;
  const std::string& source() const { return source_; }

 private:
  struct Insertion {
    std::size_t position = 0;  // in text_
    ContextKey key;
    std::optional<std::string> otherwise;
  };
  // text, and for each character whether it is a wildcard
  struct Expansion {
    std::string text;
    std::string wild;
  };
  // What is compared: text_ and wild_ themselves, or an expansion of them.
  struct View {
    std::string_view text;
    std::string_view wild;
  };
  std::optional<Expansion> expand(const Request& request) const;
  template <typename Compare>
  bool compare(const Request& request, Compare compare) const;
  Result<void> append_variable(std::string_view name);

  std::string source_;
  std::string text_;
  std::string wild_;  // as long as text_: '\1' at wildcards
  std::vector<Insertion> insertions_;
};

// Of action names: * and ? are wildcards, the pattern is in lower case, the value in any.
bool action_like(std::string_view pattern, std::string_view value);

bool equals_ignore_case(std::string_view a, std::string_view b);
std::string to_lower(std::string_view text);

}  // namespace kmsfs::kms
