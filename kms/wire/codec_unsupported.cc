// What AWS KMS does and this KMS does not: asymmetric keys and HMAC keys, imported key material, custom key
// stores, copies in other regions.
#include <string>

#include "kms/errors.h"
#include "kms/wire/codec.h"

namespace kmsfs::kms {

namespace {

Result<Body> unsupported(const CodecCall& call) {
  return answer(
      Kind::kUnsupported, "UnsupportedOperationException",
      std::string(call.operation) + " is not supported: this KMS has symmetric keys of its own only.");
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
    {"Sign", kSign, unsupported},
    {"Verify", kVerify, unsupported},
    {"GetPublicKey", kGetPublicKey, unsupported},
    {"GenerateMac", kGenerateMac, unsupported},
    {"VerifyMac", kVerifyMac, unsupported},
    {"GenerateDataKeyPair", kGenerateDataKeyPair, unsupported},
    {"GenerateDataKeyPairWithoutPlaintext", kGenerateDataKeyPair, unsupported},
    {"DeriveSharedSecret", kDeriveSharedSecret, unsupported},
    {"GetKeyLastUsage", kKeyIdOnly, unsupported},
    {"GetParametersForImport", kGetParametersForImport, unsupported},
    {"ImportKeyMaterial", kImportKeyMaterial, unsupported},
    {"DeleteImportedKeyMaterial", kKeyIdOnly, unsupported},
    {"ReplicateKey", kReplicateKey, unsupported},
    {"UpdatePrimaryRegion", kUpdatePrimaryRegion, unsupported},
    {"CreateCustomKeyStore", kAnything, unsupported},
    {"UpdateCustomKeyStore", kCustomKeyStoreId, unsupported},
    {"DeleteCustomKeyStore", kCustomKeyStoreId, unsupported},
    {"ConnectCustomKeyStore", kCustomKeyStoreId, unsupported},
    {"DisconnectCustomKeyStore", kCustomKeyStoreId, unsupported},
    {"DescribeCustomKeyStores", kDescribeCustomKeyStores, unsupported},
};

}  // namespace

std::span<const Codec> unsupported_codecs() { return kCodecs; }

}  // namespace kmsfs::kms
