#include "kms/wire/input.h"

namespace kmsfs::kms {

std::optional<std::string> Input::optional_text(std::string_view name) const {
  const auto found = object_.member(name);
  if (!found) return std::nullopt;
  return found->text();
}

std::string Input::text(std::string_view name) const { return optional_text(name).value_or(std::string()); }

std::optional<std::int64_t> Input::integer(std::string_view name) const {
  const auto found = object_.member(name);
  return found ? found->integer() : std::nullopt;
}

bool Input::flag(std::string_view name) const {
  const auto found = object_.member(name);
  return found && found->raw() == "true";
}

std::vector<std::string> Input::texts(std::string_view name) const {
  std::vector<std::string> out;
  if (const auto found = object_.member(name)) {
    for (const JsonValue& one : found->children()) out.push_back(one.text());
  }
  return out;
}

std::vector<Tag> Input::tags(std::string_view name) const {
  std::vector<Tag> out;
  if (const auto found = object_.member(name)) {
    for (const JsonValue& one : found->children()) {
      const Input tag(one);
      out.push_back({tag.text("TagKey"), tag.text("TagValue")});
    }
  }
  return out;
}

EncryptionContext Input::context(std::string_view name) const {
  EncryptionContext out;
  if (const auto found = object_.member(name)) {
    for (const JsonValue& one : found->children()) {
      out.emplace(one.name(), one.is(JsonType::kString) ? one.text() : std::string(one.raw()));
    }
  }
  return out;
}

Bytes Input::blob(std::string_view name) const {
  const auto found = object_.member(name);
  return found ? found->blob() : Bytes();
}

Result<SensitiveBytes> Input::secret(std::string_view name) const {
  const auto found = object_.member(name);
  return found ? found->secret() : SensitiveBytes::make(0);
}

std::optional<Input> Input::structure(std::string_view name) const {
  const auto found = object_.member(name);
  if (!found) return std::nullopt;
  return Input(*found);
}

}  // namespace kmsfs::kms
