// Operations of AWS that this KMS has not: what AWS answers for a symmetric key of its own, after deciding.
#include "tests/kms/wire/wire_fixture.h"

namespace kmsfs::kms::test {
namespace {

struct Case {
  std::string operation;
  json request;  // without KeyId
  std::string code, message;
  bool has_key = true;
};

class UnsupportedOperations : public WireTest {
 protected:
  std::vector<Case> cases() const {
    const auto usage = [&](const char* operation) {
      return key_ + " key usage is ENCRYPT_DECRYPT which is not valid for " + operation + ".";
    };
    const std::string unsupported = "UnsupportedOperationException", invalid = "InvalidKeyUsageException";
    const std::string origin = key_ + " origin is AWS_KMS which is not valid for this operation.";
    const std::string one_region = key_ + " is not a multi-region key.";
    const std::string no_stores = "This KMS has no custom key stores.";
    const json store = {{"CustomKeyStoreId", "cks-1"}};
    return {
        {"Sign", {{"Message", "QQ=="}, {"SigningAlgorithm", "ECDSA_SHA_256"}}, invalid, usage("Sign")},
        {"Verify",
         {{"Message", "QQ=="}, {"Signature", "QQ=="}, {"SigningAlgorithm", "ECDSA_SHA_256"}},
         invalid,
         usage("Verify")},
        {"GenerateMac",
         {{"Message", "QQ=="}, {"MacAlgorithm", "HMAC_SHA_256"}},
         invalid,
         usage("GenerateMac")},
        {"VerifyMac",
         {{"Message", "QQ=="}, {"Mac", "QQ=="}, {"MacAlgorithm", "HMAC_SHA_256"}},
         invalid,
         usage("VerifyMac")},
        {"DeriveSharedSecret",
         {{"KeyAgreementAlgorithm", "ECDH"}, {"PublicKey", "QQ=="}},
         invalid,
         usage("DeriveSharedSecret")},
        {"GetPublicKey", json::object(), unsupported,
         key_ + " key spec is SYMMETRIC_DEFAULT which is not valid for GetPublicKey."},
        {"GenerateDataKeyPair",
         {{"KeyPairSpec", "RSA_2048"}},
         unsupported,
         "GenerateDataKeyPair is not supported by this KMS."},
        {"GenerateDataKeyPairWithoutPlaintext",
         {{"KeyPairSpec", "RSA_2048"}},
         unsupported,
         "GenerateDataKeyPairWithoutPlaintext is not supported by this KMS."},
        {"GetKeyLastUsage", json::object(), unsupported, "GetKeyLastUsage is not supported by this KMS."},
        {"GetParametersForImport",
         {{"WrappingAlgorithm", "RSAES_OAEP_SHA_256"}, {"WrappingKeySpec", "RSA_2048"}},
         unsupported,
         origin},
        {"ImportKeyMaterial",
         {{"ImportToken", "QQ=="}, {"EncryptedKeyMaterial", "QQ=="}},
         unsupported,
         origin},
        {"DeleteImportedKeyMaterial", json::object(), unsupported, origin},
        {"ReplicateKey", {{"ReplicaRegion", "us-east-1"}}, unsupported, one_region},
        {"UpdatePrimaryRegion", {{"PrimaryRegion", "us-east-1"}}, unsupported, one_region},
        {"CreateCustomKeyStore", {{"CustomKeyStoreName", "n"}}, unsupported, no_stores, false},
        {"UpdateCustomKeyStore", store, unsupported, no_stores, false},
        {"DeleteCustomKeyStore", store, unsupported, no_stores, false},
        {"ConnectCustomKeyStore", store, unsupported, no_stores, false},
        {"DisconnectCustomKeyStore", store, unsupported, no_stores, false},
        {"DescribeCustomKeyStores", json::object(), unsupported, no_stores, false},
    };
  }
  json request_of(const Case& one, const std::string& key) const {
    json request = one.request;
    if (one.has_key) request["KeyId"] = key;
    return request;
  }
};

TEST_F(UnsupportedOperations, AreRefusedAsAwsRefusesThemForASymmetricKey) {
  for (const Case& one : cases()) {
    const WireAnswer answer = call(one.operation, request_of(one, key_));
    EXPECT_EQ(answer.status, 400) << one.operation;
    EXPECT_EQ(answer.code, one.code) << one.operation << answer.text;
    EXPECT_EQ(answer.message, one.message) << one.operation;
  }
}

TEST_F(UnsupportedOperations, AreDecidedFirst) {
  const Invocation bob = new_user("bob", account_);
  for (const Case& one : cases()) {
    const WireAnswer answer = call_as(bob, one.operation, request_of(one, key_).dump());
    EXPECT_EQ(answer.code, "AccessDeniedException") << one.operation << answer.text;
  }
}

TEST_F(UnsupportedOperations, NeedAKeyThatIsThereAndInUse) {
  for (const Case& one : cases()) {
    if (!one.has_key) continue;
    EXPECT_EQ(call(one.operation, request_of(one, "12345678-1234-4123-8123-123456789012")).code,
              "NotFoundException")
        << one.operation;
  }
  done("DisableKey", {{"KeyId", key_}});
  EXPECT_EQ(call("Sign", request_of(cases()[0], key_)).code, "DisabledException");
}

TEST_F(UnsupportedOperations, AreRecorded) {
  for (const Case& one : cases()) {
    const std::size_t before = audit_lines().size();
    call(one.operation, request_of(one, key_));
    ASSERT_EQ(audit_lines().size(), before + 1) << one.operation;
    const json line = json::parse(audit_lines().back());
    EXPECT_EQ(line["eventName"], one.operation);
    EXPECT_EQ(line["errorCode"], one.code);
  }
}

}  // namespace
}  // namespace kmsfs::kms::test
