// Every command of the table, once, against a store: it runs, and what it prints is JSON.
#include <set>

#include "cli/kms_commands.h"
#include "core/bytes.h"
#include "tests/cli/kms_story.h"

namespace kmsfs {
namespace {

class EveryKmsCommand : public testing::KmsStory {
 protected:
  // As the root of the account, who may do everything.
  Json run_one(const Arguments& arguments) {
    ran_.insert(arguments.front());
    const auto result = as("arn:aws:iam::111122223333:root", arguments);
    EXPECT_EQ(result.status, 0) << arguments.front() << ": " << result.output;
    if (result.output.empty()) return Json::object();
    auto json = Json::parse(result.output, nullptr, false);
    EXPECT_TRUE(json.is_object()) << arguments.front() << ": " << result.output;
    return json;
  }
  Json identity(Arguments arguments) {
    arguments.insert(arguments.end(), {"--account-id", kHome});
    return run_one(arguments);
  }
  std::string text(const Json& json, const char* pointer) {
    const auto found = json.value(Json::json_pointer(pointer), Json());
    EXPECT_TRUE(found.is_string()) << pointer << " in " << json.dump();
    return found.is_string() ? found.get<std::string>() : std::string();
  }
  void use(const std::string& key) {
    const std::string plain = "fileb://" + make_file("plain", "hello");
    const std::string blob =
        text(run_one({"encrypt", "--key-id", key, "--plaintext", plain, "--encryption-context", "a=b,c=d"}),
             "/CiphertextBlob");
    EXPECT_EQ(
        text(run_one({"decrypt", "--ciphertext-blob", blob, "--encryption-context", R"({"c":"d","a":"b"})"}),
             "/Plaintext"),
        to_base64(as_bytes("hello")));
    const std::string again =
        text(run_one({"re-encrypt", "--ciphertext-blob", blob, "--source-encryption-context", "a=b,c=d",
                      "--destination-key-id", key, "--destination-encryption-context", "e=f"}),
             "/CiphertextBlob");
    run_one({"decrypt", "--ciphertext-blob", again, "--encryption-context", "e=f", "--key-id", key});
    run_one({"generate-data-key", "--key-id", key, "--key-spec", "AES_256"});
    EXPECT_FALSE(run_one({"generate-data-key-without-plaintext", "--key-id", key, "--number-of-bytes", "16"})
                     .contains("Plaintext"));
    run_one({"generate-random", "--number-of-bytes", "8"});
  }
  void grant(const std::string& key) {
    const Json made = run_one({"create-grant", "--key-id", key, "--grantee-principal", bob,
                               "--retiring-principal", alice, "--operations", "Encrypt", "Decrypt",
                               "--constraints", "EncryptionContextSubset={a=b}", "--name", "g"});
    const Json other =
        run_one({"create-grant", "--key-id", key, "--grantee-principal", bob, "--operations", "Decrypt"});
    EXPECT_EQ(run_one({"list-grants", "--key-id", key})["Grants"].size(), 2u);
    EXPECT_EQ(run_one({"list-retirable-grants", "--retiring-principal", alice})["Grants"].size(), 1u);
    run_one({"revoke-grant", "--key-id", key, "--grant-id", text(other, "/GrantId")});
    run_one({"retire-grant", "--key-id", key, "--grant-id", text(made, "/GrantId")});
    EXPECT_EQ(run_one({"list-grants", "--key-id", key})["Grants"].size(), 0u);
  }
  void policies_of(const std::string& kind, const std::string& name, const std::string& document) {
    const std::string option = "--" + kind + "-name";
    identity({"put-" + kind + "-policy", option, name, "--policy-name", "p", "--policy-document", document});
    EXPECT_EQ(identity({"get-" + kind + "-policy", option, name, "--policy-name", "p"})["PolicyName"], "p");
    EXPECT_EQ(identity({"list-" + kind + "-policies", option, name})["PolicyNames"].size(), 1u);
    identity({"delete-" + kind + "-policy", option, name, "--policy-name", "p"});
  }
  void boundary_and_tags_of(const std::string& kind, const std::string& name, const std::string& document) {
    const std::string option = "--" + kind + "-name";
    identity({"put-" + kind + "-permissions-boundary", option, name, "--permissions-boundary", document});
    identity({"delete-" + kind + "-permissions-boundary", option, name});
    identity({"tag-" + kind, option, name, "--tags", "Key=x,Value=y"});
    EXPECT_GE(identity({"list-" + kind + "-tags", option, name})["Tags"].size(), 1u);
    identity({"untag-" + kind, option, name, "--tag-keys", "x"});
  }
  void expect_all(cli::Door door) {
    for (const cli::KmsCommand& command : cli::kms_commands()) {
      EXPECT_TRUE(command.door != door || ran_.contains(std::string(command.name))) << command.name;
    }
  }
  std::set<std::string> ran_;
};

TEST_F(EveryKmsCommand, OfKeysRuns) {
  const std::string key = text(
      run_one({"create-key", "--description", "first", "--tags", "TagKey=a,TagValue=b"}), "/KeyMetadata/Arn");
  run_one({"create-alias", "--alias-name", "alias/one", "--target-key-id", key});
  const std::string second = text(run_one({"create-key"}), "/KeyMetadata/KeyId");
  run_one({"update-alias", "--alias-name", "alias/one", "--target-key-id", second});
  EXPECT_EQ(text(run_one({"describe-key", "--key-id", "alias/one"}), "/KeyMetadata/KeyId"), second);
  EXPECT_EQ(run_one({"list-aliases"})["Aliases"].size(), 1u);
  EXPECT_EQ(run_one({"list-aliases", "--key-id", key})["Aliases"].size(), 0u);
  run_one({"delete-alias", "--alias-name", "alias/one"});
  EXPECT_EQ(run_one({"list-keys"})["Keys"].size(), 2u);
  run_one({"update-key-description", "--key-id", key, "--description", "changed"});
  const std::string policy = text(run_one({"get-key-policy", "--key-id", key}), "/Policy");
  run_one({"put-key-policy", "--key-id", key, "--policy", "file://" + make_file("policy", policy)});
  EXPECT_EQ(run_one({"list-key-policies", "--key-id", key})["PolicyNames"][0], "default");
  run_one({"disable-key", "--key-id", key});
  run_one({"enable-key", "--key-id", key});
  run_one({"schedule-key-deletion", "--key-id", second, "--pending-window-in-days", "7"});
  run_one({"cancel-key-deletion", "--key-id", second});
  run_one({"enable-key-rotation", "--key-id", key, "--rotation-period-in-days", "90"});
  EXPECT_EQ(run_one({"get-key-rotation-status", "--key-id", key})["KeyRotationEnabled"], true);
  run_one({"disable-key-rotation", "--key-id", key});
  run_one({"rotate-key-on-demand", "--key-id", key});
  EXPECT_EQ(run_one({"list-key-rotations", "--key-id", key})["Rotations"].size(), 1u);
  run_one({"tag-resource", "--key-id", key, "--tags", "TagKey=c,TagValue=d", "TagKey=e,TagValue="});
  EXPECT_EQ(run_one({"list-resource-tags", "--key-id", key})["Tags"].size(), 3u);
  run_one({"untag-resource", "--key-id", key, "--tag-keys", "a", "c"});
  use(key);
  grant(key);
  expect_all(cli::Door::kKms);
}

TEST_F(EveryKmsCommand, OfIdentitiesRuns) {
  const std::string document = allow(R"("kms:*")", "*");
  const std::string trust =
      R"({"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"111122223333"},"Action":"sts:AssumeRole"}]})";
  run_one({"create-account"});
  EXPECT_EQ(run_one({"list-accounts"})["Accounts"].size(), 3u);
  identity({"create-user", "--user-name", "carol", "--tags", "Key=team,Value=a"});
  identity({"get-user", "--user-name", "carol"});
  EXPECT_EQ(identity({"list-users"})["Users"].size(), 3u);
  identity({"map-uid", "--uid", "4711", "--user-name", "carol"});
  EXPECT_EQ(run_one({"list-uids"}).begin()->size(), 1u);
  run_one({"unmap-uid", "--uid", "4711"});
  identity({"create-group", "--group-name", "staff"});
  identity({"add-user-to-group", "--group-name", "staff", "--user-name", "carol"});
  EXPECT_EQ(identity({"get-group", "--group-name", "staff"})["Users"].size(), 1u);
  EXPECT_EQ(identity({"list-groups"})["Groups"].size(), 1u);
  EXPECT_EQ(identity({"list-groups-for-user", "--user-name", "carol"})["Groups"].size(), 1u);
  identity({"remove-user-from-group", "--group-name", "staff", "--user-name", "carol"});
  identity({"create-role", "--role-name", "clerk", "--assume-role-policy-document", trust, "--description",
            "d", "--max-session-duration", "3600"});
  identity({"get-role", "--role-name", "clerk"});
  EXPECT_EQ(identity({"list-roles"})["Roles"].size(), 1u);
  identity({"update-role", "--role-name", "clerk", "--description", "e"});
  identity({"update-assume-role-policy", "--role-name", "clerk", "--policy-document",
            "file://" + make_file("trust", trust)});
  for (const auto& [kind, name] :
       {std::pair<std::string, std::string>{"user", "carol"}, {"group", "staff"}, {"role", "clerk"}}) {
    policies_of(kind, name, document);
  }
  for (const auto& [kind, name] : {std::pair<std::string, std::string>{"user", "carol"}, {"role", "clerk"}}) {
    boundary_and_tags_of(kind, name, document);
  }
  const std::string id =
      text(identity({"create-access-key", "--user-name", "carol"}), "/AccessKey/AccessKeyId");
  EXPECT_EQ(identity({"list-access-keys", "--user-name", "carol"})["AccessKeyMetadata"].size(), 1u);
  identity({"update-access-key", "--user-name", "carol", "--access-key-id", id, "--status", "Inactive"});
  identity({"delete-access-key", "--user-name", "carol", "--access-key-id", id});
  identity({"delete-role", "--role-name", "clerk"});
  identity({"delete-group", "--group-name", "staff"});
  identity({"delete-user", "--user-name", "carol"});
  expect_all(cli::Door::kIdentities);
}

}  // namespace
}  // namespace kmsfs
