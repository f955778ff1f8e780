// Every operation of AWS's model: what it answers, member by member, compared with what AWS documents.
#include "tests/kms/wire/wire_fixture.h"

namespace kmsfs::kms::test {
namespace {

using Names = std::set<std::string>;

class Operations : public WireTest {
 protected:
  std::string root() const { return "arn:aws:iam::" + account_ + ":root"; }
  void expect_nothing(std::string_view operation, const json& request) {
    const WireAnswer answer = done(operation, request);
    EXPECT_EQ(answer.text, "") << operation;
  }
};

TEST_F(Operations, CreateKeyAnswersTheMetadataOfASymmetricKey) {
  const WireAnswer answer =
      done("CreateKey", {{"Description", "d \"ä\""}, {"Tags", {{{"TagKey", "a"}, {"TagValue", "b"}}}}});
  EXPECT_EQ(answer.members(), Names{"KeyMetadata"});
  const json& key = answer.body["KeyMetadata"];
  Names names;
  for (const auto& [name, value] : key.items()) names.insert(name);
  EXPECT_EQ(names, (Names{"AWSAccountId", "Arn", "CreationDate", "CurrentKeyMaterialId",
                          "CustomerMasterKeySpec", "Description", "Enabled", "EncryptionAlgorithms", "KeyId",
                          "KeyManager", "KeySpec", "KeyState", "KeyUsage", "MultiRegion", "Origin"}));
  EXPECT_EQ(key["AWSAccountId"], account_);
  EXPECT_EQ(key["Arn"], arn_of(key["KeyId"]));
  EXPECT_EQ(key["CreationDate"], 1'700'000'000.0);
  EXPECT_EQ(key["CurrentKeyMaterialId"].get<std::string>().size(), 64U);
  EXPECT_EQ(key["CustomerMasterKeySpec"], "SYMMETRIC_DEFAULT");
  EXPECT_EQ(key["Description"], "d \"ä\"");
  EXPECT_EQ(key["Enabled"], true);
  EXPECT_EQ(key["EncryptionAlgorithms"], json({"SYMMETRIC_DEFAULT"}));
  EXPECT_EQ(key["KeyManager"], "CUSTOMER");
  EXPECT_EQ(key["KeySpec"], "SYMMETRIC_DEFAULT");
  EXPECT_EQ(key["KeyState"], "Enabled");
  EXPECT_EQ(key["KeyUsage"], "ENCRYPT_DECRYPT");
  EXPECT_EQ(key["MultiRegion"], false);
  EXPECT_EQ(key["Origin"], "AWS_KMS");
}

TEST_F(Operations, CreateKeyRefusesWhatItCannotMake) {
  for (const json& request :
       {json{{"KeySpec", "RSA_2048"}, {"KeyUsage", "SIGN_VERIFY"}},
        json{{"KeySpec", "HMAC_256"}, {"KeyUsage", "GENERATE_VERIFY_MAC"}}, json{{"Origin", "EXTERNAL"}},
        json{{"MultiRegion", true}},
        json{{"CustomerMasterKeySpec", "ECC_NIST_P256"}, {"KeyUsage", "SIGN_VERIFY"}}}) {
    EXPECT_EQ(call("CreateKey", request).code, "UnsupportedOperationException") << request;
  }
  EXPECT_EQ(
      call("CreateKey", {{"KeySpec", "SYMMETRIC_DEFAULT"}, {"CustomerMasterKeySpec", "SYMMETRIC_DEFAULT"}})
          .code,
      "ValidationException");
  EXPECT_EQ(call("CreateKey", {{"Policy", "{}"}}).code, "MalformedPolicyDocumentException");
}

TEST_F(Operations, DescribeKeyTellsItsStateAndWhenItWillBeDeleted) {
  EXPECT_EQ(done("DescribeKey", {{"KeyId", key_}}).body["KeyMetadata"]["Description"], "a test key");
  expect_nothing("DisableKey", {{"KeyId", key_}});
  json key = done("DescribeKey", {{"KeyId", key_}}).body["KeyMetadata"];
  EXPECT_EQ(key["KeyState"], "Disabled");
  EXPECT_EQ(key["Enabled"], false);
  EXPECT_FALSE(key.contains("DeletionDate"));
  expect_nothing("EnableKey", {{"KeyId", key_}});
  const json scheduled = done("ScheduleKeyDeletion", {{"KeyId", key_}, {"PendingWindowInDays", 7}}).body;
  EXPECT_EQ(scheduled, (json{{"KeyId", key_},
                             {"DeletionDate", 1'700'000'000.0 + 7 * 86400},
                             {"KeyState", "PendingDeletion"},
                             {"PendingWindowInDays", 7}}));
  key = done("DescribeKey", {{"KeyId", key_}}).body["KeyMetadata"];
  EXPECT_EQ(key["KeyState"], "PendingDeletion");
  EXPECT_EQ(key["DeletionDate"], scheduled["DeletionDate"]);
  EXPECT_EQ(done("CancelKeyDeletion", {{"KeyId", key_}}).body, (json{{"KeyId", key_}}));
  EXPECT_EQ(done("DescribeKey", {{"KeyId", key_}}).body["KeyMetadata"]["KeyState"], "Disabled");
}

TEST_F(Operations, ListKeysPagesThroughAllOfThem) {
  for (int i = 0; i < 4; ++i) new_key();
  Names seen;
  json request = {{"Limit", 2}};
  for (int page = 0; page < 3; ++page) {
    const WireAnswer answer = done("ListKeys", request);
    for (const json& key : answer.body["Keys"]) {
      EXPECT_EQ(key["KeyArn"], arn_of(key["KeyId"]));
      EXPECT_EQ(key.size(), 2U);
      seen.insert(key["KeyId"]);
    }
    const bool last = page == 2;
    EXPECT_EQ(answer.members(),
              last ? (Names{"Keys", "Truncated"}) : (Names{"Keys", "NextMarker", "Truncated"}));
    EXPECT_EQ(answer.body["Truncated"], !last);
    request["Marker"] = answer["NextMarker"];
  }
  EXPECT_EQ(seen.size(), 5U);
  EXPECT_EQ(call("ListKeys", {{"Marker", "nonsense"}}).code, "InvalidMarkerException");
}

TEST_F(Operations, AliasesAreMadeListedMovedAndDeleted) {
  const std::string other = new_key();
  expect_nothing("CreateAlias", {{"AliasName", "alias/a"}, {"TargetKeyId", key_}});
  EXPECT_EQ(call("CreateAlias", {{"AliasName", "alias/a"}, {"TargetKeyId", other}}).code,
            "AlreadyExistsException");
  json listed = done("ListAliases", {{"KeyId", key_}}).body;
  ASSERT_EQ(listed["Aliases"].size(), 1U);
  EXPECT_EQ(listed["Aliases"][0], (json{{"AliasName", "alias/a"},
                                        {"AliasArn", "arn:aws:kms:local-1:" + account_ + ":alias/a"},
                                        {"TargetKeyId", key_id()},
                                        {"CreationDate", 1'700'000'000.0},
                                        {"LastUpdatedDate", 1'700'000'000.0}}));
  EXPECT_EQ(listed["Truncated"], false);
  clock_.advance(std::chrono::milliseconds(1500));
  expect_nothing("UpdateAlias", {{"AliasName", "alias/a"}, {"TargetKeyId", other}});
  EXPECT_EQ(done("ListAliases", {{"KeyId", key_}}).body["Aliases"].size(), 0U);
  listed = done("ListAliases").body;
  EXPECT_EQ(listed["Aliases"].back()["LastUpdatedDate"], 1'700'000'001.5);
  EXPECT_EQ(done("DescribeKey", {{"KeyId", "alias/a"}}).body["KeyMetadata"]["KeyId"], other);
  expect_nothing("DeleteAlias", {{"AliasName", "alias/a"}});
  const WireAnswer gone = call("DescribeKey", {{"KeyId", "alias/a"}});
  EXPECT_EQ(gone.code, "NotFoundException");
  EXPECT_EQ(gone.message, "Alias arn:aws:kms:local-1:" + account_ + ":alias/a is not found.");
}

TEST_F(Operations, ReservedAndMalformedAliasNamesAreRefused) {
  for (const char* operation : {"CreateAlias", "UpdateAlias"}) {
    EXPECT_EQ(call(operation, {{"AliasName", "alias/aws/mine"}, {"TargetKeyId", key_}}).code,
              "NotAuthorizedException")
        << operation;
  }
  EXPECT_EQ(call("DeleteAlias", {{"AliasName", "alias/aws/mine"}}).code, "NotAuthorizedException");
  const WireAnswer answer = call("CreateAlias", {{"AliasName", "mine"}, {"TargetKeyId", key_}});
  EXPECT_EQ(answer.code, "ValidationException");
  EXPECT_EQ(answer.message,
            "Alias must start with the prefix \"alias/\". Please see "
            "https://docs.aws.amazon.com/kms/latest/developerguide/kms-alias.html");
}

TEST_F(Operations, KeyPoliciesComeBackAsTheyWerePut) {
  const std::string policy =
      R"({"Version": "2012-10-17",  "Statement":[{"Sid":"x","Effect":"Allow","Principal":{"AWS":")" + root() +
      R"("},"Action":"kms:*","Resource":"*"}]})";
  expect_nothing("PutKeyPolicy", {{"KeyId", key_}, {"PolicyName", "default"}, {"Policy", policy}});
  expect_nothing("PutKeyPolicy", {{"KeyId", key_}, {"Policy", policy}});
  EXPECT_EQ(done("GetKeyPolicy", {{"KeyId", key_}, {"PolicyName", "default"}}).body,
            (json{{"Policy", policy}, {"PolicyName", "default"}}));
  EXPECT_EQ(done("GetKeyPolicy", {{"KeyId", key_}}).body["Policy"], policy);
  EXPECT_EQ(call("GetKeyPolicy", {{"KeyId", key_}, {"PolicyName", "other"}}).code, "NotFoundException");
  EXPECT_EQ(done("ListKeyPolicies", {{"KeyId", key_}}).body,
            (json{{"PolicyNames", {"default"}}, {"Truncated", false}}));
}

TEST_F(Operations, APolicyThatLocksOutIsRefused) {
  const std::string policy =
      R"({"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":")" + root() +
      R"("},"Action":"kms:Encrypt","Resource":"*"}]})";
  const WireAnswer answer = call("PutKeyPolicy", {{"KeyId", key_}, {"Policy", policy}});
  EXPECT_EQ(answer.code, "MalformedPolicyDocumentException");
  EXPECT_EQ(answer.message, "The new key policy will not allow you to update the key policy in the future.");
  expect_nothing("PutKeyPolicy",
                 {{"KeyId", key_}, {"Policy", policy}, {"BypassPolicyLockoutSafetyCheck", true}});
}

TEST_F(Operations, RotationIsTurnedOnToldAndDone) {
  EXPECT_EQ(done("GetKeyRotationStatus", {{"KeyId", key_}}).body,
            (json{{"KeyRotationEnabled", false}, {"KeyId", key_id()}}));
  expect_nothing("EnableKeyRotation", {{"KeyId", key_}, {"RotationPeriodInDays", 90}});
  EXPECT_EQ(done("GetKeyRotationStatus", {{"KeyId", key_}}).body,
            (json{{"KeyRotationEnabled", true},
                  {"KeyId", key_id()},
                  {"RotationPeriodInDays", 90},
                  {"NextRotationDate", 1'700'000'000.0 + 90 * 86400}}));
  expect_nothing("DisableKeyRotation", {{"KeyId", key_}});
  const std::string before =
      done("DescribeKey", {{"KeyId", key_}}).body["KeyMetadata"]["CurrentKeyMaterialId"];
  EXPECT_EQ(done("RotateKeyOnDemand", {{"KeyId", key_}}).body, (json{{"KeyId", key_id()}}));
  const std::string after =
      done("DescribeKey", {{"KeyId", key_}}).body["KeyMetadata"]["CurrentKeyMaterialId"];
  EXPECT_NE(before, after);
  const WireAnswer rotations =
      done("ListKeyRotations", {{"KeyId", key_}, {"IncludeKeyMaterial", "ALL_KEY_MATERIAL"}});
  EXPECT_EQ(rotations.members(), (Names{"Rotations", "Truncated"}));
  ASSERT_EQ(rotations.body["Rotations"].size(), 2U);
  Names materials;
  for (const json& rotation : rotations.body["Rotations"])
    materials.insert(rotation["KeyMaterialId"].get<std::string>());
  EXPECT_EQ(materials, (Names{before, after}));
  const json only = done("ListKeyRotations", {{"KeyId", key_}}).body["Rotations"];
  ASSERT_EQ(only.size(), 1U);
  EXPECT_EQ(only[0]["RotationType"], "ON_DEMAND");
  EXPECT_EQ(only[0]["KeyMaterialId"], after);
}

TEST_F(Operations, EncryptAndDecryptAgree) {
  const json context = {{"volume", "v\u0000\u00e4"}, {"n", 7}};
  const WireAnswer sealed =
      done("Encrypt", {{"KeyId", key_}, {"Plaintext", "aGVsbG8="}, {"EncryptionContext", context}});
  EXPECT_EQ(sealed.members(), (Names{"CiphertextBlob", "EncryptionAlgorithm", "KeyId"}));
  EXPECT_EQ(sealed["KeyId"], key_);
  EXPECT_EQ(sealed["EncryptionAlgorithm"], "SYMMETRIC_DEFAULT");
  const json same = {{"n", "7"}, {"volume", "v\u0000\u00e4"}};
  const WireAnswer opened =
      done("Decrypt", {{"CiphertextBlob", sealed["CiphertextBlob"]}, {"EncryptionContext", same}});
  EXPECT_EQ(opened.members(), (Names{"EncryptionAlgorithm", "KeyId", "KeyMaterialId", "Plaintext"}));
  EXPECT_EQ(opened["Plaintext"], "aGVsbG8=");
  EXPECT_EQ(opened["KeyId"], key_);
}

TEST_F(Operations, GenerateDataKeyAnswersAKeyAndItsBlob) {
  const WireAnswer made = done("GenerateDataKey", {{"KeyId", key_}, {"KeySpec", "AES_256"}});
  EXPECT_EQ(made.members(), (Names{"CiphertextBlob", "KeyId", "KeyMaterialId", "Plaintext"}));
  EXPECT_EQ(made["KeyId"], key_);
  EXPECT_EQ(from_base64(made["Plaintext"])->size(), 32U);
  EXPECT_EQ(done("Decrypt", {{"CiphertextBlob", made["CiphertextBlob"]}})["Plaintext"], made["Plaintext"]);
  for (const auto& [request, size] :
       {std::pair(json{{"KeySpec", "AES_128"}}, 16U), std::pair(json{{"NumberOfBytes", 1}}, 1U),
        std::pair(json{{"NumberOfBytes", 1024}}, 1024U)}) {
    json full = request;
    full["KeyId"] = key_;
    EXPECT_EQ(from_base64(done("GenerateDataKey", full)["Plaintext"])->size(), size);
  }
  const WireAnswer without =
      done("GenerateDataKeyWithoutPlaintext", {{"KeyId", key_}, {"NumberOfBytes", 64}});
  EXPECT_EQ(without.members(), (Names{"CiphertextBlob", "KeyId", "KeyMaterialId"}));
  for (const json& request :
       {json{{"KeyId", key_}}, json{{"KeyId", key_}, {"KeySpec", "AES_256"}, {"NumberOfBytes", 32}}}) {
    const WireAnswer answer = call("GenerateDataKey", request);
    EXPECT_EQ(answer.code, "ValidationException");
    EXPECT_EQ(answer.message, "Please specify either number of bytes or key spec.");
  }
}

TEST_F(Operations, AnAnswerForAnEnclaveIsRefusedRatherThanGivenInClear) {
  const std::string blob = done("Encrypt", {{"KeyId", key_}, {"Plaintext", "aGVsbG8="}})["CiphertextBlob"];
  const json recipient = {{"KeyEncryptionAlgorithm", "RSAES_OAEP_SHA_256"}};
  EXPECT_EQ(call("Decrypt", {{"CiphertextBlob", blob}, {"Recipient", recipient}}).code,
            "UnsupportedOperationException");
  EXPECT_EQ(call("GenerateDataKey", {{"KeyId", key_}, {"KeySpec", "AES_256"}, {"Recipient", recipient}}).code,
            "UnsupportedOperationException");
  EXPECT_EQ(call("GenerateRandom", {{"NumberOfBytes", 8}, {"Recipient", recipient}}).code,
            "UnsupportedOperationException");
}

TEST_F(Operations, ReEncryptMovesABlobToAnotherKey) {
  const std::string other = arn_of(new_key());
  const std::string blob = done(
      "Encrypt",
      {{"KeyId", key_}, {"Plaintext", "aGVsbG8="}, {"EncryptionContext", {{"a", "b"}}}})["CiphertextBlob"];
  const WireAnswer moved = done("ReEncrypt", {{"CiphertextBlob", blob},
                                              {"SourceEncryptionContext", {{"a", "b"}}},
                                              {"DestinationKeyId", other},
                                              {"DestinationEncryptionContext", {{"c", "d"}}}});
  EXPECT_EQ(moved.members(),
            (Names{"CiphertextBlob", "DestinationEncryptionAlgorithm", "DestinationKeyMaterialId", "KeyId",
                   "SourceEncryptionAlgorithm", "SourceKeyId", "SourceKeyMaterialId"}));
  EXPECT_EQ(moved["KeyId"], other);
  EXPECT_EQ(moved["SourceKeyId"], key_);
  const WireAnswer opened =
      done("Decrypt", {{"CiphertextBlob", moved["CiphertextBlob"]}, {"EncryptionContext", {{"c", "d"}}}});
  EXPECT_EQ(opened["Plaintext"], "aGVsbG8=");
  EXPECT_EQ(opened["KeyId"], other);
}

TEST_F(Operations, GenerateRandomAnswersSoManyBytes) {
  const WireAnswer answer = done("GenerateRandom", {{"NumberOfBytes", 100}});
  EXPECT_EQ(answer.members(), Names{"Plaintext"});
  EXPECT_EQ(from_base64(answer["Plaintext"])->size(), 100U);
  const WireAnswer none = call("GenerateRandom");
  EXPECT_EQ(none.code, "ValidationException");
  EXPECT_EQ(none.message, "NumberOfBytes is required.");
}

TEST_F(Operations, GrantsAreMadeListedRevokedAndRetired) {
  const std::string bob = new_user("bob", account_).principal;
  const json request = {{"KeyId", key_},
                        {"GranteePrincipal", bob},
                        {"RetiringPrincipal", bob},
                        {"Operations", {"Decrypt", "Encrypt"}},
                        {"Name", "n"},
                        {"Constraints", {{"EncryptionContextSubset", {{"a", "b"}}}}}};
  const WireAnswer made = done("CreateGrant", request);
  EXPECT_EQ(made.members(), (Names{"GrantId", "GrantToken"}));
  EXPECT_EQ(made["GrantId"].size(), 64U);
  const WireAnswer listed = done("ListGrants", {{"KeyId", key_}});
  EXPECT_EQ(listed.members(), (Names{"Grants", "Truncated"}));
  ASSERT_EQ(listed.body["Grants"].size(), 1U);
  EXPECT_EQ(listed.body["Grants"][0], (json{{"KeyId", key_},
                                            {"GrantId", made["GrantId"]},
                                            {"Name", "n"},
                                            {"CreationDate", 1'700'000'000.0},
                                            {"GranteePrincipal", bob},
                                            {"RetiringPrincipal", bob},
                                            {"IssuingAccount", root()},
                                            {"Operations", {"Decrypt", "Encrypt"}},
                                            {"Constraints", {{"EncryptionContextSubset", {{"a", "b"}}}}}}));
  EXPECT_EQ(done("ListRetirableGrants", {{"RetiringPrincipal", bob}}).body["Grants"].size(), 1U);
  expect_nothing("RevokeGrant", {{"KeyId", key_}, {"GrantId", made["GrantId"]}});
  EXPECT_EQ(done("ListGrants", {{"KeyId", key_}}).body["Grants"].size(), 0U);
  const WireAnswer again = done("CreateGrant", request);
  const WireAnswer retired =
      call_as(from(bob), "RetireGrant", json{{"GrantToken", again["GrantToken"]}}.dump());
  EXPECT_EQ(retired.status, 200) << retired.text;
  EXPECT_EQ(retired.text, "");
}

TEST_F(Operations, TagsAreSetListedAndTakenAway) {
  expect_nothing("TagResource",
                 {{"KeyId", key_},
                  {"Tags", {{{"TagKey", "a"}, {"TagValue", "1"}}, {{"TagKey", "b"}, {"TagValue", ""}}}}});
  EXPECT_EQ(done("ListResourceTags", {{"KeyId", key_}}).body,
            (json{{"Tags", {{{"TagKey", "a"}, {"TagValue", "1"}}, {{"TagKey", "b"}, {"TagValue", ""}}}},
                  {"Truncated", false}}));
  expect_nothing("UntagResource", {{"KeyId", key_}, {"TagKeys", {"a"}}});
  EXPECT_EQ(done("ListResourceTags", {{"KeyId", key_}}).body["Tags"].size(), 1U);
}

TEST_F(Operations, ADescriptionIsReplaced) {
  expect_nothing("UpdateKeyDescription", {{"KeyId", key_}, {"Description", ""}});
  EXPECT_EQ(done("DescribeKey", {{"KeyId", key_}}).body["KeyMetadata"]["Description"], "");
}

TEST_F(Operations, DryRunTellsThatItWouldHaveSucceeded) {
  const std::string blob = done("Encrypt", {{"KeyId", key_}, {"Plaintext", "aGVsbG8="}})["CiphertextBlob"];
  for (const auto& [operation, request] :
       {std::pair("Encrypt", json{{"KeyId", key_}, {"Plaintext", "aGVsbG8="}}),
        std::pair("Decrypt", json{{"CiphertextBlob", blob}}),
        std::pair("GenerateDataKey", json{{"KeyId", key_}, {"KeySpec", "AES_256"}}),
        std::pair("GenerateDataKeyWithoutPlaintext", json{{"KeyId", key_}, {"KeySpec", "AES_256"}}),
        std::pair("ReEncrypt", json{{"CiphertextBlob", blob}, {"DestinationKeyId", key_}}),
        std::pair(
            "CreateGrant",
            json{{"KeyId", key_}, {"GranteePrincipal", alice_.principal}, {"Operations", {"Decrypt"}}})}) {
    json dry = request;
    dry["DryRun"] = true;
    const WireAnswer answer = call(operation, dry);
    EXPECT_EQ(answer.status, 400) << operation;
    EXPECT_EQ(answer.code, "DryRunOperationException") << operation;
    EXPECT_EQ(answer.message, "The request would have succeeded, but the DryRun option is set.") << operation;
  }
  EXPECT_EQ(done("ListGrants", {{"KeyId", key_}}).body["Grants"].size(), 0U);
}

TEST_F(Operations, NamesOfNoOperationAreUnknown) {
  for (const char* operation : {"", "Fly", "encrypt", "Encrypt ", "TrentService.Encrypt"}) {
    EXPECT_EQ(call(operation).code, "UnknownOperationException") << operation;
  }
}

}  // namespace
}  // namespace kmsfs::kms::test
