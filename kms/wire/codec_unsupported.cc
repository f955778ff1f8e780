// What AWS KMS does and this KMS does not: asymmetric keys and HMAC keys, imported key material, custom key
// stores, copies in other regions.
#include "kms/wire/codec.h"

namespace kmsfs::kms {

namespace {

Result<Body> refused(const CodecCall& call) {
  return nothing(
      call.service.refuse(call.from, call.operation,
                          {.key_id = call.in.text("KeyId"), .grant_tokens = call.in.texts("GrantTokens")}));
}

constexpr Member kKeyId = {"KeyId", &shape::kKeyId, kRequired};
constexpr Member kKeyIdOnly[] = {kKeyId};
constexpr Member kGrantTokens = {"GrantTokens", &shape::kGrantTokens};
constexpr Member kDryRun = {"DryRun", &shape::kBoolean};
constexpr Member kMessage = {"Message", &shape::kPlaintext, kRequired};

constexpr Member kSign[] = {kKeyId,
                            kMessage,
                            {"MessageType", &shape::kMessageType},
                            {"SigningAlgorithm", &shape::kSigningAlgorithm, kRequired},
                            kGrantTokens,
                            kDryRun};
constexpr Member kVerify[] = {kKeyId,
                              kMessage,
                              {"MessageType", &shape::kMessageType},
                              {"Signature", &shape::kCiphertext, kRequired},
                              {"SigningAlgorithm", &shape::kSigningAlgorithm, kRequired},
                              kGrantTokens,
                              kDryRun};
constexpr Member kGetPublicKey[] = {kKeyId, kGrantTokens};
constexpr Member kGenerateMac[] = {
    kMessage, kKeyId, {"MacAlgorithm", &shape::kMacAlgorithm, kRequired}, kGrantTokens, kDryRun};
constexpr Member kVerifyMac[] = {kMessage,
                                 kKeyId,
                                 {"MacAlgorithm", &shape::kMacAlgorithm, kRequired},
                                 {"Mac", &shape::kCiphertext, kRequired},
                                 kGrantTokens,
                                 kDryRun};
constexpr Member kGenerateDataKeyPair[] = {{"EncryptionContext", &shape::kEncryptionContext},
                                           kKeyId,
                                           {"KeyPairSpec", &shape::kDataKeyPairSpec, kRequired},
                                           kGrantTokens,
                                           kDryRun};
constexpr Member kDeriveSharedSecret[] = {
    kKeyId,
    {"KeyAgreementAlgorithm", &shape::kKeyAgreementAlgorithm, kRequired},
    {"PublicKey", &shape::kPublicKey, kRequired},
    kGrantTokens,
    kDryRun};
constexpr Member kGetParametersForImport[] = {kKeyId,
                                              {"WrappingAlgorithm", &shape::kWrappingAlgorithm, kRequired},
                                              {"WrappingKeySpec", &shape::kWrappingKeySpec, kRequired}};
constexpr Member kImportKeyMaterial[] = {kKeyId,
                                         {"ImportToken", &shape::kCiphertext, kRequired},
                                         {"EncryptedKeyMaterial", &shape::kCiphertext, kRequired}};
constexpr Member kReplicateKey[] = {kKeyId,
                                    {"ReplicaRegion", &shape::kRegion, kRequired},
                                    {"Policy", &shape::kPolicy},
                                    {"Description", &shape::kDescription},
                                    {"Tags", &shape::kTags}};
constexpr Member kUpdatePrimaryRegion[] = {kKeyId, {"PrimaryRegion", &shape::kRegion, kRequired}};
constexpr Member kCustomKeyStoreId[] = {{"CustomKeyStoreId", &shape::kCustomKeyStoreId, kRequired}};
constexpr Member kDescribeCustomKeyStores[] = {
    {"CustomKeyStoreId", &shape::kCustomKeyStoreId}, {"Limit", &shape::kLimit}, {"Marker", &shape::kMarker}};
constexpr std::span<const Member> kAnything;

constexpr Codec kCodecs[] = {
    {"Sign", kSign, refused},
    {"Verify", kVerify, refused},
    {"GetPublicKey", kGetPublicKey, refused},
    {"GenerateMac", kGenerateMac, refused},
    {"VerifyMac", kVerifyMac, refused},
    {"GenerateDataKeyPair", kGenerateDataKeyPair, refused},
    {"GenerateDataKeyPairWithoutPlaintext", kGenerateDataKeyPair, refused},
    {"DeriveSharedSecret", kDeriveSharedSecret, refused},
    {"GetKeyLastUsage", kKeyIdOnly, refused},
    {"GetParametersForImport", kGetParametersForImport, refused},
    {"ImportKeyMaterial", kImportKeyMaterial, refused},
    {"DeleteImportedKeyMaterial", kKeyIdOnly, refused},
    {"ReplicateKey", kReplicateKey, refused},
    {"UpdatePrimaryRegion", kUpdatePrimaryRegion, refused},
    {"CreateCustomKeyStore", kAnything, refused},
    {"UpdateCustomKeyStore", kCustomKeyStoreId, refused},
    {"DeleteCustomKeyStore", kCustomKeyStoreId, refused},
    {"ConnectCustomKeyStore", kCustomKeyStoreId, refused},
    {"DisconnectCustomKeyStore", kCustomKeyStoreId, refused},
    {"DescribeCustomKeyStores", kDescribeCustomKeyStores, refused},
};

}  // namespace

std::span<const Codec> unsupported_codecs() { return kCodecs; }

}  // namespace kmsfs::kms
