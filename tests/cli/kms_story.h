// A local KMS with two accounts and some people, administered by the built kmsfs.
#pragma once

#include <fstream>
#include <nlohmann/json.hpp>

#include "tests/cli/kmsfs_command.h"

namespace kmsfs::testing {

class KmsStory : public KmsfsCommand {
 protected:
  using Json = nlohmann::json;

  static constexpr const char* kHome = "111122223333";
  static constexpr const char* kAbroad = "222233334444";
  static std::string user(const char* account, const char* name) {
    return std::string("arn:aws:iam::") + account + ":user/" + name;
  }
  const std::string alice = user(kHome, "alice");  // administers
  const std::string bob = user(kHome, "bob");      // uses
  const std::string eve = user(kAbroad, "eve");    // of another account

  // `kmsfs kms`, with the store named.
  cli::ProgramResult kms_command(const Arguments& arguments) const {
    Arguments command = {"kms", "--kms", kms()};
    command.insert(command.end(), arguments.begin(), arguments.end());
    return kmsfs(command);
  }
  cli::ProgramResult as(const std::string& principal, const Arguments& arguments) const {
    Arguments command = {"--principal", principal};
    command.insert(command.end(), arguments.begin(), arguments.end());
    return kms_command(command);
  }
  // Its answer; a failure fails the test.
  static Json answer(const cli::ProgramResult& result) {
    EXPECT_EQ(result.status, 0) << result.output;
    auto json = result.output.empty() ? Json::object() : Json::parse(result.output, nullptr, false);
    EXPECT_FALSE(json.is_discarded()) << result.output;
    return json;
  }
  static ::testing::AssertionResult refused(const cli::ProgramResult& result, cli::ExitCode code,
                                            const std::string& words) {
    if (result.status == static_cast<int>(code) && result.output.starts_with("kmsfs: ") &&
        result.output.find(words) != std::string::npos) {
      return ::testing::AssertionSuccess();
    }
    return ::testing::AssertionFailure() << "status " << result.status << ": " << result.output;
  }

  std::string make_file(const std::string& name, const std::string& content) const {
    std::ofstream(path(name)) << content;
    std::filesystem::permissions(path(name), std::filesystem::perms(0600));
    return path(name);
  }
  static std::string allow(const std::string& actions, const std::string& resource) {
    return R"({"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":)" + actions +
           R"(,"Resource":")" + resource + R"("}]})";
  }

  void SetUp() override {
    answer(kms_command({"init", "--seal", "keyfile", "--region", "ap-northeast-1"}));
    for (const char* account : {kHome, kAbroad})
      answer(kms_command({"create-account", "--account-id", account}));
    for (const char* name : {"alice", "bob"}) {
      answer(kms_command({"create-user", "--account-id", kHome, "--user-name", name}));
    }
    answer(kms_command({"create-user", "--account-id", kAbroad, "--user-name", "eve"}));
    answer(
        kms_command({"put-user-policy", "--account-id", kHome, "--user-name", "alice", "--policy-name",
                     "Administer", "--policy-document",
                     allow(R"(["kms:CreateKey","kms:CreateAlias","kms:ListKeys","kms:ListAliases"])", "*")}));
  }

  // alias/test-kms: alice administers, bob uses. Its ARN.
  std::string make_key() const {
    const Json made = answer(
        as(alice, {"create-key", "--alias", "test-kms", "--admin", "user/alice", "--user", "user/bob"}));
    return made.value("/KeyMetadata/Arn"_json_pointer, "");
  }
  // By bob, of `text`.
  std::string encrypted(const std::string& text) const {
    const std::string file = "fileb://" + make_file("plain", text);
    const Json made = answer(as(bob, {"encrypt", "--key-id", "alias/test-kms", "--plaintext", file}));
    return made.value("CiphertextBlob", "");
  }
};

}  // namespace kmsfs::testing
