#include "kms/wire/output.h"

#include <cstdio>

namespace kmsfs::kms {

namespace {

constexpr char kBase64[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void put(std::byte*& at, std::string_view text) {
  for (const char c : text) *at++ = static_cast<std::byte>(c);
}

// Straight from one place into another, unlike to_base64().
void put_base64(std::byte*& at, ByteView bytes) {
  for (std::size_t i = 0; i < bytes.size(); i += 3) {
    const std::size_t left = bytes.size() - i;
    const auto byte = [&](std::size_t n) {
      return n < left ? std::to_integer<std::uint32_t>(bytes[i + n]) : 0U;
    };
    const std::uint32_t group = byte(0) << 16 | byte(1) << 8 | byte(2);
    for (std::size_t n = 0; n < 4; ++n) {
      *at++ = static_cast<std::byte>(n <= left ? kBase64[(group >> (18 - 6 * n)) & 0x3f] : '=');
    }
  }
}

}  // namespace

std::string epoch_seconds(std::int64_t ms) {
  char text[32];
  const int size = std::snprintf(text, sizeof text, "%lld.%03lld", static_cast<long long>(ms / 1000),
                                 static_cast<long long>(ms % 1000));
  return {text, static_cast<std::size_t>(size)};
}

std::string_view name_of(KeyState state) {
  switch (state) {
    case KeyState::kEnabled:
      return "Enabled";
    case KeyState::kDisabled:
      return "Disabled";
    case KeyState::kPendingDeletion:
      return "PendingDeletion";
  }
  return {};
}

Output& Output::text(std::string_view name, std::string_view value) {
  json_.text(name, value);
  return *this;
}
Output& Output::text_if_any(std::string_view name, std::string_view value) {
  return value.empty() ? *this : text(name, value);
}
Output& Output::number(std::string_view name, std::int64_t value) {
  json_.number(name, value);
  return *this;
}
Output& Output::flag(std::string_view name, bool value) {
  json_.boolean(name, value);
  return *this;
}
Output& Output::blob(std::string_view name, ByteView value) { return text(name, to_base64(value)); }
Output& Output::time(std::string_view name, std::int64_t ms) {
  json_.json(name, epoch_seconds(ms));
  return *this;
}
Output& Output::texts(std::string_view name, const std::vector<std::string>& values) {
  json_.begin_list(name);
  for (const std::string& value : values) json_.text({}, value);
  json_.end_list();
  return *this;
}
Output& Output::tags(std::string_view name, const std::vector<Tag>& values) {
  json_.begin_list(name);
  for (const Tag& tag : values) json_.begin().text("TagKey", tag.key).text("TagValue", tag.value).end();
  json_.end_list();
  return *this;
}
Output& Output::page(const std::string& next_marker) {
  text_if_any("NextMarker", next_marker);
  return flag("Truncated", !next_marker.empty());
}

Body Output::body() && {
  json_.end();
  return Body(std::move(out_));
}

Result<Body> Output::body_with_plaintext(const SensitiveBytes& plaintext) && {
  const std::string_view start = out_.size() == 1 ? "\"Plaintext\":\"" : ",\"Plaintext\":\"";
  constexpr std::string_view end = "\"}";
  const std::size_t base64 = (plaintext.size() + 2) / 3 * 4;
  auto body = SensitiveBytes::make(out_.size() + start.size() + base64 + end.size());
  if (!body) return std::move(body).error();
  std::byte* at = body->fill().data();
  put(at, out_);
  put(at, start);
  put_base64(at, plaintext.reveal());
  put(at, end);
  return Body(std::move(*body));
}

}  // namespace kmsfs::kms
