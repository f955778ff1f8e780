// The words of kmsfs kms, and the requests that are made of them.
#include "cli/kms_arguments.h"

#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <set>

#include "cli/kms_request.h"
#include "core/bytes.h"
#include "kms/identities/administration_call.h"
#include "tests/cli/scratch_directory.h"
#include "tests/support/crypto_environment.h"

namespace kmsfs::cli {
namespace {

using Json = nlohmann::json;
using Words = std::vector<std::string_view>;

std::string error_of(const Words& words) {
  auto parsed = KmsArguments::parse(words);
  if (!parsed) return parsed.error().text;
  auto request = kms_request(*parsed);
  return request ? "" : request.error().text;
}

Json request_of(const Words& words) {
  auto parsed = KmsArguments::parse(words);
  if (!parsed) return parsed.error().text;
  auto request = kms_request(*parsed);
  if (!request) return request.error().text;
  return Json::parse(as_text(request->reveal()), nullptr, false);
}

TEST(KmsCommands, EveryRowReadsAndNoNameStandsTwice) {
  std::set<std::string_view> names;
  for (const KmsCommand& command : kms_commands()) {
    EXPECT_TRUE(names.insert(command.name).second) << command.name;
    EXPECT_FALSE(command.summary.empty()) << command.name;
    std::set<std::string> parameters;
    for (const KmsParameter& parameter : parameters_of(command)) {
      EXPECT_TRUE(parameters.insert(parameter.name).second) << command.name << " " << parameter.name;
      EXPECT_EQ(parameter.name.find_first_of("!:|"), std::string::npos)
          << command.name << " " << parameter.name;
    }
    for (const KmsParameter& common : common_parameters()) {
      EXPECT_FALSE(parameters.contains(common.name)) << command.name << " hides " << common.name;
    }
    EXPECT_EQ(help_of(command).find("usage: kmsfs kms " + std::string(command.name)), 0u);
  }
}

TEST(KmsCommands, EveryOperationOfTheKmsHasARow) {
  const std::set<std::string> operations = {"CreateKey",
                                            "DescribeKey",
                                            "ListKeys",
                                            "CreateAlias",
                                            "UpdateAlias",
                                            "DeleteAlias",
                                            "ListAliases",
                                            "GetKeyPolicy",
                                            "PutKeyPolicy",
                                            "ListKeyPolicies",
                                            "EnableKey",
                                            "DisableKey",
                                            "ScheduleKeyDeletion",
                                            "CancelKeyDeletion",
                                            "EnableKeyRotation",
                                            "DisableKeyRotation",
                                            "GetKeyRotationStatus",
                                            "RotateKeyOnDemand",
                                            "ListKeyRotations",
                                            "GenerateDataKey",
                                            "GenerateDataKeyWithoutPlaintext",
                                            "Encrypt",
                                            "Decrypt",
                                            "ReEncrypt",
                                            "GenerateRandom",
                                            "CreateGrant",
                                            "ListGrants",
                                            "RevokeGrant",
                                            "RetireGrant",
                                            "ListRetirableGrants",
                                            "TagResource",
                                            "UntagResource",
                                            "ListResourceTags",
                                            "UpdateKeyDescription"};
  std::set<std::string> rows;
  for (const KmsCommand& command : kms_commands()) {
    if (command.door == Door::kKms) rows.insert(operation_of(command));
  }
  EXPECT_EQ(rows, operations);
}

TEST(KmsCommands, EveryOperationOfAdministrationHasARow) {
  std::set<std::string> rows = {"Why"};  // has a row of its own kind
  for (const KmsCommand& command : kms_commands()) {
    if (command.door == Door::kIdentities) rows.insert(operation_of(command));
  }
  std::set<std::string> operations;
  for (const std::string_view operation : kms::administration_operations()) operations.emplace(operation);
  EXPECT_EQ(rows, operations);
}

TEST(KmsArguments, WhatIsWrongIsNamedWithTheUsage) {
  EXPECT_NE(error_of({"frobnicate"}).find("no command frobnicate"), std::string::npos);
  EXPECT_NE(error_of({"create-kye"}).find("did you mean create-key"), std::string::npos);
  const std::string unknown = error_of({"create-alias", "--colour", "red"});
  EXPECT_NE(unknown.find("no option --colour"), std::string::npos) << unknown;
  EXPECT_NE(unknown.find("usage: kmsfs kms create-alias --alias-name TEXT --target-key-id TEXT"),
            std::string::npos)
      << unknown;
  EXPECT_NE(error_of({"create-alias", "--alias-name", "alias/a"}).find("--target-key-id must be given"),
            std::string::npos);
  EXPECT_NE(error_of({"enable-key", "--key-id"}).find("--key-id needs a value"), std::string::npos);
  EXPECT_NE(error_of({"enable-key", "--key-id", "--kms"}).find("--key-id needs a value"), std::string::npos);
  EXPECT_NE(error_of({"enable-key", "--key-id", "a", "--key-id", "b"}).find("--key-id is given twice"),
            std::string::npos);
  EXPECT_NE(error_of({"list-keys", "--limit", "many"}).find("--limit"), std::string::npos);
  EXPECT_NE(error_of({"tag-resource", "--key-id", "k", "--tags", "TagKey"}).find("--tags"),
            std::string::npos);
}

TEST(KmsArguments, NoErrorRepeatsAPlainText) {
  const char* secret = "hunter2-is-no-base64!";
  const Words wrong[] = {{"encrypt", "--key-id", "k", "--plaintext", secret},
                         {"encrypt", "--key-id", "k", "--plaintext", "aGVsbG8=", secret},
                         {"encrypt", "--key-id", "k", "--plaintext", secret, "--colour", "red"}};
  for (const Words& words : wrong) {
    const std::string text = error_of(words);
    EXPECT_FALSE(text.empty());
    EXPECT_EQ(text.find("hunter2"), std::string::npos) << text;
  }
}

TEST(KmsArguments, OptionsOfEveryCommandStandAnywhere) {
  auto before = KmsArguments::parse(Words{"--kms", "local:/a", "--user", "bob", "list-keys"});
  ASSERT_TRUE(before);
  EXPECT_EQ(before->text("--kms"), "local:/a");
  EXPECT_EQ(before->text("--principal"), "bob");
  auto after = KmsArguments::parse(Words{"list-keys", "--principal=bob", "--kms=local:/a"});
  ASSERT_TRUE(after);
  EXPECT_EQ(after->text("--principal"), "bob");
}

TEST(KmsArguments, UserAfterCreateKeyIsAUserOfTheKey) {
  auto parsed = KmsArguments::parse(
      Words{"--user", "alice", "create-key", "--user", "user/bob", "--user", "user/carol"});
  ASSERT_TRUE(parsed);
  EXPECT_EQ(parsed->text("--principal"), "alice");
  EXPECT_EQ(parsed->all("--user").size(), 2u);
}

TEST(KmsRequest, MembersAreNamedAndTypedAsAwsDoes) {
  EXPECT_EQ(request_of({"create-key", "--description", "d", "--multi-region", "--tags", "TagKey=a,TagValue=b",
                        "TagKey=c,TagValue=", "--no-bypass-policy-lockout-safety-check", "--alias", "own"}),
            Json::parse(R"({"Description":"d","Tags":[{"TagKey":"a","TagValue":"b"},
              {"TagKey":"c","TagValue":""}],"MultiRegion":true,"BypassPolicyLockoutSafetyCheck":false})"));
  EXPECT_EQ(request_of({"list-keys"}), Json::object());
  EXPECT_EQ(request_of({"schedule-key-deletion", "--key-id", "k", "--pending-window-in-days", "7"}),
            Json::parse(R"({"KeyId":"k","PendingWindowInDays":7})"));
  EXPECT_EQ(request_of({"create-grant", "--key-id", "k", "--grantee-principal", "p", "--operations",
                        "Encrypt", "Decrypt", "--constraints", "EncryptionContextSubset={a=b,c=\"d,e\"}"}),
            Json::parse(R"({"KeyId":"k","GranteePrincipal":"p","Operations":["Encrypt","Decrypt"],
              "Constraints":{"EncryptionContextSubset":{"a":"b","c":"d,e"}}})"));
  EXPECT_EQ(request_of({"create-grant", "--key-id", "k", "--grantee-principal", "p", "--operations",
                        R"(["Encrypt"])", "--constraints", R"({"EncryptionContextEquals":{"a":"b"}})"}),
            Json::parse(R"({"KeyId":"k","GranteePrincipal":"p","Operations":["Encrypt"],
              "Constraints":{"EncryptionContextEquals":{"a":"b"}}})"));
  EXPECT_EQ(request_of({"encrypt", "--key-id", "k", "--plaintext", "aGVsbG8=", "--encryption-context",
                        "kmsfs:volume=v,n=1"}),
            Json::parse(
                R"({"KeyId":"k","Plaintext":"aGVsbG8=","EncryptionContext":{"kmsfs:volume":"v","n":"1"}})"));
}

TEST(KmsRequest, FilesStandForTextsAndBytes) {
  const testing::ScratchDirectory top;
  std::ofstream(top / "policy") << R"({"Version":"2012-10-17"})";
  std::ofstream(top / "plain") << "any\xff";
  std::ofstream(top / "tags") << R"([{"TagKey":"a","TagValue":"b"}])";
  const std::string policy = "file://" + (top / "policy"), plain = "fileb://" + (top / "plain"),
                    tags = "file://" + (top / "tags");
  EXPECT_EQ(request_of({"put-key-policy", "--key-id", "k", "--policy", policy}),
            (Json{{"KeyId", "k"}, {"Policy", R"({"Version":"2012-10-17"})"}}));
  EXPECT_EQ(request_of({"encrypt", "--key-id", "k", "--plaintext", plain}),
            (Json{{"KeyId", "k"}, {"Plaintext", "YW55/w=="}}));
  EXPECT_EQ(request_of({"tag-resource", "--key-id", "k", "--tags", tags})["Tags"][0]["TagKey"], "a");
  EXPECT_NE(error_of({"encrypt", "--key-id", "k", "--plaintext", "fileb:///nowhere"}).find("/nowhere"),
            std::string::npos);
  std::ofstream(top / "plain") << std::string(7000, 'x');
  EXPECT_NE(error_of({"encrypt", "--key-id", "k", "--plaintext", plain}).find("generate-data-key"),
            std::string::npos);
}

TEST(KmsRequest, ABlobOfAnyLengthIsTheBase64ThatCoreWrites) {
  const testing::ScratchDirectory top;
  const std::string plain = "fileb://" + (top / "plain");
  std::string bytes;
  for (int size = 0; size < 20; ++size) {
    std::ofstream(top / "plain") << bytes;
    EXPECT_EQ(request_of({"encrypt", "--key-id", "k", "--plaintext", plain})["Plaintext"],
              to_base64(as_bytes(bytes)));
    bytes += static_cast<char>(size * 37);
  }
}

TEST(Shorthand, WhatCannotBeUnderstoodIsAnError) {
  for (const char* text : {"", "a", "=b", "a=b,", "a={b=c", "a=[b", "a=b}", "a=\"b", "a=b,a=c",
                           "{\"a\":", "[]x=1", "a={b={c={d={e={f={g={h={i={j=k}}}}}}}}}"}) {
    EXPECT_NE(error_of({"encrypt", "--key-id", "k", "--plaintext", "", "--encryption-context", text}), "")
        << text;
  }
}

}  // namespace
}  // namespace kmsfs::cli
