#include "kmsclient/remote_kms.h"

#include <cmath>

#include "kms/audit_record.h"
#include "kmsclient/json_object.h"

namespace kmsfs {

namespace {

constexpr std::size_t kLargestBlob = 6144;

Error malformed(std::string_view operation, std::string_view what) {
  return error(Kind::kUnavailable,
               std::string(operation) + ": there is no " + std::string(what) + " in the answer of the KMS");
}

struct Reply {
  kms::SensitiveBytes text;  // what `object` looks into
  JsonObject object;
};

Result<Reply> ask(KmsCaller& caller, std::string_view operation, const std::string& json) {
  auto text = caller.call(operation, as_bytes(json));
  if (!text) return std::move(text).error();
  auto object = JsonObject::parse(text->reveal());
  if (!object) return malformed(operation, "JSON object");
  return Reply{std::move(*text), std::move(*object)};
}

bool is_key_arn(std::string_view arn) {
  return arn.starts_with("arn:") && arn.find(":kms:") != std::string_view::npos &&
         arn.find(":key/") != std::string_view::npos && arn.size() <= 2048;
}

// The key that a reply is by. If an ARN was asked for, it is that very one.
Result<std::string> key_of(const Reply& reply, std::string_view operation, const std::string& asked) {
  std::string arn = reply.object.text("KeyId");
  if (!is_key_arn(arn)) return malformed(operation, "key ARN");
  if (is_key_arn(asked) && arn != asked) {
    return error(Kind::kCorrupt, "the KMS answered with " + arn + " when asked for " + asked);
  }
  return arn;
}

Result<WrappedDataKey> wrapped_by(const Reply& reply, std::string_view operation, const std::string& asked) {
  auto arn = key_of(reply, operation, asked);
  if (!arn) return std::move(arn).error();
  auto blob = reply.object.blob("CiphertextBlob", kLargestBlob);
  if (!blob) return malformed(operation, "CiphertextBlob of at most 6144 bytes");
  return WrappedDataKey{std::move(*blob), std::move(*arn)};
}

// {"KeyId":…,"EncryptionContext":…,"KeySpec":"AES_256"}
std::string data_key_request(const std::string& key, const EncryptionContext& context) {
  std::string json;
  kms::JsonWriter out(json);
  out.begin().text("KeyId", key).text("KeySpec", "AES_256");
  if (!context.empty()) out.texts("EncryptionContext", context);
  out.end();
  return json;
}

}  // namespace

Result<KeyDescription> RemoteKms::describe_key(const std::string& key) {
  constexpr std::string_view kOperation = "DescribeKey";
  std::string json;
  kms::JsonWriter(json).begin().text("KeyId", key).end();
  auto reply = ask(*caller_, kOperation, json);
  if (!reply) return std::move(reply).error();
  const auto metadata = reply->object.object("KeyMetadata");
  if (!metadata) return malformed(kOperation, "KeyMetadata");
  KeyDescription description;
  description.arn = metadata->text("Arn");
  if (!is_key_arn(description.arn)) return malformed(kOperation, "key ARN");
  if (is_key_arn(key) && description.arn != key) {
    return error(Kind::kCorrupt, "the KMS answered with " + description.arn + " when asked for " + key);
  }
  description.key_id = metadata->text("KeyId");
  description.account = metadata->text("AWSAccountId");
  description.description = metadata->text("Description");
  const std::string state = metadata->text("KeyState");
  // What else a key can be (Creating, PendingImport, Unavailable, …) does not serve either.
  description.state = state == "Enabled"           ? KeyState::kEnabled
                      : state == "PendingDeletion" ? KeyState::kPendingDeletion
                                                   : KeyState::kDisabled;
  description.manager = metadata->text("KeyManager") == "AWS" ? KeyManager::kService : KeyManager::kCustomer;
  if (const auto created = metadata->number("CreationDate"); created && std::abs(*created) < 1e12) {
    description.created_ms = std::llround(*created * 1000);
  }
  return description;
}

Result<GeneratedDataKey> RemoteKms::generate_data_key(const std::string& key,
                                                      const EncryptionContext& context) {
  constexpr std::string_view kOperation = "GenerateDataKey";
  auto reply = ask(*caller_, kOperation, data_key_request(key, context));
  if (!reply) return std::move(reply).error();
  auto wrapped = wrapped_by(*reply, kOperation, key);
  if (!wrapped) return std::move(wrapped).error();
  auto plain = reply->object.data_key("Plaintext");
  if (!plain) return std::move(plain).error().during(kOperation);
  return GeneratedDataKey{std::move(*plain), std::move(*wrapped)};
}

Result<WrappedDataKey> RemoteKms::generate_data_key_without_plaintext(const std::string& key,
                                                                      const EncryptionContext& context) {
  constexpr std::string_view kOperation = "GenerateDataKeyWithoutPlaintext";
  auto reply = ask(*caller_, kOperation, data_key_request(key, context));
  if (!reply) return std::move(reply).error();
  return wrapped_by(*reply, kOperation, key);
}

Result<DataKey> RemoteKms::decrypt(const std::string& key_arn, ByteView blob,
                                   const EncryptionContext& context) {
  constexpr std::string_view kOperation = "Decrypt";
  // Without a key named, whoever wrote the blob would choose the key that opens it.
  if (!is_key_arn(key_arn)) return error(Kind::kInvalid, "decrypt needs the ARN of the master key");
  std::string json;
  kms::JsonWriter out(json);
  out.begin().text("KeyId", key_arn).text("CiphertextBlob", to_base64(blob));
  if (!context.empty()) out.texts("EncryptionContext", context);
  out.end();
  auto reply = ask(*caller_, kOperation, json);
  if (!reply) return std::move(reply).error();
  auto arn = key_of(*reply, kOperation, key_arn);
  if (!arn) return std::move(arn).error();
  auto plain = reply->object.data_key("Plaintext");
  if (!plain) return std::move(plain).error().during(kOperation);
  return std::move(*plain);
}

Result<WrappedDataKey> RemoteKms::re_encrypt(ByteView blob, const std::string& source_key_arn,
                                             const EncryptionContext& source_context,
                                             const std::string& destination_key,
                                             const EncryptionContext& destination_context) {
  constexpr std::string_view kOperation = "ReEncrypt";
  if (!is_key_arn(source_key_arn)) return error(Kind::kInvalid, "re_encrypt needs the ARN of the source key");
  std::string json;
  kms::JsonWriter out(json);
  out.begin().text("CiphertextBlob", to_base64(blob)).text("SourceKeyId", source_key_arn);
  if (!source_context.empty()) out.texts("SourceEncryptionContext", source_context);
  out.text("DestinationKeyId", destination_key);
  if (!destination_context.empty()) out.texts("DestinationEncryptionContext", destination_context);
  out.end();
  auto reply = ask(*caller_, kOperation, json);
  if (!reply) return std::move(reply).error();
  if (reply->object.text("SourceKeyId") != source_key_arn) {
    return error(Kind::kCorrupt, "the KMS opened the wrap with another key than " + source_key_arn);
  }
  return wrapped_by(*reply, kOperation, destination_key);
}

}  // namespace kmsfs
