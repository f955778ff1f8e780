// A request as text, taken apart without any care for what HTTP allows: a request line, header lines, an
// empty line, a body.
#pragma once

#include <algorithm>
#include <string_view>
#include <vector>

#include "kms/canonical_request.h"

namespace kmsfs::fuzz {

struct HttpText {
  explicit HttpText(std::string_view text) {
    std::string_view line = take_line(text);
    method = line.substr(0, line.find(' '));
    target = method.size() < line.size() ? line.substr(method.size() + 1) : std::string_view();
    while (!text.empty()) {
      line = take_line(text);
      if (line.empty()) break;
      const std::size_t colon = std::min(line.find(':'), line.size());
      headers.push_back(
          {line.substr(0, colon), colon < line.size() ? line.substr(colon + 1) : std::string_view()});
    }
    body = text;
  }

  std::string_view method, target, body;
  std::vector<kms::HttpHeader> headers;

 private:
  static std::string_view take_line(std::string_view& text) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    return line;
  }
};

}  // namespace kmsfs::fuzz
