#include "kmsclient/json_object.h"

#include <charconv>

#include "kms/wire/json_text.h"

namespace kmsfs {

std::optional<JsonObject> JsonObject::parse(ByteView text) {
  auto document = kms::JsonDocument::parse(text);
  if (!document || !document->root().is(kms::JsonType::kObject)) return std::nullopt;
  auto shared = std::make_shared<const kms::JsonDocument>(std::move(*document));
  const kms::JsonValue root = shared->root();
  return JsonObject(std::move(shared), root);
}

std::optional<kms::JsonValue> JsonObject::member(std::string_view name, kms::JsonType type) const {
  auto found = value_.member(name);
  return found && found->is(type) ? found : std::nullopt;
}

std::string JsonObject::text(std::string_view name) const {
  const auto value = member(name, kms::JsonType::kString);
  return value ? value->text() : std::string();
}

std::optional<double> JsonObject::number(std::string_view name) const {
  const auto value = member(name, kms::JsonType::kNumber);
  if (!value) return std::nullopt;
  double number = 0;
  const std::string_view raw = value->raw();
  const auto parsed = std::from_chars(raw.data(), raw.data() + raw.size(), number);
  return parsed.ec == std::errc() ? std::optional(number) : std::nullopt;
}

std::optional<JsonObject> JsonObject::object(std::string_view name) const {
  const auto value = member(name, kms::JsonType::kObject);
  return value ? std::optional(JsonObject(document_, *value)) : std::nullopt;
}

std::optional<Bytes> JsonObject::blob(std::string_view name, std::size_t limit) const {
  const auto value = member(name, kms::JsonType::kString);
  if (!value) return std::nullopt;
  const auto size = value->blob_size();
  if (!size || *size == 0 || *size > limit) return std::nullopt;
  return value->blob();
}

Result<kms::SensitiveBytes> JsonObject::sensitive_text(std::string_view name) const {
  const auto value = member(name, kms::JsonType::kString);
  if (!value) return error(Kind::kUnavailable, "there is no " + std::string(name) + " in its answer");
  std::size_t size = 0;
  char c = 0;
  for (kms::JsonTextReader in(value->raw()); in.next(c);) ++size;
  auto text = kms::SensitiveBytes::make(size);
  if (!text) return text;
  kms::JsonTextReader in(value->raw());
  for (std::byte& byte : text->fill()) {
    in.next(c);
    byte = static_cast<std::byte>(c);
  }
  return text;
}

Result<DataKey> JsonObject::data_key(std::string_view name) const {
  const auto value = member(name, kms::JsonType::kString);
  if (!value || !value->blob_size()) {
    return error(Kind::kUnavailable, "there is no " + std::string(name) + " in its answer");
  }
  if (*value->blob_size() != DataKey::kSize) {
    return error(Kind::kCorrupt, "the wrapped key does not hold a data key of 32 bytes");
  }
  auto plain = value->secret();
  if (!plain) return std::move(plain).error();
  return DataKey::copy_of(plain->reveal().first<DataKey::kSize>());
}

}  // namespace kmsfs
