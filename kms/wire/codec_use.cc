// Encrypt, Decrypt, ReEncrypt, GenerateDataKey, GenerateDataKeyWithoutPlaintext, GenerateRandom.
#include "kms/errors.h"
#include "kms/wire/codec.h"

namespace kmsfs::kms {

namespace {

// An answer for an enclave would be encrypted under its key; to leave that out would give plain text away.
Result<void> no_recipient(const Input& in) {
  if (!in.has("Recipient")) return {};
  return answer(Kind::kUnsupported, "UnsupportedOperationException", "Recipient is not supported.");
}

constexpr Member kEncrypt[] = {
    {"KeyId", &shape::kKeyId, kRequired},
    {"Plaintext", &shape::kPlaintext, kRequired},
    {"EncryptionContext", &shape::kEncryptionContext},
    {"GrantTokens", &shape::kGrantTokens},
    {"EncryptionAlgorithm", &shape::kEncryptionAlgorithm},
    {"DryRun", &shape::kBoolean},
};
Result<Body> encrypt(const CodecCall& call) {
  const Input& in = call.in;
  auto plaintext = in.secret("Plaintext");
  if (!plaintext) return std::move(plaintext).error();
  auto reply = call.service.encrypt(call.from, {.key_id = in.text("KeyId"),
                                                .plaintext = plaintext->reveal(),
                                                .context = in.context("EncryptionContext"),
                                                .encryption_algorithm = in.text("EncryptionAlgorithm"),
                                                .grant_tokens = in.texts("GrantTokens"),
                                                .dry_run = in.flag("DryRun")});
  if (!reply) return std::move(reply).error();
  Output out;
  out.blob("CiphertextBlob", reply->ciphertext).text("KeyId", reply->key_arn);
  return std::move(out.text("EncryptionAlgorithm", kSymmetricDefault)).body();
}

constexpr Member kDecrypt[] = {
    {"CiphertextBlob", &shape::kCiphertext, kRequired},
    {"EncryptionContext", &shape::kEncryptionContext},
    {"GrantTokens", &shape::kGrantTokens},
    {"KeyId", &shape::kKeyId},
    {"EncryptionAlgorithm", &shape::kEncryptionAlgorithm},
    {"Recipient", &shape::kRecipient},
    {"DryRun", &shape::kBoolean},
};
Result<Body> decrypt(const CodecCall& call) {
  const Input& in = call.in;
  KMSFS_TRY(no_recipient(in));
  const Bytes ciphertext = in.blob("CiphertextBlob");
  auto reply = call.service.decrypt(call.from, {.key_id = in.text("KeyId"),
                                                .ciphertext = ciphertext,
                                                .context = in.context("EncryptionContext"),
                                                .encryption_algorithm = in.text("EncryptionAlgorithm"),
                                                .grant_tokens = in.texts("GrantTokens"),
                                                .dry_run = in.flag("DryRun")});
  if (!reply) return std::move(reply).error();
  Output out;
  out.text("KeyId", reply->key_arn).text("EncryptionAlgorithm", kSymmetricDefault);
  out.text_if_any("KeyMaterialId", reply->key_material_id);
  return std::move(out).body_with_plaintext(reply->plaintext);
}

constexpr Member kReEncrypt[] = {
    {"CiphertextBlob", &shape::kCiphertext, kRequired},
    {"SourceEncryptionContext", &shape::kEncryptionContext},
    {"SourceKeyId", &shape::kKeyId},
    {"DestinationKeyId", &shape::kKeyId, kRequired},
    {"DestinationEncryptionContext", &shape::kEncryptionContext},
    {"SourceEncryptionAlgorithm", &shape::kEncryptionAlgorithm},
    {"DestinationEncryptionAlgorithm", &shape::kEncryptionAlgorithm},
    {"GrantTokens", &shape::kGrantTokens},
    {"DryRun", &shape::kBoolean},
};
Result<Body> re_encrypt(const CodecCall& call) {
  const Input& in = call.in;
  const Bytes ciphertext = in.blob("CiphertextBlob");
  auto reply = call.service.re_encrypt(
      call.from, {.ciphertext = ciphertext,
                  .source_key_id = in.text("SourceKeyId"),
                  .source_context = in.context("SourceEncryptionContext"),
                  .destination_key_id = in.text("DestinationKeyId"),
                  .destination_context = in.context("DestinationEncryptionContext"),
                  .source_encryption_algorithm = in.text("SourceEncryptionAlgorithm"),
                  .destination_encryption_algorithm = in.text("DestinationEncryptionAlgorithm"),
                  .grant_tokens = in.texts("GrantTokens"),
                  .dry_run = in.flag("DryRun")});
  if (!reply) return std::move(reply).error();
  Output out;
  out.blob("CiphertextBlob", reply->ciphertext).text("SourceKeyId", reply->source_key_arn);
  out.text("KeyId", reply->key_arn).text("SourceEncryptionAlgorithm", kSymmetricDefault);
  out.text("DestinationEncryptionAlgorithm", kSymmetricDefault);
  out.text_if_any("SourceKeyMaterialId", reply->source_key_material_id);
  out.text_if_any("DestinationKeyMaterialId", reply->destination_key_material_id);
  return std::move(out).body();
}

constexpr Member kGenerateDataKey[] = {
    {"KeyId", &shape::kKeyId, kRequired},
    {"EncryptionContext", &shape::kEncryptionContext},
    {"NumberOfBytes", &shape::kNumberOfBytes},
    {"KeySpec", &shape::kDataKeySpec},
    {"GrantTokens", &shape::kGrantTokens},
    {"Recipient", &shape::kRecipient},
    {"DryRun", &shape::kBoolean},
};
GenerateDataKeyRequest data_key_request(const Input& in) {
  return {.key_id = in.text("KeyId"),
          .context = in.context("EncryptionContext"),
          .key_spec = in.text("KeySpec"),
          .number_of_bytes = in.integer("NumberOfBytes"),
          .grant_tokens = in.texts("GrantTokens"),
          .dry_run = in.flag("DryRun")};
}
Result<Body> generate_data_key(const CodecCall& call) {
  KMSFS_TRY(no_recipient(call.in));
  auto reply = call.service.generate_data_key(call.from, data_key_request(call.in));
  if (!reply) return std::move(reply).error();
  Output out;
  out.blob("CiphertextBlob", reply->ciphertext).text("KeyId", reply->key_arn);
  out.text_if_any("KeyMaterialId", reply->key_material_id);
  return std::move(out).body_with_plaintext(reply->plaintext);
}
Result<Body> generate_data_key_without_plaintext(const CodecCall& call) {
  auto reply = call.service.generate_data_key_without_plaintext(call.from, data_key_request(call.in));
  if (!reply) return std::move(reply).error();
  Output out;
  out.blob("CiphertextBlob", reply->ciphertext).text("KeyId", reply->key_arn);
  return std::move(out.text_if_any("KeyMaterialId", reply->key_material_id)).body();
}

constexpr Member kGenerateRandom[] = {{"NumberOfBytes", &shape::kNumberOfBytes},
                                      {"CustomKeyStoreId", &shape::kCustomKeyStoreId},
                                      {"Recipient", &shape::kRecipient}};
Result<Body> generate_random(const CodecCall& call) {
  KMSFS_TRY(no_recipient(call.in));
  auto reply =
      call.service.generate_random(call.from, {.number_of_bytes = call.in.integer("NumberOfBytes"),
                                               .custom_key_store_id = call.in.text("CustomKeyStoreId")});
  if (!reply) return std::move(reply).error();
  return Output().body_with_plaintext(reply->plaintext);
}

constexpr Codec kCodecs[] = {
    {"Decrypt", kDecrypt, decrypt},
    {"Encrypt", kEncrypt, encrypt},
    {"ReEncrypt", kReEncrypt, re_encrypt},
    {"GenerateDataKey", kGenerateDataKey, generate_data_key},
    {"GenerateDataKeyWithoutPlaintext", kGenerateDataKey, generate_data_key_without_plaintext},
    {"GenerateRandom", kGenerateRandom, generate_random},
};

}  // namespace

std::span<const Codec> use_codecs() { return kCodecs; }

}  // namespace kmsfs::kms
