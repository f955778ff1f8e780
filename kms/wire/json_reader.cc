#include "kms/wire/json_reader.h"

#include <charconv>

#include "kms/wire/json_text.h"

namespace kmsfs::kms {

namespace {

int base64_value(char c) {
  if (c >= 'A' && c <= 'Z') return c - 'A';
  if (c >= 'a' && c <= 'z') return c - 'a' + 26;
  if (c >= '0' && c <= '9') return c - '0' + 52;
  if (c == '+') return 62;
  if (c == '/') return 63;
  return -1;
}

// Decodes as core/bytes.h does: what no encoder would have written is refused. `put` takes each byte.
template <typename Put>
bool decode_base64(std::string_view raw, const Put& put) {
  JsonTextReader reader(raw);
  std::uint32_t bits = 0;
  int count = 0, padding = 0;  // characters of the group so far
  for (char c; reader.next(c);) {
    if (c == '=') {
      if (++padding > 2 || count < 2) return false;
    } else if (padding > 0) {
      return false;
    } else {
      const int value = base64_value(c);
      if (value < 0) return false;
      bits = bits << 6 | static_cast<std::uint32_t>(value);
      ++count;
    }
    if (count + padding < 4) continue;
    const std::uint32_t group = bits << (6 * padding);
    if ((group & ((1U << (8 * padding)) - 1)) != 0) return false;
    for (int i = 0; i < 3 - padding; ++i) put(static_cast<std::byte>(group >> (16 - 8 * i)));
    bits = 0;
    if (padding > 0) {
      count = 4;  // nothing may follow
      if (char more; reader.next(more)) return false;
      return true;
    }
    count = 0;
  }
  return count == 0 && padding == 0;
}

}  // namespace

JsonValue JsonDocument::root() const { return {*this, 0}; }

std::vector<JsonValue> JsonValue::children() const {
  std::vector<JsonValue> found;
  found.reserve(size());
  for (std::uint32_t at = index_ + 1; at < node().after; at = document_->nodes_[at].after) {
    found.push_back({*document_, at});
  }
  return found;
}

std::optional<JsonValue> JsonValue::member(std::string_view name) const {
  for (std::uint32_t at = index_ + 1; at < node().after; at = document_->nodes_[at].after) {
    const JsonValue one(*document_, at);
    const std::string_view raw = document_->of(one.node().name);
    if (raw != name && (raw.find('\\') == std::string_view::npos || one.name() != name)) continue;
    if (one.is(JsonType::kNull)) return std::nullopt;
    return one;
  }
  return std::nullopt;
}

namespace {

std::string unescaped(std::string_view raw) {
  std::string out;
  out.reserve(raw.size());
  JsonTextReader reader(raw);
  for (char c; reader.next(c);) out += c;
  return out;
}

}  // namespace

std::string JsonValue::name() const { return unescaped(document_->of(node().name)); }
std::string JsonValue::text() const { return unescaped(raw()); }

std::optional<std::int64_t> JsonValue::integer() const {
  const std::string_view digits = raw();
  std::int64_t value = 0;
  const auto [end, failed] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  if (!is(JsonType::kNumber) || failed != std::errc() || end != digits.data() + digits.size()) {
    return std::nullopt;
  }
  return value;
}

std::optional<std::size_t> JsonValue::blob_size() const {
  std::size_t size = 0;
  if (!is(JsonType::kString) || !decode_base64(raw(), [&](std::byte) { ++size; })) return std::nullopt;
  return size;
}

Bytes JsonValue::blob() const {
  Bytes out;
  out.reserve(raw().size() / 4 * 3);
  decode_base64(raw(), [&](std::byte b) { out.push_back(b); });
  return out;
}

Result<SensitiveBytes> JsonValue::secret() const {
  auto out = SensitiveBytes::make(blob_size().value_or(0));
  if (!out) return out;
  std::byte* at = out->fill().data();
  if (out->size() > 0) decode_base64(raw(), [&](std::byte b) { *at++ = b; });
  return out;
}

}  // namespace kmsfs::kms
