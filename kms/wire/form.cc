#include "kms/wire/form.h"

#include <algorithm>
#include <charconv>

#include "kms/errors.h"

namespace kmsfs::kms {

namespace {

constexpr std::size_t kFieldLimit = 256;

Error malformed(const char* what) {
  return answer(Kind::kInvalid, "MalformedQueryString", std::string("The form has ") + what + ".");
}

bool decode(std::string_view text, std::string& out) {
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '+') {
      out += ' ';
    } else if (text[i] != '%') {
      out += text[i];
    } else {
      unsigned value = 0;
      const char* const digits = text.data() + i + 1;
      if (i + 2 >= text.size() || std::from_chars(digits, digits + 2, value, 16).ptr != digits + 2)
        return false;
      out += static_cast<char>(value);
      i += 2;
    }
  }
  return true;
}

}  // namespace

Result<std::map<std::string, std::string>> parse_form(std::string_view body) {
  std::map<std::string, std::string> fields;
  for (std::size_t at = 0; at < body.size();) {
    const std::size_t end = std::min(body.find('&', at), body.size());
    const std::string_view field = body.substr(at, end - at);
    at = end + 1;
    if (field.empty()) continue;
    const std::size_t equals = std::min(field.find('='), field.size());
    std::string name, value;
    if (!decode(field.substr(0, equals), name) ||
        (equals < field.size() && !decode(field.substr(equals + 1), value))) {
      return malformed("a bad escape");
    }
    if (fields.size() == kFieldLimit) return malformed("too many fields");
    if (!fields.emplace(std::move(name), std::move(value)).second) return malformed("a name twice");
  }
  return fields;
}

}  // namespace kmsfs::kms
