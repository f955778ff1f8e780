#include "kms/decision/pattern.h"

#include <algorithm>

namespace kmsfs::kms {

namespace {

constexpr char kLiteral = '\0';
constexpr char kWild = '\1';
constexpr int kColonsOfArn = 5;

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

// The usual two-cursor match: on a mismatch the last * takes one character more. Linear memory, at most
// pattern x value steps, no recursion.
template <typename IsWild, typename Same>
bool wildcard_match(std::string_view pattern, std::string_view value, IsWild is_wild, Same same) {
  std::size_t p = 0;
  std::size_t v = 0;
  std::size_t star = std::string_view::npos;
  std::size_t star_value = 0;
  while (v < value.size()) {
    if (p < pattern.size() && is_wild(p) && pattern[p] == '*') {
      star = p++;
      star_value = v;
    } else if (p < pattern.size() && (is_wild(p) ? pattern[p] == '?' : same(pattern[p], value[v]))) {
      ++p;
      ++v;
    } else if (star != std::string_view::npos) {
      p = star + 1;
      v = ++star_value;
    } else {
      return false;
    }
  }
  while (p < pattern.size() && is_wild(p) && pattern[p] == '*') ++p;
  return p == pattern.size();
}

bool like_view(std::string_view text, std::string_view wild, std::string_view value) {
  return wildcard_match(
      text, value, [&](std::size_t i) { return wild[i] == kWild; }, [](char a, char b) { return a == b; });
}

}  // namespace

Result<Pattern> Pattern::parse(std::string_view text, Variables variables) {
  Pattern pattern;
  pattern.source_ = text;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (variables == Variables::kResolved && c == '$' && i + 1 < text.size() && text[i + 1] == '{') {
      const std::size_t end = text.find('}', i);
      if (end == std::string_view::npos) {
        return error(Kind::kInvalid,
                     "'" + pattern.source_ + "' has a policy variable without its closing brace");
      }
      KMSFS_TRY(pattern.append_variable(text.substr(i + 2, end - i - 2)));
      i = end;
      continue;
    }
    pattern.text_ += c;
    pattern.wild_ += c == '*' || c == '?' ? kWild : kLiteral;
  }
  return pattern;
}

Result<void> Pattern::append_variable(std::string_view name) {
  if (name == "*" || name == "?" || name == "$") {
    text_ += name;
    wild_ += kLiteral;
    return {};
  }
  Insertion insertion;
  insertion.position = text_.size();
  if (const std::size_t comma = name.find(','); comma != std::string_view::npos) {
    std::string_view otherwise = name.substr(comma + 1);
    name = name.substr(0, comma);
    while (!otherwise.empty() && otherwise.front() == ' ') otherwise.remove_prefix(1);
    if (otherwise.size() < 2 || otherwise.front() != '\'' || otherwise.back() != '\'') {
      return error(Kind::kInvalid,
                   "'" + source_ + "' has a policy variable whose default is not in single quotes");
    }
    insertion.otherwise = otherwise.substr(1, otherwise.size() - 2);
  }
  if (name.empty() || name.find(':') == std::string_view::npos) {
    return error(Kind::kInvalid, "'" + source_ + "' has a policy variable that names no condition key");
  }
  insertion.key = parse_context_key(name);
  insertions_.push_back(std::move(insertion));
  return {};
}

std::optional<Pattern::Expansion> Pattern::expand(const Request& request) const {
  Expansion expansion;
  std::size_t done = 0;
  for (const Insertion& insertion : insertions_) {
    expansion.text.append(text_, done, insertion.position - done);
    expansion.wild.append(wild_, done, insertion.position - done);
    done = insertion.position;
    const ContextValues values(insertion.key, request);
    const bool usable = values.size() == 1 && !is_multivalued(insertion.key.name);
    if (!usable && !insertion.otherwise) return std::nullopt;
    expansion.text += usable ? values[0] : std::string_view(*insertion.otherwise);
    expansion.wild.resize(expansion.text.size(), kLiteral);
  }
  expansion.text.append(text_, done);
  expansion.wild.append(wild_, done);
  return expansion;
}

template <typename Compare>
bool Pattern::compare(const Request& request, Compare compare) const {
  if (insertions_.empty()) return compare(View{text_, wild_});
  const auto expansion = expand(request);
  return expansion && compare(View{expansion->text, expansion->wild});
}

bool Pattern::like(std::string_view value, const Request& request) const {
  return compare(request, [&](View view) { return like_view(view.text, view.wild, value); });
}

bool Pattern::equals(std::string_view value, const Request& request) const {
  return compare(request, [&](View view) { return view.text == value; });
}

bool Pattern::equals_ignore_case(std::string_view value, const Request& request) const {
  return compare(request, [&](View view) { return kms::equals_ignore_case(view.text, value); });
}

bool Pattern::arn_like(std::string_view value, const Request& request) const {
  return compare(request, [&](View view) {
    for (int colons = 0; colons < kColonsOfArn; ++colons) {
      const std::size_t end = view.text.find(':');
      if (end == std::string_view::npos) break;  // the pattern's last part takes the rest
      const std::size_t value_end = value.find(':');
      if (value_end == std::string_view::npos) return false;
      if (!like_view(view.text.substr(0, end), view.wild.substr(0, end), value.substr(0, value_end)))
        return false;
      view.text.remove_prefix(end + 1);
      view.wild.remove_prefix(end + 1);
      value.remove_prefix(value_end + 1);
    }
    return like_view(view.text, view.wild, value);
  });
}

bool Pattern::variable_before_colon(std::size_t n) const {
  if (insertions_.empty()) return false;
  const auto before = std::string_view(text_).substr(0, insertions_.front().position);
  return static_cast<std::size_t>(std::count(before.begin(), before.end(), ':')) < n;
}

bool action_like(std::string_view pattern, std::string_view value) {
  return wildcard_match(
      pattern, value, [&](std::size_t i) { return pattern[i] == '*' || pattern[i] == '?'; },
      [](char a, char b) { return a == lower(b); });
}

bool equals_ignore_case(std::string_view a, std::string_view b) {
  return a.size() == b.size() &&
         std::equal(a.begin(), a.end(), b.begin(), [](char x, char y) { return lower(x) == lower(y); });
}

std::string to_lower(std::string_view text) {
  std::string result(text);
  std::transform(result.begin(), result.end(), result.begin(), lower);
  return result;
}

}  // namespace kmsfs::kms
