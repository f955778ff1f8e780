// Checks a document and notes where its values are.
#include <algorithm>
#include <deque>

#include "kms/errors.h"
#include "kms/wire/json_reader.h"
#include "kms/wire/json_text.h"

namespace kmsfs::kms {

namespace {

// The length of the UTF-8 sequence at `at`; 0 if there is none (RFC 3629: no surrogates, nothing overlong).
std::size_t utf8_length(std::string_view text, std::size_t at) {
  const auto byte = [&](std::size_t i) {
    return at + i < text.size() ? static_cast<unsigned char>(text[at + i]) : 0U;
  };
  const auto tail = [&](std::size_t i, unsigned low = 0x80, unsigned high = 0xbf) {
    return byte(i) >= low && byte(i) <= high;
  };
  const unsigned first = byte(0);
  if (first < 0x80) return 1;
  if (first >= 0xc2 && first <= 0xdf) return tail(1) ? 2 : 0;
  if (first >= 0xe0 && first <= 0xef) {
    return tail(1, first == 0xe0 ? 0xa0 : 0x80, first == 0xed ? 0x9f : 0xbf) && tail(2) ? 3 : 0;
  }
  if (first >= 0xf0 && first <= 0xf4) {
    return tail(1, first == 0xf0 ? 0x90 : 0x80, first == 0xf4 ? 0x8f : 0xbf) && tail(2) && tail(3) ? 4 : 0;
  }
  return 0;
}

bool is_digit(char c) { return c >= '0' && c <= '9'; }

}  // namespace

class JsonParser {
 public:
  using Range = JsonDocument::Range;
  using Node = JsonDocument::Node;

  explicit JsonParser(JsonDocument& document) : document_(document), text_(document.text_) {}

  bool parse() {
    skip_space();
    if (!value({}, 0)) return false;
    skip_space();
    return at_ == text_.size() || fail("something follows the document");
  }
  std::string problem() const {
    return "The request body is no valid JSON: " + problem_ + ", at byte " + std::to_string(at_);
  }

 private:
  bool fail(const char* what) {
    problem_ = what;
    return false;
  }
  char peek() const { return at_ < text_.size() ? text_[at_] : '\0'; }
  bool take(char c) {
    if (peek() != c || at_ == text_.size()) return false;
    ++at_;
    return true;
  }
  void skip_space() {
    while (at_ < text_.size() &&
           (text_[at_] == ' ' || text_[at_] == '\t' || text_[at_] == '\n' || text_[at_] == '\r')) {
      ++at_;
    }
  }
  std::uint32_t here() const { return static_cast<std::uint32_t>(at_); }

  bool value(const Range& name, int depth) {
    if (depth > kJsonDepthLimit) return fail("nested too deep");
    const std::size_t index = document_.nodes_.size();
    document_.nodes_.emplace_back().name = name;
    Range range{here(), 0};
    JsonType type = JsonType::kNull;
    std::uint32_t size = 0;
    bool good = false;
    switch (peek()) {
      case '{':
        type = JsonType::kObject;
        good = object(depth, size);
        break;
      case '[':
        type = JsonType::kList;
        good = list(depth, size);
        break;
      case '"':
        type = JsonType::kString;
        good = string(range);
        break;
      case 't':
        type = JsonType::kBoolean;
        good = literal("true");
        break;
      case 'f':
        type = JsonType::kBoolean;
        good = literal("false");
        break;
      case 'n':
        good = literal("null");
        break;
      default:
        type = JsonType::kNumber;
        good = number();
    }
    if (!good) return false;
    if (type != JsonType::kString) range.end = here();
    Node& node = document_.nodes_[index];
    node.type = type;
    node.text = range;
    node.size = size;
    node.after = static_cast<std::uint32_t>(document_.nodes_.size());
    return true;
  }

  bool object(int depth, std::uint32_t& size) {
    std::vector<Range> names;
    ++at_;
    skip_space();
    if (take('}')) return true;
    for (;;) {
      Range name;
      if (peek() != '"') return fail("a name was expected");
      if (!string(name)) return false;
      names.push_back(name);
      skip_space();
      if (!take(':')) return fail("':' was expected");
      skip_space();
      if (!value(name, depth + 1)) return false;
      ++size;
      skip_space();
      if (take('}')) return no_name_twice(names);
      if (!take(',')) return fail("',' or '}' was expected");
      skip_space();
    }
  }

  bool list(int depth, std::uint32_t& size) {
    ++at_;
    skip_space();
    if (take(']')) return true;
    for (;;) {
      if (!value({}, depth + 1)) return false;
      ++size;
      skip_space();
      if (take(']')) return true;
      if (!take(',')) return fail("',' or ']' was expected");
      skip_space();
    }
  }

  bool no_name_twice(const std::vector<Range>& ranges) {
    if (ranges.size() < 2) return true;
    std::deque<std::string> unescaped;  // names are compared as what they mean
    std::vector<std::string_view> names;
    names.reserve(ranges.size());
    for (const Range& range : ranges) {
      const std::string_view raw = document_.of(range);
      if (raw.find('\\') == std::string_view::npos) {
        names.push_back(raw);
        continue;
      }
      std::string& name = unescaped.emplace_back();
      JsonTextReader reader(raw);
      for (char c; reader.next(c);) name += c;
      names.push_back(name);
    }
    std::sort(names.begin(), names.end());
    return std::adjacent_find(names.begin(), names.end()) == names.end() ||
           fail("a name is there twice in one object");
  }

  bool string(Range& range) {
    ++at_;
    range.begin = here();
    while (at_ < text_.size()) {
      const auto c = static_cast<unsigned char>(text_[at_]);
      if (c == '"') {
        range.end = here();
        ++at_;
        return true;
      }
      if (c < 0x20) return fail("a control character in a string");
      if (c == '\\') {
        if (!escape()) return fail("a bad escape");
        continue;
      }
      const std::size_t length = utf8_length(text_, at_);
      if (length == 0) return fail("invalid UTF-8");
      at_ += length;
    }
    return fail("a string without an end");
  }

  bool escape() {
    const char kind = at_ + 1 < text_.size() ? text_[at_ + 1] : '\0';
    if (kind != 'u') {
      at_ += 2;
      return kind != '\0' && std::string_view("\"\\/bfnrt").find(kind) != std::string_view::npos;
    }
    const auto unit = JsonTextReader::code_unit(text_, at_ + 2);
    if (!unit || JsonTextReader::is_low_surrogate(*unit)) return false;
    at_ += 6;
    if (!JsonTextReader::is_high_surrogate(*unit)) return true;
    if (text_.substr(at_, 2) != "\\u") return false;
    const auto low = JsonTextReader::code_unit(text_, at_ + 2);
    at_ += 6;
    return low && JsonTextReader::is_low_surrogate(*low);
  }

  bool literal(std::string_view word) {
    if (text_.substr(at_, word.size()) != word) return fail("a value was expected");
    at_ += word.size();
    return true;
  }

  bool digits() {
    const std::size_t start = at_;
    while (is_digit(peek())) ++at_;
    return at_ > start || fail("a value was expected");
  }

  bool number() {
    take('-');
    if (!take('0') && !digits()) return false;
    if (take('.') && !digits()) return false;
    if (peek() != 'e' && peek() != 'E') return true;
    ++at_;
    if (!take('+')) take('-');
    return digits();
  }

  JsonDocument& document_;
  const std::string_view text_;
  std::size_t at_ = 0;
  std::string problem_;
};

Result<JsonDocument> JsonDocument::parse(ByteView text) {
  JsonDocument document;
  document.text_ = as_text(text);
  if (text.size() > UINT32_MAX / 2) {
    return answer(Kind::kInvalid, "SerializationException", "The request body is too large.");
  }
  JsonParser parser(document);
  if (!parser.parse()) return answer(Kind::kInvalid, "SerializationException", parser.problem());
  return document;
}

}  // namespace kmsfs::kms
