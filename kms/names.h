// The names of the KMS: key ids, ARNs, aliases, accounts.
//
// Always: what a parser returns is well-formed in every part; nothing about it is known to exist.
// Threads: plain values.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "core/ids.h"

namespace kmsfs::kms {

using KeyId = Id<struct KeyIdTag>;
using MaterialId = Id<struct MaterialIdTag>;

std::string uuid_of(ByteView id);  // 16 bytes as 8-4-4-4-12
template <typename Tag>
std::string uuid_of(const Id<Tag>& id) {
  return uuid_of(id.view());
}
std::optional<KeyId> parse_key_id(std::string_view uuid);
// Of version 4 (RFC 9562): as AWS makes them.
KeyId new_key_id();
std::string new_uuid();

bool is_account(std::string_view text);    // 12 digits
bool is_user_name(std::string_view text);  // 1 to 64 of letters, digits and +=,.@_-
bool is_region(std::string_view text);     // 1 to 32 of lower-case letters, digits and -

std::string key_arn(std::string_view region, std::string_view account, const KeyId& id);
std::string alias_arn(std::string_view region, std::string_view account, std::string_view alias);
std::string user_arn(std::string_view account, std::string_view name);
std::string root_arn(std::string_view account);

// A key as callers name it.
struct KeyName {
  std::string region;   // of an ARN; empty otherwise
  std::string account;  // of an ARN; empty otherwise
  std::optional<KeyId> id;
  std::string alias;  // "alias/…" if it was named that way; then there is no id
};
// Errors: NotFoundException, with AWS's texts.
Result<KeyName> parse_key_name(std::string_view text);

// As CreateAlias takes it; errors as AWS has them.
Result<void> check_alias_name(std::string_view alias);
inline constexpr std::string_view kServiceAliasPrefix = "alias/aws/";

}  // namespace kmsfs::kms
