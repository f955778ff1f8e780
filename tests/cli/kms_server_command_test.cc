// kmsfs kms where a kmsd serves the store: administration goes to it by itself, keys over its socket.
#include "tests/cli/kms_story.h"
#include "tests/cli/kmsd_process.h"

namespace kmsfs {
namespace {

using cli::ExitCode;
using testing::KmsdProcess;

class KmsServerCommand : public testing::KmsStory {
 protected:
  cli::ProgramResult over_socket(const Arguments& arguments) const {
    Arguments command = {"kms", "--kms", "unix:" + path("kmsd.sock")};
    command.insert(command.end(), arguments.begin(), arguments.end());
    return kmsfs(command);
  }
};

// The store of SetUp() opens by its key file; this one by a passphrase only, which no command but unseal
// gets.
class SealedServer : public KmsServerCommand {
 protected:
  void SetUp() override {
    passphrase_ = make_file("passphrase", "correct horse\n");
    answer(kms_command({"init", "--passphrase-file", passphrase_}));
    answer(kms_command({"create-account", "--account-id", kHome, "--passphrase-file", passphrase_}));
  }
  std::string passphrase_;
};

TEST_F(SealedServer, IsUnsealedOverItsSocketAndAdministeredWithoutThePassphrase) {
  KmsdProcess server(path("kms"), path("kmsd.sock"), top_.path());
  ASSERT_TRUE(server.ready());
  EXPECT_EQ(answer(kms_command({"seal-status"}))["Sealed"], true);
  EXPECT_TRUE(refused(kms_command({"list-accounts"}), ExitCode::kKmsUnreachable, "sealed"));
  const auto wrong = kms_command({"unseal", "--passphrase-file", make_file("wrong", "battery staple\n")});
  EXPECT_TRUE(refused(wrong, ExitCode::kSealed, "wrong passphrase"));
  EXPECT_EQ(wrong.output.find("battery"), std::string::npos);
  EXPECT_EQ(answer(kms_command({"unseal", "--passphrase-file", passphrase_}))["Sealed"], false);
  // Within this process the passphrase would be asked for: these go to the server.
  EXPECT_EQ(answer(kms_command({"list-accounts"}))["Accounts"].size(), 1u);
  answer(kms_command({"create-user", "--user-name", "carol"}));
  EXPECT_TRUE(refused(kms_command({"create-user", "--user-name", "carol"}), ExitCode::kFailure,
                      "EntityAlreadyExists"));
  EXPECT_TRUE(refused(kms_command({"get-user", "--user-name", "nobody"}), ExitCode::kFailure, "list-users"));
  EXPECT_EQ(answer(kms_command({"seal"}))["Sealed"], true);
  EXPECT_TRUE(refused(kms_command({"list-accounts"}), ExitCode::kKmsUnreachable, "sealed"));
  server.stop();
  EXPECT_TRUE(refused(kms_command({"seal-status"}), ExitCode::kKmsUnreachable, "no kmsd"));
  EXPECT_EQ(answer(kms_command({"list-users", "--passphrase-file", passphrase_}))["Users"].size(), 1u);
}

TEST_F(KmsServerCommand, KeysAreUsedOverItsSocketByWhomTheUidIs) {
  make_key();
  answer(kms_command(
      {"map-uid", "--uid", std::to_string(::geteuid()), "--account-id", kHome, "--user-name", "bob"}));
  const KmsdProcess server(path("kms"), path("kmsd.sock"), top_.path());
  ASSERT_TRUE(server.ready());
  const std::string plain = "fileb://" + make_file("plain", "attack at dawn");
  const Json made = answer(over_socket({"encrypt", "--key-id", "alias/test-kms", "--plaintext", plain}));
  const std::string blob = made.value("CiphertextBlob", "");
  EXPECT_EQ(over_socket({"decrypt", "--ciphertext-blob", blob, "--plaintext-out", "-"}).output,
            "attack at dawn");
  EXPECT_TRUE(refused(over_socket({"disable-key", "--key-id", made.value("KeyId", "")}), ExitCode::kDenied,
                      "AccessDeniedException"));
  EXPECT_TRUE(refused(over_socket({"list-users"}), ExitCode::kUnsupported, "at its host"));
  EXPECT_EQ(answer(over_socket({"get-caller-identity"}))["Arn"], bob);
  // What the host's administrator changes counts at once.
  EXPECT_EQ(kms_command({"why", bob, "Decrypt", "alias/test-kms"}).status, 0);
  answer(kms_command(
      {"put-user-policy", "--account-id", kHome, "--user-name", "bob", "--policy-name", "No",
       "--policy-document",
       R"({"Version":"2012-10-17","Statement":[{"Effect":"Deny","Action":"kms:*","Resource":"*"}]})"}));
  EXPECT_TRUE(refused(over_socket({"decrypt", "--ciphertext-blob", blob}), ExitCode::kDenied,
                      "AccessDeniedException"));
}

TEST_F(KmsServerCommand, ABackupIsTakenWhileItServes) {
  const std::string key = make_key();
  const KmsdProcess server(path("kms"), path("kmsd.sock"), top_.path());
  ASSERT_TRUE(server.ready());
  const std::string blob = encrypted("attack at dawn");
  answer(kms_command({"backup", path("backup")}));
  answer(kmsfs({"kms", "restore", path("backup"), path("restored")}));
  EXPECT_EQ(kmsfs({"kms", "--kms", "local:" + path("restored"), "--principal", bob, "decrypt",
                   "--ciphertext-blob", blob, "--plaintext-out", "-"})
                .output,
            "attack at dawn");
  EXPECT_EQ(answer(kms_command({"audit", "verify"}))["Intact"], true);
}

}  // namespace
}  // namespace kmsfs
