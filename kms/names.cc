#include "kms/names.h"

#include <algorithm>
#include <array>

#include "kms/errors.h"

namespace kmsfs::kms {

namespace {

constexpr std::size_t kLongestAlias = 256;

constexpr std::size_t kUuidSize = 36;

bool is_dash(std::size_t at) { return at == 8 || at == 13 || at == 18 || at == 23; }  // in a UUID's text

int digit_value(char c) {  // lower-case hexadecimal; -1: not a digit
  if (c >= '0' && c <= '9') return c - '0';
  return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_lower(char c) { return c >= 'a' && c <= 'z'; }
bool is_letter(char c) { return is_lower(c) || (c >= 'A' && c <= 'Z'); }

bool is_alias(std::string_view text) {
  constexpr std::string_view prefix = "alias/";
  return text.size() > prefix.size() && text.size() <= kLongestAlias && text.starts_with(prefix) &&
         std::ranges::all_of(text, [](char c) {
           return is_letter(c) || is_digit(c) || c == '/' || c == '_' || c == '-' || c == ':';
         });
}

template <typename Tag>
Id<Tag> version_4() {
  auto id = Id<Tag>::random();
  id.bytes[6] = (id.bytes[6] & std::byte{0x0f}) | std::byte{0x40};
  id.bytes[8] = (id.bytes[8] & std::byte{0x3f}) | std::byte{0x80};
  return id;
}

std::string arn(std::string_view service, std::string_view region, std::string_view account,
                std::string_view resource) {
  std::string text = "arn:aws:";
  text.append(service).append(":").append(region).append(":").append(account).append(":").append(resource);
  return text;
}

// A key id or an alias; the part of an ARN after the account.
bool parse_resource(std::string_view text, bool in_arn, KeyName& name) {
  if (text.starts_with("alias/")) {
    if (!is_alias(text)) return false;
    name.alias = text;
    return true;
  }
  if (in_arn) {
    if (!text.starts_with("key/")) return false;
    text.remove_prefix(4);
  }
  name.id = parse_key_id(text);
  return name.id.has_value();
}

}  // namespace

std::string uuid_of(ByteView id) {
  constexpr std::string_view digits = "0123456789abcdef";
  std::string text(kUuidSize, '-');
  std::size_t at = 0;
  for (const std::byte b : id) {
    if (is_dash(at)) ++at;
    text[at++] = digits[std::to_integer<std::size_t>(b >> 4)];
    text[at++] = digits[std::to_integer<std::size_t>(b & std::byte{0x0f})];
  }
  return text;
}

std::optional<KeyId> parse_key_id(std::string_view uuid) {
  if (uuid.size() != kUuidSize) return {};
  KeyId id;
  std::size_t digit = 0;
  for (std::size_t at = 0; at < uuid.size(); ++at) {
    if (is_dash(at)) {
      if (uuid[at] != '-') return {};
      continue;
    }
    const int value = digit_value(uuid[at]);
    if (value < 0) return {};
    std::byte& b = id.bytes[digit++ / 2];
    b = b << 4 | static_cast<std::byte>(value);
  }
  return id;
}

KeyId new_key_id() { return version_4<KeyIdTag>(); }
std::string new_uuid() { return uuid_of(version_4<struct RequestIdTag>()); }

bool is_account(std::string_view text) { return text.size() == 12 && std::ranges::all_of(text, is_digit); }

bool is_user_name(std::string_view text) {
  return !text.empty() && text.size() <= 64 && std::ranges::all_of(text, [](char c) {
    return is_letter(c) || is_digit(c) || std::string_view("+=,.@_-").find(c) != std::string_view::npos;
  });
}

bool is_region(std::string_view text) {
  return !text.empty() && text.size() <= 32 &&
         std::ranges::all_of(text, [](char c) { return is_lower(c) || is_digit(c) || c == '-'; });
}

std::string key_arn(std::string_view region, std::string_view account, const KeyId& id) {
  return arn("kms", region, account, "key/" + uuid_of(id));
}
std::string alias_arn(std::string_view region, std::string_view account, std::string_view alias) {
  return arn("kms", region, account, alias);
}
std::string user_arn(std::string_view account, std::string_view name) {
  return arn("iam", "", account, "user/" + std::string(name));
}
std::string root_arn(std::string_view account) { return arn("iam", "", account, "root"); }

Result<KeyName> parse_key_name(std::string_view text) {
  KeyName name;
  if (!text.starts_with("arn:")) {
    if (parse_resource(text, false, name)) return name;
    if (text.starts_with("alias/")) return key_not_found("Alias " + std::string(text) + " is not found.");
    return key_not_found("Invalid keyId '" + std::string(text.substr(0, 256)) + "'");
  }
  // arn:aws:kms:REGION:ACCOUNT:RESOURCE
  std::array<std::string_view, 5> parts;
  std::string_view rest = text;
  for (std::string_view& part : parts) {
    const std::size_t colon = rest.find(':');
    if (colon == std::string_view::npos) break;
    part = rest.substr(0, colon);
    rest.remove_prefix(colon + 1);
  }
  name.region = parts[3];
  name.account = parts[4];
  if (parts[1] != "aws" || parts[2] != "kms" || !is_region(parts[3]) || !is_account(parts[4]) ||
      !parse_resource(rest, true, name)) {
    return key_not_found("Invalid arn '" + std::string(text.substr(0, 256)) + "'");
  }
  return name;
}

Result<void> check_alias_name(std::string_view alias) {
  if (!alias.starts_with("alias/")) {
    return validation(
        "Alias must start with the prefix \"alias/\". Please see "
        "https://docs.aws.amazon.com/kms/latest/developerguide/kms-alias.html");
  }
  if (!is_alias(alias) || alias.find(':') != std::string_view::npos) {
    return answer(Kind::kInvalid, "InvalidAliasNameException",
                  "an alias has at most 256 of letters, digits and /_-");
  }
  if (alias.starts_with(kServiceAliasPrefix)) {
    return answer(Kind::kDenied, "NotAuthorizedException",
                  "aliases that begin with alias/aws/ belong to the services themselves");
  }
  return {};
}

}  // namespace kmsfs::kms
