#include "kms/wire/output.h"

#include <cstdio>
#include <cstring>

#include "kms/base64.h"

namespace kmsfs::kms {

namespace {

void put(ByteSpan& at, std::string_view text) {
  std::memcpy(at.data(), text.data(), text.size());
  at = at.subspan(text.size());
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
  const std::size_t encoded = base64_size(plaintext.size());
  auto body = SensitiveBytes::make(out_.size() + start.size() + encoded + end.size());
  if (!body) return std::move(body).error();
  ByteSpan at = body->fill();
  put(at, out_);
  put(at, start);
  write_base64(plaintext.reveal(), at.first(encoded));
  at = at.subspan(encoded);
  put(at, end);
  return Body(std::move(*body));
}

}  // namespace kmsfs::kms
