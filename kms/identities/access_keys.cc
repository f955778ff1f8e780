#include "kms/identities/access_keys.h"

#include <algorithm>
#include <array>
#include <utility>

#include "core/random.h"
#include "kms/identities/administration_door.h"
#include "kms/identities/identity_errors.h"
#include "kms/identities/principals.h"
#include "kms/names.h"

namespace kmsfs::kms {

namespace {

constexpr std::size_t kMostAccessKeys = 2;  // of one owner, as at AWS
constexpr std::size_t kIdLetters = 16;
constexpr std::size_t kSealedSize = SecretAccessKey::kSize + Xaes256Gcm::kOverhead;

// What the sealed secret is bound to.
Bytes seal_aad(std::string_view id, std::string_view principal) {
  const std::string text = "kmsfs kms access key 1/" + std::string(id) + "/" + std::string(principal);
  const ByteView bytes = as_bytes(text);
  return {bytes.begin(), bytes.end()};
}

Error no_such_key(const std::string& id) {
  return answer(Kind::kNotFound, "NoSuchEntity", "The Access Key with id " + id + " cannot be found.");
}

// Who has access keys: a user, or the root of an account where no user is named.
struct Owner {
  std::string arn;
  std::string account;
  std::string user;  // empty: the root
  std::vector<std::string> access_keys;
};

Result<Owner> find_owner(AdminCall& call, const std::string& account, const std::string& user) {
  if (user.empty()) {
    auto record = require_account(call.transaction, account);
    if (!record) return std::move(record).error();
    return Owner{root_arn(account), account, {}, std::move(record->access_keys)};
  }
  auto principal = require_principal(call.engine, call.transaction, EntityKind::kUser, account, user);
  if (!principal) return std::move(principal).error();
  return Owner{arn_of((*principal)->record), account, user, (*principal)->record.access_keys};
}

Result<void> write_owner(AdminCall& call, const Owner& owner) {
  if (owner.user.empty()) {
    auto record = require_account(call.transaction, owner.account);
    if (!record) return std::move(record).error();
    record->access_keys = owner.access_keys;
    return call.writer->put(Table::kAccounts, as_bytes(owner.account), write_record(*record));
  }
  auto principal =
      require_principal(call.engine, call.transaction, EntityKind::kUser, owner.account, owner.user);
  if (!principal) return std::move(principal).error();
  PrincipalRecord changed = (*principal)->record;
  changed.access_keys = owner.access_keys;
  return write_principal(*call.writer, changed);
}

Json key_json(const Owner& owner, const std::string& id, const AccessKeyRecord& record) {
  Json json = Json::object();
  if (!owner.user.empty()) json["UserName"] = owner.user;
  json["AccountId"] = owner.account;
  json["AccessKeyId"] = id;
  json["Status"] = record.active ? "Active" : "Inactive";
  json["CreateDate"] = iso_date(record.created_ms);
  return json;
}

Result<AccessKeyRecord> require_key(AdminCall& call, const Owner& owner, const std::string& id) {
  auto stored = call.transaction.get(Table::kAccessKeys, as_bytes(id));
  if (!stored) return internal_failure(std::move(stored).error());
  if (!*stored) return no_such_key(id);
  auto record = parse_access_key_record(**stored);
  if (record && record->principal != owner.arn) return no_such_key(id);
  return record;
}

struct OwnedKey {
  Owner owner;
  std::string id;
  AccessKeyRecord record;
};
// The key of AccessKeyId, and its owner as UserName says.
Result<OwnedKey> named_key(AdminCall& call, const std::string& user, std::string id) {
  auto account = call.account();
  if (!account) return std::move(account).error();
  auto owner = find_owner(call, *account, user);
  if (!owner) return std::move(owner).error();
  auto record = require_key(call, *owner, id);
  if (!record) return std::move(record).error();
  call.touches(owner->account, owner->arn, "AWS::IAM::AccessKey");
  return OwnedKey{std::move(*owner), std::move(id), std::move(*record)};
}

}  // namespace

Result<SecretAccessKey> new_secret_access_key() {
  constexpr std::string_view alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  auto secret = SecretAccessKey::random();
  if (!secret) return secret;
  for (std::byte& b : secret->fill()) b = static_cast<std::byte>(alphabet[std::to_integer<unsigned>(b) % 64]);
  return secret;
}

std::string new_unique_id(std::string_view prefix, std::size_t size) {
  constexpr std::string_view alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
  std::array<std::byte, 32> bytes;
  random_bytes(bytes);
  std::string id(prefix);
  for (std::size_t i = 0; i < size; ++i) id += alphabet[std::to_integer<unsigned>(bytes[i]) % 32];
  return id;
}

Result<std::optional<AccessKey>> find_access_key(const Engine& engine, const Transaction& transaction,
                                                 std::string_view id) {
  auto stored = transaction.get(Table::kAccessKeys, as_bytes(id));
  if (!stored) return internal_failure(std::move(stored).error());
  if (!*stored) return std::optional<AccessKey>();
  auto record = parse_access_key_record(**stored);
  if (!record) return std::move(record).error();
  const Error damaged =
      internal_failure(error(Kind::kUnavailable, "the key store holds a damaged access key"));
  if (record->sealed_secret.size() != kSealedSize) return damaged;
  auto secret = SecretAccessKey::make();
  if (!secret) return std::move(secret).error();
  auto opened =
      engine.access_key_seal().open(seal_aad(id, record->principal), record->sealed_secret, secret->fill());
  if (!opened) return opened.error().kind == Kind::kCorrupt ? damaged : std::move(opened).error();
  return std::optional<AccessKey>(AccessKey{record->principal, record->active, std::move(*secret)});
}

Result<Json> create_access_key(AdminCall& call) {
  const std::string user = call.in.text_or("UserName", "");
  auto account = call.account();
  KMSFS_TRY(call.in.complete());
  if (!account) return std::move(account).error();
  auto owner = find_owner(call, *account, user);
  if (!owner) return std::move(owner).error();
  if (owner->access_keys.size() >= kMostAccessKeys) {
    return quota_exceeded("AccessKeysPerUser", kMostAccessKeys);
  }
  const std::string id = new_unique_id("AKIA", kIdLetters);
  auto secret = new_secret_access_key();
  if (!secret) return std::move(secret).error();
  AccessKeyRecord record;
  record.principal = owner->arn;
  record.created_ms = call.engine.now_ms();
  record.sealed_secret.resize(kSealedSize);
  KMSFS_TRY(call.engine.access_key_seal().seal(seal_aad(id, owner->arn), secret->reveal(),
                                               ByteSpan(record.sealed_secret)));
  KMSFS_TRY(call.writer->put(Table::kAccessKeys, as_bytes(id), write_record(record)));
  owner->access_keys.push_back(id);
  KMSFS_TRY(write_owner(call, *owner));
  call.touches(owner->account, owner->arn, "AWS::IAM::AccessKey");
  Json json = key_json(*owner, id, record);
  call.record.response_elements = Json{{"accessKey", {{"accessKeyId", id}}}}.dump();
  json["SecretAccessKey"] = kSecretPlaceholder;
  call.secret = std::move(*secret);
  return Json{{"AccessKey", std::move(json)}};
}

Result<Json> update_access_key(AdminCall& call) {
  const std::string user = call.in.text_or("UserName", ""), id = call.in.text("AccessKeyId"),
                    status = call.in.text("Status");
  KMSFS_TRY(call.in.complete());
  if (status != "Active" && status != "Inactive") {
    return validation_error("Status is Active or Inactive, not '" + status + "'");
  }
  auto key = named_key(call, user, id);
  if (!key) return std::move(key).error();
  key->record.active = status == "Active";
  KMSFS_TRY(call.writer->put(Table::kAccessKeys, as_bytes(id), write_record(key->record)));
  return Json::object();
}

Result<Json> delete_access_key(AdminCall& call) {
  const std::string user = call.in.text_or("UserName", ""), id = call.in.text("AccessKeyId");
  KMSFS_TRY(call.in.complete());
  auto key = named_key(call, user, id);
  if (!key) return std::move(key).error();
  KMSFS_TRY(call.writer->erase(Table::kAccessKeys, as_bytes(id)));
  std::erase(key->owner.access_keys, id);
  KMSFS_TRY(write_owner(call, key->owner));
  return Json::object();
}

Result<Json> list_access_keys(AdminCall& call) {
  const std::string user = call.in.text_or("UserName", "");
  const Page page = call.in.page();
  auto account = call.account();
  KMSFS_TRY(call.in.complete());
  if (!account) return std::move(account).error();
  auto owner = find_owner(call, *account, user);
  if (!owner) return std::move(owner).error();
  std::ranges::sort(owner->access_keys);
  ListReply list("AccessKeyMetadata", page);
  for (const std::string& id : owner->access_keys) {
    auto record = require_key(call, *owner, id);
    if (!record) return std::move(record).error();
    if (!list.add(id, [&] { return key_json(*owner, id, *record); })) break;
  }
  return std::move(list).finish();
}

}  // namespace kmsfs::kms
