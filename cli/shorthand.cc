#include "cli/shorthand.h"

#include <nlohmann/json.hpp>
#include <string>

namespace kmsfs::cli {

namespace {

using Json = nlohmann::ordered_json;

constexpr int kDeepest = 8;  // nothing that AWS takes nests deeper than three

class Parser {
 public:
  explicit Parser(std::string_view text) : rest_(text) {}

  Result<Json> parse() {
    auto object = pairs('\0', 0);
    if (object && !rest_.empty()) return wrong("a comma");
    return object;
  }

 private:
  Error wrong(const std::string& expected) const {
    return error(Kind::kInvalid,
                 "it needs " + expected +
                     (rest_.empty() ? " at its end" : " before '" + std::string(rest_) + "'") +
                     "; write name=value,name=value or JSON");
  }
  bool accept(char c) {
    if (rest_.empty() || rest_.front() != c) return false;
    rest_.remove_prefix(1);
    return true;
  }

  // name=value,… up to `end`, which is left where it is.
  Result<Json> pairs(char end, int depth) {
    Json object = Json::object();
    if (!rest_.empty() && rest_.front() == end) return object;
    do {
      const auto equals = rest_.find_first_of("=,{}[]");
      if (equals == std::string_view::npos || rest_[equals] != '=' || equals == 0) return wrong("name=");
      std::string name(rest_.substr(0, equals));
      rest_.remove_prefix(equals + 1);
      auto member = value(depth + 1);
      if (!member) return member;
      if (object.contains(name)) return error(Kind::kInvalid, "it names " + name + " twice");
      object[std::move(name)] = std::move(*member);
    } while (accept(','));
    return object;
  }

  Result<Json> value(int depth) {
    if (depth > kDeepest) return error(Kind::kInvalid, "it is nested too deeply");
    if (accept('{')) {
      auto object = pairs('}', depth);
      if (object && !accept('}')) return wrong("}");
      return object;
    }
    if (accept('[')) return list(depth);
    if (!rest_.empty() && (rest_.front() == '"' || rest_.front() == '\'')) return quoted();
    const std::string_view word = rest_.substr(0, rest_.find_first_of(",}]"));
    rest_.remove_prefix(word.size());
    return Json(word);
  }

  Result<Json> list(int depth) {
    Json list = Json::array();
    if (accept(']')) return list;
    do {
      auto element = value(depth + 1);
      if (!element) return element;
      list.push_back(std::move(*element));
    } while (accept(','));
    if (!accept(']')) return wrong("]");
    return list;
  }

  Result<Json> quoted() {
    const char quote = rest_.front();
    rest_.remove_prefix(1);
    std::string text;
    while (!rest_.empty() && rest_.front() != quote) {
      if (rest_.front() == '\\' && rest_.size() > 1) rest_.remove_prefix(1);
      text += rest_.front();
      rest_.remove_prefix(1);
    }
    if (!accept(quote)) return wrong(std::string(1, quote));
    return Json(std::move(text));
  }

  std::string_view rest_;
};

}  // namespace

Result<Json> parse_shorthand(std::string_view text) {
  if (const auto begin = text.find_first_not_of(" \t\r\n");
      begin != std::string_view::npos && text[begin] == '{') {
    auto json = Json::parse(text, nullptr, false);
    if (!json.is_object()) return error(Kind::kInvalid, "it begins as a JSON object, and is none");
    return json;
  }
  while (text.ends_with('\n')) text.remove_suffix(1);
  return Parser(text).parse();
}

}  // namespace kmsfs::cli
