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

  // An unresolved variable (absent key, several values, no default) matches nothing: nullopt. The others:
  // does it match?
  std::optional<bool> like(std::string_view value, const Request& request) const;
  std::optional<bool> equals(std::string_view value, const Request& request, bool ignore_case) const;
  // The six parts of an ARN are matched one by one: a * does not reach over a colon, except in the last part.
  std::optional<bool> arn_like(std::string_view value, const Request& request) const;

  bool has_variables() const { return !insertions_.empty(); }
  bool matches_everything() const { return text_ == "*" && has_wildcard_; }
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
  struct Flat {
    std::string text;
    std::string wild;
  };
  std::optional<Flat> expand(const Request& request) const;
  void append_literal(std::string_view text);

  std::string source_;
  std::string text_;
  std::string wild_;  // as long as text_: '\1' at wildcards
  std::vector<Insertion> insertions_;
  bool has_wildcard_ = false;
};

// Glob over plain text: every * and ? in the pattern is a wildcard.
bool glob(std::string_view pattern, std::string_view value);

}  // namespace kmsfs::kms
