#include "kms/canonical_request.h"

#include <algorithm>
#include <utility>

namespace kmsfs::kms {

namespace {

constexpr char kHex[] = "0123456789ABCDEF";

bool same_name(std::string_view name, std::string_view lower) {
  return name.size() == lower.size() &&
         std::equal(name.begin(), name.end(), lower.begin(), [](char a, char b) {
           return (a >= 'A' && a <= 'Z' ? static_cast<char>(a - 'A' + 'a') : a) == b;
         });
}

bool is_unreserved(char c) {
  return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_' ||
         c == '.' || c == '~';
}

void append_encoded(std::string& out, std::string_view text, bool keep_slash) {
  for (const char c : text) {
    if (is_unreserved(c) || (keep_slash && c == '/')) {
      out += c;
    } else {
      const auto byte = static_cast<unsigned char>(c);
      out += '%';
      out += kHex[byte >> 4];
      out += kHex[byte & 15];
    }
  }
}

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

// %41 → A; what is no escape stands for itself.
std::string decoded(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '%' && i + 2 < text.size() && hex_digit(text[i + 1]) >= 0 && hex_digit(text[i + 2]) >= 0) {
      out += static_cast<char>(hex_digit(text[i + 1]) * 16 + hex_digit(text[i + 2]));
      i += 2;
    } else {
      out += text[i];
    }
  }
  return out;
}

std::string encoded(std::string_view text) {
  std::string out;
  append_encoded(out, text, /*keep_slash=*/false);
  return out;
}

bool is_space(char c) { return c == ' ' || c == '\t'; }

}  // namespace

std::vector<std::string_view> header_values(std::span<const HttpHeader> headers, std::string_view name) {
  std::vector<std::string_view> values;
  for (const HttpHeader& header : headers) {
    if (same_name(header.name, name)) values.push_back(header.value);
  }
  return values;
}

std::string_view single_header(std::span<const HttpHeader> headers, std::string_view name) {
  std::string_view found;
  int count = 0;
  for (const HttpHeader& header : headers) {
    if (!same_name(header.name, name)) continue;
    found = header.value;
    ++count;
  }
  return count == 1 ? found : std::string_view();
}

std::string canonical_path(std::string_view path) {
  std::vector<std::string_view> segments;
  std::size_t at = 0;
  while (at < path.size()) {
    const std::size_t end = std::min(path.find('/', at), path.size());
    const std::string_view segment = path.substr(at, end - at);
    at = end + 1;
    if (segment.empty() || segment == ".") continue;
    if (segment != "..") {
      segments.push_back(segment);
    } else if (!segments.empty()) {
      segments.pop_back();
    }
  }
  std::string out;
  for (const std::string_view segment : segments) {
    out += '/';
    append_encoded(out, segment, /*keep_slash=*/false);
  }
  if (out.empty() || path.ends_with('/')) out += '/';
  return out;
}

std::string canonical_query(std::string_view query) {
  std::vector<std::pair<std::string, std::string>> parameters;
  std::size_t at = 0;
  while (at < query.size()) {
    const std::size_t end = std::min(query.find('&', at), query.size());
    const std::string_view parameter = query.substr(at, end - at);
    at = end + 1;
    if (parameter.empty()) continue;
    const std::size_t equals = std::min(parameter.find('='), parameter.size());
    const std::string_view value = equals < parameter.size() ? parameter.substr(equals + 1) : "";
    parameters.emplace_back(encoded(decoded(parameter.substr(0, equals))), encoded(decoded(value)));
  }
  std::sort(parameters.begin(), parameters.end());
  std::string out;
  for (const auto& [name, value] : parameters) {
    if (!out.empty()) out += '&';
    out.append(name).append("=").append(value);
  }
  return out;
}

std::string canonical_header_value(std::span<const std::string_view> values) {
  std::string out;
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (i > 0) out += ',';
    std::string_view value = values[i];
    while (!value.empty() && is_space(value.front())) value.remove_prefix(1);
    while (!value.empty() && is_space(value.back())) value.remove_suffix(1);
    bool in_run = false;
    for (const char c : value) {
      if (is_space(c)) {
        if (!in_run) out += ' ';
        in_run = true;
      } else {
        out += c;
        in_run = false;
      }
    }
  }
  return out;
}

std::string canonical_request(const SignableRequest& request, std::span<const std::string> signed_headers,
                              std::string_view body_hash) {
  const std::size_t question = std::min(request.target.find('?'), request.target.size());
  std::string out(request.method);
  out.append("\n").append(canonical_path(request.target.substr(0, question))).append("\n");
  if (question < request.target.size()) out.append(canonical_query(request.target.substr(question + 1)));
  out += '\n';
  std::string names;
  for (const std::string& name : signed_headers) {
    const auto values = header_values(request.headers, name);
    out.append(name).append(":").append(canonical_header_value(values)).append("\n");
    if (!names.empty()) names += ';';
    names += name;
  }
  out.append("\n").append(names).append("\n").append(body_hash);
  return out;
}

}  // namespace kmsfs::kms
