#include "kms/wire/model.h"

namespace kmsfs::kms {

namespace {

bool is_alphanumeric(std::uint32_t c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}
bool is_word(std::uint32_t c) { return is_alphanumeric(c) || c == '_'; }
bool is_one_of(std::uint32_t c, std::string_view set) {
  return c < 0x80 && set.find(static_cast<char>(c)) != std::string_view::npos;
}
bool is_name(std::uint32_t c) { return is_alphanumeric(c) || is_one_of(c, ":/_-"); }
bool is_principal(std::uint32_t c) { return is_word(c) || is_one_of(c, "+=,.@:/-"); }
bool is_xks_name(std::uint32_t c) { return is_alphanumeric(c) || is_one_of(c, "-_."); }
bool is_latin(std::uint32_t c) { return c >= 0x20 && c <= 0xff; }
bool is_policy(std::uint32_t c) { return is_latin(c) || c == '\t' || c == '\n' || c == '\r'; }

constexpr std::string_view kNamePattern = "^[a-zA-Z0-9:/_-]+$";

constexpr std::string_view kDataKeySpecs[] = {"AES_256", "AES_128"};
constexpr std::string_view kDataKeyPairSpecs[] = {
    "RSA_2048",      "RSA_3072",      "RSA_4096",        "ECC_NIST_P256",
    "ECC_NIST_P384", "ECC_NIST_P521", "ECC_SECG_P256K1", "SM2"};
constexpr std::string_view kEncryptionAlgorithms[] = {"SYMMETRIC_DEFAULT", "RSAES_OAEP_SHA_1",
                                                      "RSAES_OAEP_SHA_256", "SM2PKE"};
constexpr std::string_view kMacAlgorithms[] = {"HMAC_SHA_224", "HMAC_SHA_256", "HMAC_SHA_384",
                                               "HMAC_SHA_512"};
constexpr std::string_view kSigningAlgorithms[] = {"RSASSA_PSS_SHA_256",
                                                   "RSASSA_PSS_SHA_384",
                                                   "RSASSA_PSS_SHA_512",
                                                   "RSASSA_PKCS1_V1_5_SHA_256",
                                                   "RSASSA_PKCS1_V1_5_SHA_384",
                                                   "RSASSA_PKCS1_V1_5_SHA_512",
                                                   "ECDSA_SHA_256",
                                                   "ECDSA_SHA_384",
                                                   "ECDSA_SHA_512",
                                                   "SM2DSA"};
constexpr std::string_view kMessageTypes[] = {"RAW", "DIGEST"};
constexpr std::string_view kKeyAgreementAlgorithms[] = {"ECDH"};
constexpr std::string_view kKeySpecs[] = {"RSA_2048",      "ECC_NIST_EDWARDS25519",
                                          "ECC_NIST_P384", "ECC_NIST_P256",
                                          "ECC_NIST_P521", "HMAC_384",
                                          "RSA_3072",      "ECC_SECG_P256K1",
                                          "RSA_4096",      "SYMMETRIC_DEFAULT",
                                          "HMAC_256",      "HMAC_224",
                                          "HMAC_512",      "SM2",
                                          "ML_DSA_44",     "ML_DSA_65",
                                          "ML_DSA_87"};
constexpr std::string_view kKeyUsages[] = {"ENCRYPT_DECRYPT", "SIGN_VERIFY", "GENERATE_VERIFY_MAC",
                                           "KEY_AGREEMENT"};
constexpr std::string_view kOrigins[] = {"EXTERNAL", "AWS_CLOUDHSM", "AWS_KMS", "EXTERNAL_KEY_STORE"};
constexpr std::string_view kGrantOperationNames[] = {"RetireGrant",
                                                     "ReEncryptFrom",
                                                     "ReEncryptTo",
                                                     "CreateGrant",
                                                     "GenerateDataKey",
                                                     "GenerateDataKeyWithoutPlaintext",
                                                     "DescribeKey",
                                                     "Encrypt",
                                                     "Decrypt",
                                                     "Sign",
                                                     "Verify",
                                                     "GetPublicKey",
                                                     "GenerateDataKeyPair",
                                                     "GenerateDataKeyPairWithoutPlaintext",
                                                     "GenerateMac",
                                                     "VerifyMac",
                                                     "DeriveSharedSecret"};
constexpr std::string_view kKeyMaterialChoices[] = {"ALL_KEY_MATERIAL", "ROTATIONS_ONLY"};
constexpr std::string_view kWrappingAlgorithms[] = {"RSAES_PKCS1_V1_5",         "RSAES_OAEP_SHA_1",
                                                    "RSAES_OAEP_SHA_256",       "RSA_AES_KEY_WRAP_SHA_1",
                                                    "RSA_AES_KEY_WRAP_SHA_256", "SM2PKE"};
constexpr std::string_view kWrappingKeySpecs[] = {"RSA_2048", "RSA_3072", "RSA_4096", "SM2"};

constexpr Shape text(std::int64_t min, std::int64_t max, std::string_view pattern = {},
                     bool (*allows)(std::uint32_t) = nullptr) {
  return {.type = MemberType::kString, .min = min, .max = max, .pattern = pattern, .allows = allows};
}
constexpr Shape one_of(std::span<const std::string_view> values) {
  return {.type = MemberType::kString, .values = values};
}
constexpr Shape blob(std::int64_t min, std::int64_t max) {
  return {.type = MemberType::kBlob, .min = min, .max = max, .secret = true};
}
constexpr Shape integer(std::int64_t min, std::int64_t max) {
  return {.type = MemberType::kInteger, .min = min, .max = max};
}
constexpr Shape list(const Shape& element, std::int64_t max = -1) {
  return {.type = MemberType::kList, .min = max < 0 ? -1 : 0, .max = max, .element = &element};
}
constexpr Shape structure(std::span<const Member> members) {
  return {.type = MemberType::kStructure, .members = members};
}

constexpr Shape kTagKey = text(1, 128);
constexpr Shape kTagValue = text(0, 256);
constexpr Member kTagMembers[] = {{"TagKey", &kTagKey, kRequired}, {"TagValue", &kTagValue, kRequired}};
constexpr Shape kTag = structure(kTagMembers);
constexpr Shape kGrantOperation = one_of(kGrantOperationNames);
constexpr Member kGrantConstraintsMembers[] = {{"EncryptionContextSubset", &shape::kEncryptionContext},
                                               {"EncryptionContextEquals", &shape::kEncryptionContext}};

}  // namespace

namespace shape {

constexpr Shape kKeyId = text(1, 2048);
constexpr Shape kAliasName = text(1, 256, kNamePattern, is_name);
constexpr Shape kDescription = text(0, 8192);
constexpr Shape kPolicy = text(1, 131072, R"([\u0009\u000A\u000D\u0020-\u00FF]+)", is_policy);
constexpr Shape kPolicyName = text(1, 128, R"([\w]+)", is_word);
constexpr Shape kPrincipalId = text(1, 256, R"(^[\w+=,.@:/-]+$)", is_principal);
constexpr Shape kGrantName = text(1, 256, kNamePattern, is_name);
constexpr Shape kGrantId = text(1, 128);
constexpr Shape kGrantToken = text(1, 8192);
constexpr Shape kGrantTokens = list(kGrantToken, 10);
constexpr Shape kGrantOperations = list(kGrantOperation);
constexpr Shape kGrantConstraints = structure(kGrantConstraintsMembers);
constexpr Shape kEncryptionContext = {.type = MemberType::kStringMap};
constexpr Shape kCiphertext = blob(1, 6144);
constexpr Shape kPlaintext = blob(1, 4096);
constexpr Shape kNumberOfBytes = integer(1, 1024);
constexpr Shape kDataKeySpec = one_of(kDataKeySpecs);
constexpr Shape kDataKeyPairSpec = one_of(kDataKeyPairSpecs);
constexpr Shape kEncryptionAlgorithm = one_of(kEncryptionAlgorithms);
constexpr Shape kMacAlgorithm = one_of(kMacAlgorithms);
constexpr Shape kSigningAlgorithm = one_of(kSigningAlgorithms);
constexpr Shape kMessageType = one_of(kMessageTypes);
constexpr Shape kKeyAgreementAlgorithm = one_of(kKeyAgreementAlgorithms);
constexpr Shape kPublicKey = blob(1, 8192);
constexpr Shape kKeySpec = one_of(kKeySpecs);
constexpr Shape kKeyUsage = one_of(kKeyUsages);
constexpr Shape kOrigin = one_of(kOrigins);
constexpr Shape kCustomKeyStoreId = text(1, 64);
constexpr Shape kXksKeyId = text(1, 128, "^[a-zA-Z0-9-_.]+$", is_xks_name);
constexpr Shape kBoolean = {.type = MemberType::kBoolean};
constexpr Shape kLimit = integer(1, 1000);
constexpr Shape kMarker = text(1, 1024, R"([\u0020-\u00FF]*)", is_latin);
constexpr Shape kTags = list(kTag);
constexpr Shape kTagKeys = list(kTagKey);
constexpr Shape kPendingWindowInDays = integer(1, 365);
constexpr Shape kRotationPeriodInDays = integer(90, 2560);
constexpr Shape kIncludeKeyMaterial = one_of(kKeyMaterialChoices);
constexpr Shape kRegion = text(1, 32);
constexpr Shape kRecipient = structure({});
constexpr Shape kWrappingAlgorithm = one_of(kWrappingAlgorithms);
constexpr Shape kWrappingKeySpec = one_of(kWrappingKeySpecs);

}  // namespace shape

}  // namespace kmsfs::kms
