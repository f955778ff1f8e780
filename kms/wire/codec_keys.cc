// CreateKey, DescribeKey, ListKeys, EnableKey, DisableKey, UpdateKeyDescription, ScheduleKeyDeletion,
// CancelKeyDeletion.
#include "kms/errors.h"
#include "kms/wire/codec.h"

namespace kmsfs::kms {

namespace {

Body metadata(const KeyDescription& key) {
  Output out;
  JsonWriter& json = out.json().begin("KeyMetadata");
  json.text("AWSAccountId", key.account).text("KeyId", key.key_id).text("Arn", key.arn);
  json.json("CreationDate", epoch_seconds(key.created_ms));
  json.boolean("Enabled", key.state == KeyState::kEnabled).text("Description", key.description);
  json.text("KeyUsage", "ENCRYPT_DECRYPT").text("KeyState", name_of(key.state));
  if (key.deletion_ms) json.json("DeletionDate", epoch_seconds(*key.deletion_ms));
  json.text("Origin", "AWS_KMS");
  json.text("KeyManager", key.manager == KeyManager::kService ? "AWS" : "CUSTOMER");
  json.text("CustomerMasterKeySpec", kSymmetricDefault).text("KeySpec", kSymmetricDefault);
  json.begin_list("EncryptionAlgorithms").text({}, kSymmetricDefault).end_list();
  json.boolean("MultiRegion", false);
  if (!key.key_material_id.empty()) json.text("CurrentKeyMaterialId", key.key_material_id);
  json.end();
  return std::move(out).body();
}

constexpr Member kCreateKey[] = {
    {"Policy", &shape::kPolicy},
    {"Description", &shape::kDescription},
    {"KeyUsage", &shape::kKeyUsage},
    {"CustomerMasterKeySpec", &shape::kKeySpec},
    {"KeySpec", &shape::kKeySpec},
    {"Origin", &shape::kOrigin},
    {"CustomKeyStoreId", &shape::kCustomKeyStoreId},
    {"BypassPolicyLockoutSafetyCheck", &shape::kBoolean},
    {"Tags", &shape::kTags},
    {"MultiRegion", &shape::kBoolean},
    {"XksKeyId", &shape::kXksKeyId},
};
Result<Body> create_key(const CodecCall& call) {
  const Input& in = call.in;
  if (in.has("KeySpec") && in.has("CustomerMasterKeySpec")) {
    return validation(
        "You cannot specify KeySpec and CustomerMasterKeySpec in the same request. "
        "CustomerMasterKeySpec is deprecated.");
  }
  CreateKeyRequest request;
  request.description = in.text("Description");
  request.policy = in.optional_text("Policy");
  request.bypass_policy_lockout_safety_check = in.flag("BypassPolicyLockoutSafetyCheck");
  request.tags = in.tags("Tags");
  request.key_spec = in.text(in.has("KeySpec") ? "KeySpec" : "CustomerMasterKeySpec");
  request.key_usage = in.text("KeyUsage");
  request.origin = in.text("Origin");
  request.multi_region = in.flag("MultiRegion");
  request.custom_key_store_id = in.text("CustomKeyStoreId");
  request.xks_key_id = in.text("XksKeyId");
  auto reply = call.service.create_key(call.from, request);
  if (!reply) return std::move(reply).error();
  return metadata(reply->key);
}

constexpr Member kDescribeKey[] = {{"KeyId", &shape::kKeyId, kRequired},
                                   {"GrantTokens", &shape::kGrantTokens}};
Result<Body> describe_key(const CodecCall& call) {
  auto reply = call.service.describe_key(
      call.from, {.key_id = call.in.text("KeyId"), .grant_tokens = call.in.texts("GrantTokens")});
  if (!reply) return std::move(reply).error();
  return metadata(reply->key);
}

constexpr Member kListKeys[] = {{"Limit", &shape::kLimit}, {"Marker", &shape::kMarker}};
Result<Body> list_keys(const CodecCall& call) {
  auto reply = call.service.list_keys(
      call.from, {.limit = call.in.integer("Limit"), .marker = call.in.text("Marker"), .key_id = {}});
  if (!reply) return std::move(reply).error();
  Output out;
  out.json().begin_list("Keys");
  for (const auto& key : reply->keys) {
    out.json().begin().text("KeyId", key.key_id).text("KeyArn", key.arn).end();
  }
  out.json().end_list();
  return std::move(out.page(reply->next_marker)).body();
}

constexpr Member kKeyIdOnly[] = {{"KeyId", &shape::kKeyId, kRequired}};
KeyRequest key_of(const CodecCall& call) { return {.key_id = call.in.text("KeyId")}; }
Result<Body> enable_key(const CodecCall& call) {
  return nothing(call.service.enable_key(call.from, key_of(call)));
}
Result<Body> disable_key(const CodecCall& call) {
  return nothing(call.service.disable_key(call.from, key_of(call)));
}

constexpr Member kUpdateKeyDescription[] = {{"KeyId", &shape::kKeyId, kRequired},
                                            {"Description", &shape::kDescription, kRequired}};
Result<Body> update_key_description(const CodecCall& call) {
  return nothing(call.service.update_key_description(
      call.from, {.key_id = call.in.text("KeyId"), .description = call.in.text("Description")}));
}

constexpr Member kScheduleKeyDeletion[] = {{"KeyId", &shape::kKeyId, kRequired},
                                           {"PendingWindowInDays", &shape::kPendingWindowInDays}};
Result<Body> schedule_key_deletion(const CodecCall& call) {
  auto reply = call.service.schedule_key_deletion(
      call.from,
      {.key_id = call.in.text("KeyId"), .pending_window_in_days = call.in.integer("PendingWindowInDays")});
  if (!reply) return std::move(reply).error();
  Output out;
  out.text("KeyId", reply->key_arn).time("DeletionDate", reply->deletion_ms);
  out.text("KeyState", name_of(reply->state)).number("PendingWindowInDays", reply->pending_window_in_days);
  return std::move(out).body();
}

Result<Body> cancel_key_deletion(const CodecCall& call) {
  auto reply = call.service.cancel_key_deletion(call.from, key_of(call));
  if (!reply) return std::move(reply).error();
  return std::move(Output().text("KeyId", reply->key_id)).body();
}

constexpr Codec kCodecs[] = {
    {"CreateKey", kCreateKey, create_key},
    {"DescribeKey", kDescribeKey, describe_key},
    {"ListKeys", kListKeys, list_keys},
    {"EnableKey", kKeyIdOnly, enable_key},
    {"DisableKey", kKeyIdOnly, disable_key},
    {"UpdateKeyDescription", kUpdateKeyDescription, update_key_description},
    {"ScheduleKeyDeletion", kScheduleKeyDeletion, schedule_key_deletion},
    {"CancelKeyDeletion", kKeyIdOnly, cancel_key_deletion},
};

}  // namespace

std::span<const Codec> key_codecs() { return kCodecs; }

}  // namespace kmsfs::kms
