// What toy implementations of the AWS KMS get wrong, tried on the wire.
#include "tests/kms/wire/wire_fixture.h"

namespace kmsfs::kms::test {
namespace {

class Pitfalls : public WireTest {
 protected:
  std::string blob(const json& context = json::object(), const std::string& key = {}) {
    return done("Encrypt", {{"KeyId", key.empty() ? key_ : key},
                            {"Plaintext", "aGVsbG8="},
                            {"EncryptionContext", context}})["CiphertextBlob"];
  }
  void expect_code(std::string_view operation, const json& request, const std::string& code) {
    const WireAnswer answer = call(operation, request);
    EXPECT_EQ(answer.status, 400) << operation << " " << answer.text;
    EXPECT_EQ(answer.code, code) << operation << " " << answer.text;
  }
};

TEST_F(Pitfalls, ContextsThatConcatenateAlikeAreNotAlike) {
  const std::string sealed = blob({{"a", "bc"}});
  for (const json& context : {json{{"ab", "c"}}, json{{"abc", ""}}, json{{"", "abc"}}, json::object(),
                              json{{"a", "bc"}, {"d", ""}}, json{{"A", "bc"}}, json{{"a", "BC"}}}) {
    expect_code("Decrypt", {{"CiphertextBlob", sealed}, {"EncryptionContext", context}},
                "InvalidCiphertextException");
  }
  done("Decrypt", {{"CiphertextBlob", sealed}, {"EncryptionContext", {{"a", "bc"}}}});
}

TEST_F(Pitfalls, NoPartOfAContextIsLeftOut) {
  const std::string sealed = blob({{"aws-crypto-public-key", "one"}});
  expect_code("Decrypt",
              {{"CiphertextBlob", sealed}, {"EncryptionContext", {{"aws-crypto-public-key", "two"}}}},
              "InvalidCiphertextException");
  expect_code("Decrypt", {{"CiphertextBlob", sealed}}, "InvalidCiphertextException");
}

TEST_F(Pitfalls, ADisabledKeyIsNotUsed) {
  const std::string sealed = blob();
  done("DisableKey", {{"KeyId", key_}});
  for (const auto& [operation, request] :
       {std::pair("Encrypt", json{{"KeyId", key_}, {"Plaintext", "QQ=="}}),
        std::pair("Decrypt", json{{"CiphertextBlob", sealed}}),
        std::pair("GenerateDataKey", json{{"KeyId", key_}, {"KeySpec", "AES_256"}}),
        std::pair("ReEncrypt", json{{"CiphertextBlob", sealed}, {"DestinationKeyId", key_}}),
        std::pair("GenerateDataKeyWithoutPlaintext", json{{"KeyId", key_}, {"KeySpec", "AES_256"}}),
        std::pair("EnableKeyRotation", json{{"KeyId", key_}}),
        std::pair("RotateKeyOnDemand", json{{"KeyId", key_}}),
        std::pair(
            "CreateGrant",
            json{{"KeyId", key_}, {"GranteePrincipal", alice_.principal}, {"Operations", {"Decrypt"}}})}) {
    const WireAnswer answer = call(operation, request);
    EXPECT_EQ(answer.code, "DisabledException") << operation << answer.text;
    EXPECT_EQ(answer.message, key_ + " is disabled.") << operation;
  }
}

TEST_F(Pitfalls, AKeyPendingDeletionIsNeitherUsedNorChanged) {
  const std::string sealed = blob();
  done("ScheduleKeyDeletion", {{"KeyId", key_}});
  for (const auto& [operation, request] :
       {std::pair("GenerateDataKey", json{{"KeyId", key_}, {"KeySpec", "AES_256"}}),
        std::pair("Decrypt", json{{"CiphertextBlob", sealed}}),
        std::pair("ScheduleKeyDeletion", json{{"KeyId", key_}}),
        std::pair("EnableKey", json{{"KeyId", key_}}), std::pair("DisableKey", json{{"KeyId", key_}}),
        std::pair("TagResource", json{{"KeyId", key_}, {"Tags", {{{"TagKey", "a"}, {"TagValue", "b"}}}}}),
        std::pair("UpdateKeyDescription", json{{"KeyId", key_}, {"Description", "x"}}),
        std::pair("CreateAlias", json{{"AliasName", "alias/x"}, {"TargetKeyId", key_}})}) {
    const WireAnswer answer = call(operation, request);
    EXPECT_EQ(answer.status, 400);
    EXPECT_EQ(answer.code, "KMSInvalidStateException") << operation << answer.text;
    EXPECT_EQ(answer.message, key_ + " is pending deletion.") << operation;
  }
}

TEST_F(Pitfalls, OnlyAPendingDeletionCanBeCancelled) {
  const WireAnswer answer = call("CancelKeyDeletion", {{"KeyId", key_}});
  EXPECT_EQ(answer.code, "KMSInvalidStateException");
  EXPECT_EQ(answer.message, key_ + " is not pending deletion.");
}

TEST_F(Pitfalls, TheWaitingPeriodIsSevenToThirtyDaysWhateverTheModelSays) {
  for (const int days : {1, 6, 31, 365}) {
    expect_code("ScheduleKeyDeletion", {{"KeyId", key_}, {"PendingWindowInDays", days}},
                "ValidationException");
  }
}

TEST_F(Pitfalls, ABlobOfAnotherKeyIsIncorrectKey) {
  const WireAnswer answer = call("Decrypt", {{"CiphertextBlob", blob()}, {"KeyId", new_key()}});
  EXPECT_EQ(answer.status, 400);
  EXPECT_EQ(answer.code, "IncorrectKeyException");
  EXPECT_EQ(answer.message,
            "The key ID in the request does not identify a CMK that can perform this operation.");
  expect_code("ReEncrypt",
              {{"CiphertextBlob", blob()}, {"SourceKeyId", new_key()}, {"DestinationKeyId", key_}},
              "IncorrectKeyException");
}

TEST_F(Pitfalls, AGrantForAnOperationOfOtherKeysIsRefused) {
  for (const char* operation :
       {"Sign", "Verify", "GetPublicKey", "GenerateMac", "VerifyMac", "DeriveSharedSecret"}) {
    expect_code("CreateGrant",
                {{"KeyId", key_}, {"GranteePrincipal", alice_.principal}, {"Operations", {operation}}},
                "ValidationException");
  }
}

TEST_F(Pitfalls, RotationChangesTheMaterialAndOldBlobsStillOpen) {
  const std::string old_blob = blob();
  const std::string old_material = done("Decrypt", {{"CiphertextBlob", old_blob}})["KeyMaterialId"];
  done("RotateKeyOnDemand", {{"KeyId", key_}});
  const WireAnswer reopened = done("Decrypt", {{"CiphertextBlob", old_blob}});
  EXPECT_EQ(reopened["Plaintext"], "aGVsbG8=");
  EXPECT_EQ(reopened["KeyMaterialId"], old_material);
  EXPECT_NE(done("Decrypt", {{"CiphertextBlob", blob()}})["KeyMaterialId"], old_material);
}

TEST_F(Pitfalls, DecryptIsDecidedOnTheKeyInsideTheBlob) {
  const std::string sealed = blob();
  const Invocation bob = new_user("bob", account_);
  const auto as_bob = [&](const json& request) { return call_as(bob, "Decrypt", request.dump()); };
  const WireAnswer denied = as_bob({{"CiphertextBlob", sealed}});
  EXPECT_EQ(denied.code, "AccessDeniedException");
  EXPECT_EQ(denied.message,
            "The ciphertext refers to a customer master key that does not exist, does not exist in this "
            "region, or you are not allowed to access.");
  const json policy = {{"Version", "2012-10-17"},
                       {"Statement", {{{"Effect", "Allow"}, {"Action", "kms:Decrypt"}, {"Resource", key_}}}}};
  ASSERT_TRUE(service_->administration().put_user_policy(bob.principal, "p", policy.dump()));
  EXPECT_EQ(as_bob({{"CiphertextBlob", sealed}}).status, 200);
  EXPECT_EQ(as_bob({{"CiphertextBlob", blob({}, new_key())}}).code, "AccessDeniedException");
}

TEST_F(Pitfalls, AnAliasInTheRequestIsNotWhatStandsInTheBlob) {
  done("CreateAlias", {{"AliasName", "alias/a"}, {"TargetKeyId", key_}});
  const WireAnswer sealed = done("Encrypt", {{"KeyId", "alias/a"}, {"Plaintext", "aGVsbG8="}});
  EXPECT_EQ(sealed["KeyId"], key_);
  done("UpdateAlias", {{"AliasName", "alias/a"}, {"TargetKeyId", new_key()}});
  EXPECT_EQ(done("Decrypt", {{"CiphertextBlob", sealed["CiphertextBlob"]}})["KeyId"], key_);
  EXPECT_EQ(call("Decrypt", {{"CiphertextBlob", sealed["CiphertextBlob"]}, {"KeyId", "alias/a"}}).code,
            "IncorrectKeyException");
  const std::string moved =
      done("ReEncrypt", {{"CiphertextBlob", sealed["CiphertextBlob"]},
                         {"DestinationKeyId", "arn:aws:kms:local-1:" + account_ + ":alias/a"}})["KeyId"];
  EXPECT_NE(moved, key_);
  EXPECT_EQ(moved.find("alias"), std::string::npos);
}

TEST_F(Pitfalls, EveryMalformedBlobHasTheSameAnswer) {
  const Bytes good = *from_base64(blob());
  std::vector<Bytes> bad = {Bytes(1), Bytes(6144), Bytes(good.begin(), good.end() - 1), Bytes(255)};
  Bytes longer = good;
  longer.push_back({});
  bad.push_back(longer);
  for (std::size_t i = 0; i < good.size(); i += 5) {
    if (i >= 2 && i < 18) continue;  // the key's id: another key, tried below
    Bytes flipped = good;
    flipped[i] ^= std::byte{1};
    bad.push_back(flipped);
  }
  for (const Bytes& one : bad) {
    const WireAnswer answer = call("Decrypt", {{"CiphertextBlob", to_base64(one)}, {"KeyId", key_}});
    EXPECT_EQ(answer.status, 400);
    EXPECT_EQ(answer.text, R"({"__type":"InvalidCiphertextException"})");
  }
  Bytes unknown = good;
  unknown[4] ^= std::byte{1};
  const WireAnswer answer = call("Decrypt", {{"CiphertextBlob", to_base64(unknown)}});
  EXPECT_EQ(answer.code, "AccessDeniedException");
}

TEST_F(Pitfalls, AForeignAccountLearnsNothingOfAKeysExistence) {
  const Invocation stranger = new_user("mallory");
  const json policy = {{"Version", "2012-10-17"},
                       {"Statement", {{{"Effect", "Allow"}, {"Action", "kms:*"}, {"Resource", "*"}}}}};
  ASSERT_TRUE(service_->administration().put_user_policy(stranger.principal, "p", policy.dump()));
  const WireAnswer there = call_as(stranger, "DescribeKey", json{{"KeyId", key_}}.dump());
  const WireAnswer not_there = call_as(
      stranger, "DescribeKey", json{{"KeyId", arn_of("12345678-1234-4123-8123-123456789012")}}.dump());
  EXPECT_EQ(there.code, "AccessDeniedException");
  EXPECT_EQ(not_there.code, "AccessDeniedException");
}

TEST_F(Pitfalls, KeysThatCannotBeAreNotFoundAsAwsSaysIt) {
  const std::string absent = "12345678-1234-4123-8123-123456789012";
  for (const auto& [name, message] :
       {std::pair(std::string("fake-key-id"), std::string("Invalid keyId 'fake-key-id'")),
        std::pair(absent, "Key '" + arn_of(absent) + "' does not exist"),
        std::pair(arn_of(absent), "Key '" + arn_of(absent) + "' does not exist"),
        std::pair("arn:aws:kms:eu-west-9:" + account_ + ":key/" + key_id(),
                  std::string("Invalid arn eu-west-9")),
        std::pair(std::string("alias/none"),
                  "Alias arn:aws:kms:local-1:" + account_ + ":alias/none is not found.")}) {
    const WireAnswer answer = call("DescribeKey", {{"KeyId", name}});
    EXPECT_EQ(answer.status, 400) << name;
    EXPECT_EQ(answer.code, "NotFoundException") << name;
    EXPECT_EQ(answer.message, message);
  }
  expect_code("EnableKey", {{"KeyId", "alias/a"}}, "NotFoundException");
}

TEST_F(Pitfalls, OnlyThePrefixWithItsSlashIsReserved) {
  done("CreateAlias", {{"AliasName", "alias/aws"}, {"TargetKeyId", key_}});
  done("CreateAlias", {{"AliasName", "alias/awsome"}, {"TargetKeyId", key_}});
}

TEST_F(Pitfalls, GrantsOfTheSameNameAreOneOnlyIfAllIsTheSame) {
  const json request = {
      {"KeyId", key_}, {"GranteePrincipal", alice_.principal}, {"Operations", {"Decrypt"}}, {"Name", "n"}};
  const WireAnswer first = done("CreateGrant", request), second = done("CreateGrant", request);
  EXPECT_EQ(first["GrantId"], second["GrantId"]);
  EXPECT_NE(first["GrantToken"], second["GrantToken"]);
  json other = request;
  other["Operations"] = {"Encrypt"};
  EXPECT_NE(done("CreateGrant", other)["GrantId"], first["GrantId"]);
  EXPECT_FALSE(done("ListGrants", {{"KeyId", key_}}).body["Grants"][0].contains("GrantToken"));
}

TEST_F(Pitfalls, PlainTextIsBase64AndNotGuessedAt) {
  EXPECT_EQ(call("Encrypt", {{"KeyId", key_}, {"Plaintext", "not base64!"}}).code, "SerializationException");
  const std::string sealed = done("Encrypt", {{"KeyId", key_}, {"Plaintext", "test"}})["CiphertextBlob"];
  EXPECT_EQ(done("Decrypt", {{"CiphertextBlob", sealed}})["Plaintext"], "test");
}

TEST_F(Pitfalls, ClientErrorsAre400AndHaveACode) {
  for (const auto& [operation, request] : {std::pair("DescribeKey", json{{"KeyId", "alias/none"}}),
                                           std::pair("CreateKey", json{{"Policy", "my policy"}}),
                                           std::pair("Decrypt", json{{"CiphertextBlob", "QQ=="}})}) {
    const WireAnswer answer = call(operation, request);
    EXPECT_EQ(answer.status, 400);
    EXPECT_NE(answer.code, "");
  }
}

}  // namespace
}  // namespace kmsfs::kms::test
