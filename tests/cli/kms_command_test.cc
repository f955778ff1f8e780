// kmsfs kms, as its operator runs it.
#include <filesystem>

#include "cli/kms_commands.h"
#include "core/bytes.h"
#include "tests/cli/kms_story.h"

namespace kmsfs {
namespace {

using cli::ExitCode;

class KmsCommandTest : public testing::KmsStory {};

TEST_F(KmsCommandTest, ManagingAndUsingAKeyAreDifferentThings) {
  const std::string key = make_key();
  EXPECT_TRUE(key.starts_with("arn:aws:kms:ap-northeast-1:111122223333:key/")) << key;
  const std::string blob = encrypted("attack at dawn");
  EXPECT_EQ(answer(as(bob, {"decrypt", "--ciphertext-blob", blob}))["Plaintext"],
            to_base64(as_bytes("attack at dawn")));
  EXPECT_TRUE(
      refused(as(alice, {"decrypt", "--ciphertext-blob", blob}), ExitCode::kDenied, "AccessDeniedException"));
  EXPECT_TRUE(refused(as(bob, {"disable-key", "--key-id", key}), ExitCode::kDenied, "AccessDeniedException"));
  EXPECT_EQ(as(alice, {"disable-key", "--key-id", key}).output, "");
  EXPECT_TRUE(
      refused(as(bob, {"decrypt", "--ciphertext-blob", blob}), ExitCode::kKeyUnusable, "DisabledException"));
}

TEST_F(KmsCommandTest, AKeyIsSharedAndUnsharedAndTheOtherAccountDecidesToo) {
  const std::string key = make_key(), blob = encrypted("x");
  const auto eve_decrypts = [&] { return as(eve, {"decrypt", "--ciphertext-blob", blob}); };
  const std::string document = allow(R"("kms:Decrypt")", key);
  EXPECT_TRUE(refused(eve_decrypts(), ExitCode::kDenied, "AccessDeniedException"));
  const Json shared = answer(as(alice, {"share", "alias/test-kms", "--external-account", kAbroad}));
  EXPECT_EQ(shared["KeyId"], key);
  EXPECT_EQ(
      answer(as(alice, {"get-key-policy", "--key-id", key})).value("Policy", "").find("222233334444:root") !=
          std::string::npos,
      true);
  EXPECT_TRUE(refused(eve_decrypts(), ExitCode::kDenied, "AccessDeniedException"));
  answer(kms_command({"put-user-policy", "--account-id", kAbroad, "--user-name", "eve", "--policy-name",
                      "Use", "--policy-document", document}));
  EXPECT_EQ(answer(eve_decrypts())["KeyId"], key);
  answer(as(alice, {"unshare", "alias/test-kms", "--external-account", kAbroad}));
  EXPECT_TRUE(refused(eve_decrypts(), ExitCode::kDenied, "AccessDeniedException"));
  EXPECT_TRUE(refused(as(bob, {"share", key, "--external-account", kAbroad}), ExitCode::kDenied, "share: "));
  EXPECT_TRUE(refused(as(alice, {"share", key, "--external-account", "12"}), ExitCode::kUsage, "12"));
}

TEST_F(KmsCommandTest, AnAliasThatIsTakenMakesNoKey) {
  make_key();
  EXPECT_TRUE(refused(as(alice, {"create-key", "--alias", "test-kms", "--admin", "user/alice"}),
                      ExitCode::kFailure, "AlreadyExistsException"));
  EXPECT_EQ(answer(as(alice, {"list-keys"}))["Keys"].size(), 1u);
  EXPECT_TRUE(refused(as(alice, {"create-key", "--policy", "{}", "--admin", "user/alice"}), ExitCode::kUsage,
                      "--policy says all"));
}

TEST_F(KmsCommandTest, WhyNamesTheStatementAndItsStatusIsTheAnswer) {
  const std::string key = make_key();
  auto why = kms_command({"why", bob, "kms:Decrypt", key});
  EXPECT_EQ(why.status, 0);
  EXPECT_TRUE(why.output.starts_with("Allowed: ")) << why.output;
  EXPECT_NE(why.output.find("'Allow use of the key'"), std::string::npos) << why.output;
  why = kms_command({"why", "user/alice", "Decrypt", "alias/test-kms", "--account-id", kHome});
  EXPECT_EQ(why.status, static_cast<int>(ExitCode::kDenied));
  EXPECT_TRUE(why.output.starts_with("Denied: ")) << why.output;
  why = kms_command({"why", eve, "Decrypt", key, "--json", "--context", "aws:SourceIp=192.0.2.1"});
  EXPECT_EQ(why.status, static_cast<int>(ExitCode::kDenied));
  const Json json = Json::parse(why.output, nullptr, false);
  ASSERT_TRUE(json.is_object()) << why.output;
  EXPECT_EQ(json["Decision"], "implicitDeny");
  EXPECT_EQ(json["Statements"].size(), 4u);
  EXPECT_TRUE(
      refused(kms_command({"why", bob, "Decrypt", key, "--context", "x"}), ExitCode::kUsage, "--context"));
  EXPECT_TRUE(refused(kms_command({"why", user(kHome, "nobody"), "Decrypt", key}), ExitCode::kFailure,
                      "NoSuchEntity"));
}

TEST_F(KmsCommandTest, WhatWhySaysHappens) {
  const std::string key = make_key(), blob = encrypted("x");
  for (const std::string& principal : {alice, bob, eve}) {
    const bool allowed = kms_command({"why", principal, "kms:Decrypt", key}).status == 0;
    EXPECT_EQ(as(principal, {"decrypt", "--ciphertext-blob", blob}).status == 0, allowed) << principal;
  }
}

TEST_F(KmsCommandTest, ListsAreWholeHoweverSmallTheirPages) {
  for (int i = 0; i < 5; ++i) answer(as(alice, {"create-key"}));
  EXPECT_EQ(answer(as(alice, {"list-keys", "--page-size", "2"}))["Keys"].size(), 5u);
  const Json whole = answer(as(alice, {"list-keys"}));
  EXPECT_EQ(whole["Keys"].size(), 5u);
  EXPECT_FALSE(whole.contains("Truncated"));
  const Json page = answer(as(alice, {"list-keys", "--limit", "3"}));
  EXPECT_EQ(page["Keys"].size(), 3u);
  EXPECT_EQ(page["Truncated"], true);
  const Json rest = answer(as(alice, {"list-keys", "--marker", page.value("NextMarker", "")}));
  EXPECT_EQ(rest["Keys"].size(), 2u);
  for (const char* size : {"1", "2", "100"}) {
    EXPECT_EQ(answer(kms_command({"list-users", "--account-id", kHome, "--page-size", size}))["Users"].size(),
              2u);
  }
}

TEST_F(KmsCommandTest, PlainTextGoesWhereItIsToldAndNowhereElse) {
  make_key();
  const std::string blob = encrypted("attack at dawn");
  const auto result = as(bob, {"decrypt", "--ciphertext-blob", blob, "--plaintext-out", path("out")});
  EXPECT_FALSE(answer(result).contains("Plaintext")) << result.output;
  std::string text;
  std::getline(std::ifstream(path("out")), text);
  EXPECT_EQ(text, "attack at dawn");
  EXPECT_EQ(std::filesystem::status(path("out")).permissions(), std::filesystem::perms(0600));
  EXPECT_EQ(as(bob, {"decrypt", "--ciphertext-blob", blob, "--plaintext-out", "-"}).output, "attack at dawn");
  EXPECT_EQ(
      as(bob, {"decrypt", "--ciphertext-blob", blob, "--query", "Plaintext", "--output", "text"}).output,
      to_base64(as_bytes("attack at dawn")));
}

TEST_F(KmsCommandTest, ADryRunSaysThatItWouldHaveSucceeded) {
  make_key();
  auto dry =
      as(bob, {"generate-data-key", "--key-id", "alias/test-kms", "--key-spec", "AES_256", "--dry-run"});
  EXPECT_EQ(dry.status, 0);
  EXPECT_TRUE(dry.output.starts_with("DryRunOperationException")) << dry.output;
  EXPECT_TRUE(refused(
      as(alice, {"generate-data-key", "--key-id", "alias/test-kms", "--key-spec", "AES_256", "--dry-run"}),
      ExitCode::kDenied, "AccessDeniedException"));
}

TEST_F(KmsCommandTest, ErrorsNameAwsCodesAndSayWhatToDo) {
  const std::string key = make_key(), blob = encrypted("x");
  EXPECT_TRUE(
      refused(as(bob, {"describe-key", "--key-id", "alias/none"}), ExitCode::kKeyUnusable, "list-aliases"));
  EXPECT_TRUE(refused(as(alice, {"get-key-policy", "--key-id", "alias/test-kms"}), ExitCode::kKeyUnusable,
                      "no alias"));
  EXPECT_TRUE(refused(as(bob, {"decrypt", "--ciphertext-blob", blob, "--encryption-context", "a=b"}),
                      ExitCode::kCorrupt, "InvalidCiphertextException"));
  EXPECT_TRUE(refused(as(bob, {"generate-random", "--number-of-bytes", "0"}), ExitCode::kUsage,
                      "ValidationException"));
  EXPECT_TRUE(refused(as(alice, {"put-key-policy", "--key-id", key, "--policy", "{"}), ExitCode::kUsage,
                      "MalformedPolicyDocumentException"));
  EXPECT_TRUE(refused(kms_command({"get-user", "--account-id", kHome, "--user-name", "nobody"}),
                      ExitCode::kFailure, "NoSuchEntity"));
  EXPECT_TRUE(refused(as(user(kHome, "nobody"), {"list-keys"}), ExitCode::kFailure, "nobody"));
  EXPECT_TRUE(refused(kmsfs({"kms", "--kms", "local:" + path("nowhere"), "list-keys", "--principal", bob}),
                      ExitCode::kKmsUnreachable, "no key store"));
  EXPECT_TRUE(refused(kmsfs({"kms", "--kms", "local:" + path("nowhere"), "list-users"}),
                      ExitCode::kKmsUnreachable, "no key store"));
  EXPECT_TRUE(refused(kmsfs({"kms", "--kms", "unix:" + path("no.sock"), "list-users"}),
                      ExitCode::kUnsupported, "at its host"));
  EXPECT_TRUE(refused(kmsfs({"kms", "--kms", "gopher:hole", "list-keys"}), ExitCode::kUnsupported, "gopher"));
  EXPECT_TRUE(refused(kms_command({"create-alias", "--alias-name", "alias/a"}), ExitCode::kUsage,
                      "usage: kmsfs kms create-alias"));
  EXPECT_TRUE(refused(kms_command({"list-keys", "--output", "yaml"}), ExitCode::kUsage, "json or text"));
}

TEST_F(KmsCommandTest, NoErrorRepeatsAPlainText) {
  const std::string key = make_key(), secret = "aHVudGVyMmh1bnRlcjI=";
  for (const std::string& principal : {alice, bob}) {
    const auto result = as(principal, {"encrypt", "--key-id", "alias/none", "--plaintext", secret});
    EXPECT_NE(result.status, 0);
    EXPECT_EQ(result.output.find(secret), std::string::npos) << result.output;
  }
  const auto result = as(bob, {"encrypt", "--key-id", key, "--plaintext", secret + "!"});
  EXPECT_EQ(result.status, static_cast<int>(ExitCode::kUsage));
  EXPECT_EQ(result.output.find(secret), std::string::npos) << result.output;
}

TEST_F(KmsCommandTest, AUidIsWhomTheStoreSaysItIs) {
  const std::string uid = std::to_string(::geteuid());
  EXPECT_TRUE(refused(kms_command({"get-caller-identity"}), ExitCode::kFailure, "map-uid"));
  answer(kms_command({"map-uid", "--uid", uid, "--account-id", kHome, "--user-name", "bob"}));
  EXPECT_EQ(answer(kms_command({"get-caller-identity"}))["Arn"], bob);
  EXPECT_EQ(answer(as("alice", {"get-caller-identity"}))["Arn"], alice);
  EXPECT_EQ(answer(as("arn:aws:iam::222233334444:root", {"get-caller-identity"}))["Account"], kAbroad);
  answer(kms_command({"unmap-uid", "--uid", uid}));
  EXPECT_TRUE(refused(kms_command({"get-caller-identity"}), ExitCode::kFailure, "map-uid"));
}

TEST_F(KmsCommandTest, HelpIsAboutEveryCommand) {
  const auto all = kmsfs({"kms", "help"});
  EXPECT_EQ(all.status, 0);
  EXPECT_EQ(kmsfs({"kms"}).output, all.output);
  EXPECT_EQ(kmsfs({"kms", "--help"}).output, all.output);
  for (const cli::KmsCommand& command : cli::kms_commands()) {
    EXPECT_NE(all.output.find("\n  " + std::string(command.name) + " "), std::string::npos) << command.name;
  }
  EXPECT_NE(kmsfs({"kms", "create-key", "--help"}).output.find("usage: kmsfs kms create-key"),
            std::string::npos);
  EXPECT_NE(kmsfs({"kms", "help", "encrypt"}).output.find("--plaintext"), std::string::npos);
}

// The first block of shell in the page, as a script that ends at the first line that does not do what it
// should.
std::string walk_through() {
  std::ifstream page(KMSFS_SOURCE_DIR "/docs/KMS.md");
  std::string script = "set -eu\n";
  bool inside = false;
  for (std::string line; std::getline(page, line);) {
    if (line == "```sh") {
      inside = true;
    } else if (inside && line == "```") {
      return script;
    } else if (inside && line.ends_with("# refused")) {
      script += "if " + line.substr(0, line.find("  # refused")) + "; then echo 'not refused'; exit 99; fi\n";
    } else if (inside) {
      script += line + "\n";
    }
  }
  return "exit 98";
}

class KmsWalkThrough : public testing::KmsfsCommand {};

TEST_F(KmsWalkThrough, OfTheDocumentationDoesWhatItSays) {
  const std::string directory = std::filesystem::path(KMSFS_BINARY).parent_path();
  const auto result = run({"timeout", "120", "env", "-C", top_.path(), "PATH=" + directory + ":/usr/bin:/bin",
                           "/bin/sh", "-c", walk_through()});
  EXPECT_EQ(result.status, 0) << result.output;
  EXPECT_NE(result.output.find("attack at dawn"), std::string::npos) << result.output;
  EXPECT_TRUE(std::filesystem::exists(path("restored/store.mdb")));
}

TEST(KmsManual, NamesEveryCommandAndEveryOption) {
  std::ifstream file(KMSFS_SOURCE_DIR "/docs/man/kmsfs-kms.1");
  const std::string manual{std::istreambuf_iterator<char>(file), {}};
  ASSERT_FALSE(manual.empty());
  for (const cli::KmsCommand& command : cli::kms_commands()) {
    const std::string name(command.name);
    const auto item = manual.find(".It Cm " + name + "\n");
    ASSERT_NE(item, std::string::npos) << name;
    const std::string text = manual.substr(item, manual.find("\n.br\n", item) - item);
    for (const cli::KmsParameter& parameter : cli::parameters_of(command)) {
      if (parameter.name == "--page-size" || parameter.name == "--no-paginate") continue;
      const std::string written =
          parameter.placed() ? "Ar " + parameter.name : "Fl -" + parameter.name.substr(2);
      EXPECT_NE(text.find(written), std::string::npos) << name << " " << parameter.name;
    }
  }
}

}  // namespace
}  // namespace kmsfs
