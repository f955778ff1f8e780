// The use of keys.
#include <algorithm>
#include <array>
#include <utility>

#include "kms/perform.h"
#include "kms/service.h"

namespace kmsfs::kms {

namespace {

constexpr std::size_t kMostPlaintext = 4096;

Result<CiphertextReply> seal_under(Call& call, const LoadedKey& key, ByteView plain,
                                   const EncryptionContext& context) {
  const MaterialId& current = key.record.current_material().id;
  auto material = call.engine().material(call.transaction(), key.record.id, current);
  if (!material) return std::move(material).error();
  auto blob = seal_blob({key.record.id, current}, *material, context, plain);
  if (!blob) return std::move(blob).error();
  return CiphertextReply{key.facts.arn, std::move(*blob), key.current_material_id()};
}

// Under the material that the blob names, and no other: an old blob opens at the cost of a new one.
Result<DecryptReply> open_under(Call& call, const LoadedKey& key, ByteView blob,
                                const EncryptionContext& context) {
  const auto header = parse_blob_header(blob);
  if (!header) return invalid_ciphertext();
  const std::string* id = key.id_of(header->material);
  if (id == nullptr) return invalid_ciphertext();
  auto material = call.engine().material(call.transaction(), key.record.id, header->material);
  if (!material) return std::move(material).error();
  auto plain = open_blob(blob, *material, context);
  if (!plain) return std::move(plain).error();
  return DecryptReply{key.facts.arn, std::move(*plain), *id};
}

Result<std::size_t> data_key_size(const GenerateDataKeyRequest& request) {
  if (request.key_spec.empty() == !request.number_of_bytes) {
    return validation("Please specify either number of bytes or key spec.");
  }
  if (request.key_spec == "AES_256") return std::size_t{32};
  if (request.key_spec == "AES_128") return std::size_t{16};
  if (!request.number_of_bytes) {
    return constraint("keySpec", "satisfy enum value set: [AES_256, AES_128]", request.key_spec);
  }
  KMSFS_TRY(check_number("numberOfBytes", *request.number_of_bytes, 1, 1024));
  return static_cast<std::size_t>(*request.number_of_bytes);
}

// Before the key is known, whether there is such an algorithm at all.
Result<void> check_algorithm(std::string_view member, const std::string& algorithm) {
  constexpr std::array<std::string_view, 5> known = {"", "SYMMETRIC_DEFAULT", "RSAES_OAEP_SHA_1",
                                                     "RSAES_OAEP_SHA_256", "SM2PKE"};
  if (std::ranges::find(known, algorithm) != known.end()) return {};
  return constraint(
      member, "satisfy enum value set: [SM2PKE, RSAES_OAEP_SHA_1, SYMMETRIC_DEFAULT, RSAES_OAEP_SHA_256]",
      algorithm);
}
// After it is known and allowed, whether it is the key's.
Result<void> check_usage(const LoadedKey& key, const std::string& algorithm) {
  if (algorithm.empty() || algorithm == key.facts.spec) return {};
  return answer(Kind::kInvalid, "InvalidKeyUsageException",
                "Algorithm " + algorithm + " and key spec " + key.facts.spec + " are incompatible.");
}

Result<void> check_blob_size(ByteView blob) {
  return check_length("ciphertextBlob", blob.size(), 1, kLargestBlob);
}

Result<GenerateDataKeyReply> generate(Call& call, const GenerateDataKeyRequest& request) {
  auto size = data_key_size(request);
  if (!size) return std::move(size).error();
  KMSFS_TRY(call.check_grant_tokens(request.grant_tokens));
  auto key = call.authorised_key(request.key_id, {.context = &request.context});
  if (!key) return std::move(key).error();
  auto plain = SensitiveBytes::make(*size);
  if (!plain) return std::move(plain).error();
  random_bytes(plain->fill());
  auto sealed = seal_under(call, **key, plain->reveal(), request.context);
  if (!sealed) return std::move(sealed).error();
  if (request.dry_run) return dry_run_succeeded();
  return GenerateDataKeyReply{std::move(sealed->key_arn), std::move(sealed->ciphertext), std::move(*plain),
                              std::move(sealed->key_material_id)};
}

}  // namespace

Result<GenerateDataKeyReply> Service::generate_data_key(const Invocation& from,
                                                        const GenerateDataKeyRequest& request) {
  return perform_use<GenerateDataKeyReply>(*engine_, Operation::kGenerateDataKey, from, request,
                                           [&](Call& call) { return generate(call, request); });
}

Result<CiphertextReply> Service::generate_data_key_without_plaintext(const Invocation& from,
                                                                     const GenerateDataKeyRequest& request) {
  const auto act = [&](Call& call) -> Result<CiphertextReply> {
    auto generated = generate(call, request);
    if (!generated) return std::move(generated).error();
    return CiphertextReply{std::move(generated->key_arn), std::move(generated->ciphertext),
                           std::move(generated->key_material_id)};
  };
  return perform_use<CiphertextReply>(*engine_, Operation::kGenerateDataKeyWithoutPlaintext, from, request,
                                      act);
}

Result<CiphertextReply> Service::encrypt(const Invocation& from, const EncryptRequest& request) {
  const auto act = [&](Call& call) -> Result<CiphertextReply> {
    KMSFS_TRY(check_length("plaintext", request.plaintext.size(), 1, kMostPlaintext));
    KMSFS_TRY(check_algorithm("encryptionAlgorithm", request.encryption_algorithm));
    KMSFS_TRY(call.check_grant_tokens(request.grant_tokens));
    auto key = call.authorised_key(request.key_id, {.context = &request.context});
    if (!key) return std::move(key).error();
    KMSFS_TRY(check_usage(**key, request.encryption_algorithm));
    auto sealed = seal_under(call, **key, request.plaintext, request.context);
    if (sealed && request.dry_run) return dry_run_succeeded();
    return sealed;
  };
  return perform_use<CiphertextReply>(*engine_, Operation::kEncrypt, from, request, act);
}

Result<DecryptReply> Service::decrypt(const Invocation& from, const DecryptRequest& request) {
  const auto act = [&](Call& call) -> Result<DecryptReply> {
    KMSFS_TRY(check_blob_size(request.ciphertext));
    KMSFS_TRY(check_algorithm("encryptionAlgorithm", request.encryption_algorithm));
    KMSFS_TRY(call.check_grant_tokens(request.grant_tokens));
    auto key = call.authorised_key_of_blob(request.ciphertext, request.key_id, {.context = &request.context});
    if (!key) return std::move(key).error();
    KMSFS_TRY(check_usage(**key, request.encryption_algorithm));
    auto opened = open_under(call, **key, request.ciphertext, request.context);
    if (opened && request.dry_run) return dry_run_succeeded();
    return opened;
  };
  return perform_use<DecryptReply>(*engine_, Operation::kDecrypt, from, request, act);
}

Result<ReEncryptReply> Service::re_encrypt(const Invocation& from, const ReEncryptRequest& request) {
  const auto act = [&](Call& call) -> Result<ReEncryptReply> {
    KMSFS_TRY(check_blob_size(request.ciphertext));
    KMSFS_TRY(check_algorithm("sourceEncryptionAlgorithm", request.source_encryption_algorithm));
    KMSFS_TRY(check_algorithm("destinationEncryptionAlgorithm", request.destination_encryption_algorithm));
    KMSFS_TRY(call.check_grant_tokens(request.grant_tokens));
    // Whether both are one key is a fact that both decisions may ask for, so it is settled before either.
    const auto header = parse_blob_header(request.ciphertext);
    if (!header) return invalid_ciphertext();
    auto named = call.resolve(request.destination_key_id);
    if (!named) return std::move(named).error();
    const bool same = (*named)->record.id == header->key;
    call.record().resources.clear();
    auto source = call.authorised_key_of_blob(
        request.ciphertext, request.source_key_id,
        {.action = "kms:ReEncryptFrom", .context = &request.source_context, .reencrypt_on_same_key = same});
    if (!source) return std::move(source).error();
    auto destination =
        call.authorised_key(request.destination_key_id, {.action = "kms:ReEncryptTo",
                                                         .context = &request.destination_context,
                                                         .reencrypt_on_same_key = same});
    if (!destination) return std::move(destination).error();
    KMSFS_TRY(check_usage(**source, request.source_encryption_algorithm));
    KMSFS_TRY(check_usage(**destination, request.destination_encryption_algorithm));
    auto opened = open_under(call, **source, request.ciphertext, request.source_context);
    if (!opened) return std::move(opened).error();
    auto sealed = seal_under(call, **destination, opened->plaintext.reveal(), request.destination_context);
    if (!sealed) return std::move(sealed).error();
    if (request.dry_run) return dry_run_succeeded();
    return ReEncryptReply{std::move(sealed->key_arn), (*source)->facts.arn, std::move(sealed->ciphertext),
                          std::move(opened->key_material_id), std::move(sealed->key_material_id)};
  };
  return perform_use<ReEncryptReply>(*engine_, Operation::kReEncrypt, from, request, act);
}

Result<GenerateRandomReply> Service::generate_random(const Invocation& from,
                                                     const GenerateRandomRequest& request) {
  const auto act = [&](Call& call) -> Result<GenerateRandomReply> {
    if (!request.number_of_bytes) return validation("NumberOfBytes is required.");
    KMSFS_TRY(check_number("numberOfBytes", *request.number_of_bytes, 1, 1024));
    if (!request.custom_key_store_id.empty()) {
      return answer(Kind::kUnsupported, "UnsupportedOperationException",
                    "Custom key stores are not supported");
    }
    KMSFS_TRY(call.authorise_without_key("*", {}));
    auto random = SensitiveBytes::make(static_cast<std::size_t>(*request.number_of_bytes));
    if (!random) return std::move(random).error();
    random_bytes(random->fill());
    return GenerateRandomReply{std::move(*random)};
  };
  return perform_use<GenerateRandomReply>(*engine_, Operation::kGenerateRandom, from, request, act);
}

}  // namespace kmsfs::kms
