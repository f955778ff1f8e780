#include "kmsclient/embedded_kms.h"

#include <utility>

#include "kmsclient/local_store.h"

namespace kmsfs {

namespace {

// A reply is checked before it is believed, also where the KMS is our own.
Result<DataKey> data_key(const kms::SensitiveBytes& plain) {
  if (plain.size() != DataKey::kSize) {
    return error(Kind::kCorrupt, "the wrapped key does not hold a data key of 32 bytes");
  }
  return DataKey::copy_of(plain.reveal().first<DataKey::kSize>());
}

}  // namespace

EmbeddedKms::EmbeddedKms(std::unique_ptr<kms::Service> service, std::string endpoint, std::string principal)
    : service_(std::move(service)),
      endpoint_(std::move(endpoint)),
      from_(own_invocation(std::move(principal))) {}
EmbeddedKms::~EmbeddedKms() = default;

Result<KeyDescription> EmbeddedKms::describe_key(const std::string& key) {
  auto reply = service_->describe_key(from_, {key});
  if (!reply) return std::move(reply).error();
  return std::move(reply->key);
}

Result<GeneratedDataKey> EmbeddedKms::generate_data_key(const std::string& key,
                                                        const EncryptionContext& context) {
  auto reply = service_->generate_data_key(from_, {.key_id = key, .context = context, .key_spec = "AES_256"});
  if (!reply) return std::move(reply).error();
  auto plain = data_key(reply->plaintext);
  if (!plain) return std::move(plain).error();
  return GeneratedDataKey{std::move(*plain),
                          WrappedDataKey{std::move(reply->ciphertext), std::move(reply->key_arn)}};
}

Result<WrappedDataKey> EmbeddedKms::generate_data_key_without_plaintext(const std::string& key,
                                                                        const EncryptionContext& context) {
  auto reply = service_->generate_data_key_without_plaintext(
      from_, {.key_id = key, .context = context, .key_spec = "AES_256"});
  if (!reply) return std::move(reply).error();
  return WrappedDataKey{std::move(reply->ciphertext), std::move(reply->key_arn)};
}

Result<DataKey> EmbeddedKms::decrypt(const std::string& key_arn, ByteView blob,
                                     const EncryptionContext& context) {
  // Without a key named, whoever wrote the blob would choose the key that opens it.
  if (key_arn.empty()) return error(Kind::kInvalid, "decrypt needs the ARN of the master key");
  auto reply = service_->decrypt(from_, {.key_id = key_arn, .ciphertext = blob, .context = context});
  if (!reply) return std::move(reply).error();
  if (reply->key_arn != key_arn) {
    return error(Kind::kCorrupt, "the KMS answered with " + reply->key_arn + " when asked for " + key_arn);
  }
  return data_key(reply->plaintext);
}

Result<WrappedDataKey> EmbeddedKms::re_encrypt(ByteView blob, const std::string& source_key_arn,
                                               const EncryptionContext& source_context,
                                               const std::string& destination_key,
                                               const EncryptionContext& destination_context) {
  if (source_key_arn.empty()) return error(Kind::kInvalid, "re_encrypt needs the ARN of the source key");
  kms::ReEncryptRequest request;
  request.ciphertext = blob;
  request.source_key_id = source_key_arn;
  request.source_context = source_context;
  request.destination_key_id = destination_key;
  request.destination_context = destination_context;
  auto reply = service_->re_encrypt(from_, request);
  if (!reply) return std::move(reply).error();
  return WrappedDataKey{std::move(reply->ciphertext), std::move(reply->key_arn)};
}

}  // namespace kmsfs
