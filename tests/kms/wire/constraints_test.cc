// Requests that the model of AWS does not allow, and what AWS says to them.
#include "tests/kms/wire/wire_fixture.h"

namespace kmsfs::kms::test {
namespace {

class Constraints : public WireTest {
 protected:
  // `request` as text, so that it need not be what a library would write.
  void expect(std::string_view operation, const std::string& request, const std::string& code,
              const std::string& message) {
    const WireAnswer answer = call_as(alice_, operation, request);
    EXPECT_EQ(answer.status, 400) << operation << " " << request;
    EXPECT_EQ(answer.code, code) << operation << " " << request;
    EXPECT_EQ(answer.message, message) << operation << " " << request;
  }
  void expect_one(std::string_view operation, const std::string& request, const std::string& message) {
    expect(operation, request, "ValidationException", "1 validation error detected: " + message);
  }
};

const std::string kText2049(2049, 'a');

TEST_F(Constraints, NumbersMustBeInTheirRange) {
  const std::string must = "failed to satisfy constraint: Member must have value ";
  expect_one("GenerateRandom", R"({"NumberOfBytes":0})",
             "Value '0' at 'numberOfBytes' " + must + "greater than or equal to 1");
  expect_one("GenerateRandom", R"({"NumberOfBytes":1025})",
             "Value '1025' at 'numberOfBytes' " + must + "less than or equal to 1024");
  expect_one("GenerateDataKey", R"({"KeyId":"k","NumberOfBytes":-1})",
             "Value '-1' at 'numberOfBytes' " + must + "greater than or equal to 1");
  for (const char* operation : {"ListKeys", "ListAliases"}) {
    expect_one(operation, R"({"Limit":0})", "Value '0' at 'limit' " + must + "greater than or equal to 1");
    expect_one(operation, R"({"Limit":1001})",
               "Value '1001' at 'limit' " + must + "less than or equal to 1000");
  }
  expect_one("EnableKeyRotation", R"({"KeyId":"k","RotationPeriodInDays":89})",
             "Value '89' at 'rotationPeriodInDays' " + must + "greater than or equal to 90");
  expect_one("EnableKeyRotation", R"({"KeyId":"k","RotationPeriodInDays":2561})",
             "Value '2561' at 'rotationPeriodInDays' " + must + "less than or equal to 2560");
  expect_one("ScheduleKeyDeletion", R"({"KeyId":"k","PendingWindowInDays":366})",
             "Value '366' at 'pendingWindowInDays' " + must + "less than or equal to 365");
}

TEST_F(Constraints, TextsMustHaveTheirLength) {
  const std::string must = "failed to satisfy constraint: Member must have length ";
  expect_one("DescribeKey", R"({"KeyId":""})", "Value '' at 'keyId' " + must + "greater than or equal to 1");
  expect_one("DescribeKey", R"({"KeyId":")" + kText2049 + R"("})",
             "Value '" + kText2049 + "' at 'keyId' " + must + "less than or equal to 2048");
  expect_one("RevokeGrant", R"({"KeyId":"k","GrantId":""})",
             "Value '' at 'grantId' " + must + "greater than or equal to 1");
  const std::string description(8193, 'd');
  expect_one("UpdateKeyDescription", R"({"KeyId":"k","Description":")" + description + R"("})",
             "Value '" + description + "' at 'description' " + must + "less than or equal to 8192");
}

TEST_F(Constraints, LengthsCountCharactersNotBytes) {
  std::string description;
  for (int i = 0; i < 2700; ++i) description += "\xe2\x82\xac";  // 8100 bytes
  EXPECT_EQ(done("CreateKey", {{"Description", description}}).body["KeyMetadata"]["Description"],
            description);
  std::string name;
  for (int i = 0; i < 129; ++i) name += "\xe2\x82\xac";
  expect_one("TagResource", R"({"KeyId":"k","Tags":[{"TagKey":")" + name + R"(","TagValue":"v"}]})",
             "Value '" + name +
                 "' at 'tags.1.member.tagKey' failed to satisfy constraint: Member must have length less "
                 "than or equal to 128");
}

TEST_F(Constraints, TextsMustMatchTheirPattern) {
  const std::string must = "failed to satisfy constraint: Member must satisfy regular expression pattern: ";
  expect_one("CreateAlias", R"({"AliasName":"alias/ä","TargetKeyId":"k"})",
             "Value 'alias/ä' at 'aliasName' " + must + "^[a-zA-Z0-9:/_-]+$");
  expect_one("CreateGrant", R"({"KeyId":"k","GranteePrincipal":"a b","Operations":["Decrypt"]})",
             "Value 'a b' at 'granteePrincipal' " + must + R"(^[\w+=,.@:/-]+$)");
  expect_one("GetKeyPolicy", R"({"KeyId":"k","PolicyName":"a-b"})",
             "Value 'a-b' at 'policyName' " + must + R"([\w]+)");
  expect_one("ListKeys", R"({"Marker":"€"})", "Value '€' at 'marker' " + must + R"([\u0020-\u00FF]*)");
  expect_one("PutKeyPolicy", R"({"KeyId":"k","Policy":"€"})",
             "Value '€' at 'policy' " + must + R"([\u0009\u000A\u000D\u0020-\u00FF]+)");
}

TEST_F(Constraints, EnumerationsNameTheirSet) {
  const std::string must = "failed to satisfy constraint: Member must satisfy enum value set: ";
  expect_one("GenerateDataKey", R"({"KeyId":"k","KeySpec":"AES_512"})",
             "Value 'AES_512' at 'keySpec' " + must + "[AES_256, AES_128]");
  expect_one("Encrypt", R"({"KeyId":"k","Plaintext":"QQ==","EncryptionAlgorithm":"ROT13"})",
             "Value 'ROT13' at 'encryptionAlgorithm' " + must +
                 "[SYMMETRIC_DEFAULT, RSAES_OAEP_SHA_1, RSAES_OAEP_SHA_256, SM2PKE]");
  expect_one("CreateKey", R"({"Origin":"MOON"})",
             "Value 'MOON' at 'origin' " + must + "[EXTERNAL, AWS_CLOUDHSM, AWS_KMS, EXTERNAL_KEY_STORE]");
  expect_one(
      "CreateGrant",
      R"({"KeyId":"k","GranteePrincipal":"arn:aws:iam::111111111111:root","Operations":["Decrypt","Fly"]})",
      "Value '[Decrypt, Fly]' at 'operations' failed to satisfy constraint: Member must satisfy constraint: "
      "[Member must satisfy enum value set: [RetireGrant, ReEncryptFrom, ReEncryptTo, CreateGrant, "
      "GenerateDataKey, GenerateDataKeyWithoutPlaintext, DescribeKey, Encrypt, Decrypt, Sign, Verify, "
      "GetPublicKey, GenerateDataKeyPair, GenerateDataKeyPairWithoutPlaintext, GenerateMac, "
      "VerifyMac, DeriveSharedSecret]]");
}

TEST_F(Constraints, BlobsAreLimitedAndNeverRepeated) {
  const std::string at_plaintext =
      "Value at 'plaintext' failed to satisfy constraint: Member must have length ";
  expect_one("Encrypt", R"({"KeyId":"k","Plaintext":""})", at_plaintext + "greater than or equal to 1");
  const std::string large = to_base64(Bytes(4097));
  expect_one("Encrypt", R"({"KeyId":"k","Plaintext":")" + large + R"("})",
             at_plaintext + "less than or equal to 4096");
  const std::string blob = to_base64(Bytes(6145));
  expect_one("Decrypt", R"({"CiphertextBlob":")" + blob + R"("})",
             "Value at 'ciphertextBlob' failed to satisfy constraint: Member must have length less than or "
             "equal to 6144");
}

TEST_F(Constraints, ListsAreLimited) {
  const std::string eleven = R"(["1","2","3","4","5","6","7","8","9","10","11"])";
  expect_one("DescribeKey", R"({"KeyId":"k","GrantTokens":)" + eleven + "}",
             "Value '[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]' at 'grantTokens' failed to satisfy constraint: "
             "Member must have length less than or equal to 10");
  expect_one(
      "UntagResource", R"({"KeyId":"k","TagKeys":[""]})",
      "Value '[]' at 'tagKeys' failed to satisfy constraint: Member must satisfy constraint: [Member must "
      "have length less than or equal to 128, Member must have length greater than or equal to 1]");
}

TEST_F(Constraints, RequiredMembersMustBeThere) {
  struct Case {
    const char *operation, *request, *member;
  };
  for (const auto& [operation, request, member] :
       {Case{"DescribeKey", "{}", "keyId"},
        Case{"DescribeKey", R"({"KeyId":null})", "keyId"},
        Case{"DescribeKey", "", "keyId"},
        Case{"EnableKey", "{}", "keyId"},
        Case{"DisableKey", "{}", "keyId"},
        Case{"CancelKeyDeletion", "{}", "keyId"},
        Case{"ScheduleKeyDeletion", "{}", "keyId"},
        Case{"UpdateKeyDescription", R"({"KeyId":"k"})", "description"},
        Case{"CreateAlias", R"({"TargetKeyId":"k"})", "aliasName"},
        Case{"UpdateAlias", R"({"AliasName":"alias/a"})", "targetKeyId"},
        Case{"DeleteAlias", "{}", "aliasName"},
        Case{"GetKeyPolicy", "{}", "keyId"},
        Case{"PutKeyPolicy", R"({"KeyId":"k"})", "policy"},
        Case{"ListKeyPolicies", "{}", "keyId"},
        Case{"EnableKeyRotation", "{}", "keyId"},
        Case{"DisableKeyRotation", "{}", "keyId"},
        Case{"GetKeyRotationStatus", "{}", "keyId"},
        Case{"RotateKeyOnDemand", "{}", "keyId"},
        Case{"ListKeyRotations", "{}", "keyId"},
        Case{"GenerateDataKey", "{}", "keyId"},
        Case{"GenerateDataKeyWithoutPlaintext", "{}", "keyId"},
        Case{"Encrypt", R"({"Plaintext":"QQ=="})", "keyId"},
        Case{"ReEncrypt", R"({"CiphertextBlob":"QQ=="})", "destinationKeyId"},
        Case{"CreateGrant", R"({"KeyId":"k","Operations":["Decrypt"]})", "granteePrincipal"},
        Case{"ListGrants", "{}", "keyId"},
        Case{"RevokeGrant", R"({"KeyId":"k"})", "grantId"},
        Case{"ListRetirableGrants", "{}", "retiringPrincipal"},
        Case{"TagResource", R"({"KeyId":"k"})", "tags"},
        Case{"UntagResource", R"({"KeyId":"k"})", "tagKeys"},
        Case{"ListResourceTags", "{}", "keyId"},
        Case{"TagResource", R"({"KeyId":"k","Tags":[{"TagKey":"a"}]})", "tags.1.member.tagValue"},
        Case{"GetPublicKey", "{}", "keyId"}}) {
    expect_one(
        operation, request,
        "Value null at '" + std::string(member) + "' failed to satisfy constraint: Member must not be null");
  }
  expect_one("Encrypt", R"({"KeyId":"k"})",
             "Value at 'plaintext' failed to satisfy constraint: Member must not be null");
}

TEST_F(Constraints, AllThatIsWrongIsToldTogether) {
  expect("CreateAlias", R"({"AliasName":""})", "ValidationException",
         "2 validation errors detected: Value '' at 'aliasName' failed to satisfy constraint: Member must "
         "have length greater than or equal to 1; "
         "Value null at 'targetKeyId' failed to satisfy constraint: Member must not be null");
}

TEST_F(Constraints, MembersOfTheWrongTypeDoNotDeserialise) {
  struct Case {
    const char *operation, *request, *message;
  };
  for (const auto& [operation, request, message] :
       {Case{"DescribeKey", R"({"KeyId":1})", "NUMBER_VALUE can not be converted to a String"},
        Case{"DescribeKey", R"({"KeyId":true})", "BOOLEAN_VALUE can not be converted to a String"},
        Case{"DescribeKey", R"({"KeyId":["a"]})", "Start of list found where not expected."},
        Case{"DescribeKey", R"({"KeyId":{}})", "Start of structure or map found where not expected."},
        Case{"ListKeys", R"({"Limit":"1"})", "STRING_VALUE can not be converted to an Integer"},
        Case{"ListKeys", R"({"Limit":1.5})", "NUMBER_VALUE can not be converted to an Integer"},
        Case{"ListKeys", "[]", "Start of list found where not expected."},
        Case{"Encrypt", R"({"KeyId":"k","Plaintext":"QQ==","DryRun":"true"})",
             "STRING_VALUE can not be converted to a Boolean"},
        Case{"Encrypt", R"({"KeyId":"k","Plaintext":"Q"})",
             "STRING_VALUE is no base64 and can not be converted to a Blob"},
        Case{"Encrypt", R"({"KeyId":"k","Plaintext":"QQ==","EncryptionContext":[]})",
             "Start of list found where not expected."},
        Case{"Encrypt", R"({"KeyId":"k","Plaintext":"QQ==","EncryptionContext":{"a":null}})",
             "NULL_VALUE can not be converted to a String"},
        Case{"TagResource", R"({"KeyId":"k","Tags":["a"]})",
             "STRING_VALUE can not be converted to a Structure"}}) {
    expect(operation, request, "SerializationException", message);
  }
}

TEST_F(Constraints, WhatIsNoJsonIsASerializationException) {
  for (const char* request : {"{", "nonsense", R"({"Limit":1,"Limit":1})", "\xff", R"({"Limit":1}x)"}) {
    const WireAnswer answer = call_as(alice_, "ListKeys", request);
    EXPECT_EQ(answer.status, 400) << request;
    EXPECT_EQ(answer.code, "SerializationException") << request;
  }
}

TEST_F(Constraints, MembersThatTheOperationDoesNotKnowAreIgnored) {
  const WireAnswer answer = call_as(
      alice_, "ListKeys", R"({"Unknown":{"deep":[1,2,{"x":null}]},"limit":"not Limit","Limit":null})");
  EXPECT_EQ(answer.status, 200) << answer.text;
}

TEST_F(Constraints, AnOversizedBodyIsRefusedBeforeItIsRead) {
  const WireAnswer answer = call_as(alice_, "ListKeys", std::string(40'000, '['));
  EXPECT_EQ(answer.code, "ValidationException");
}

TEST_F(Constraints, TheValueOfASecretStandsInNoAnswer) {
  const std::string secret = to_base64(as_bytes("the plain text that must not be repeated"));
  for (const std::string& request :
       {R"({"Plaintext":")" + secret + R"("})", R"({"KeyId":1,"Plaintext":")" + secret + R"("})",
        R"({"KeyId":"k","Plaintext":")" + secret + R"(!"})",
        R"({"KeyId":"k","Plaintext":")" + secret + R"(")"}) {
    const WireAnswer answer = call_as(alice_, "Encrypt", request);
    EXPECT_EQ(answer.status, 400);
    EXPECT_EQ(answer.text.find(secret), std::string::npos) << answer.text;
  }
}

}  // namespace
}  // namespace kmsfs::kms::test
