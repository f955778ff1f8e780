// kmsfs kms init, audit, backup, restore: the store as its operator sees it.
#include <filesystem>

#include "core/bytes.h"

#include "tests/cli/kms_story.h"

namespace kmsfs {
namespace {

using cli::ExitCode;

class KmsStoreCommand : public testing::KmsStory {
 protected:
  std::string content(const std::string& name) const {
    std::ifstream file(path(name));
    return {std::istreambuf_iterator<char>(file), {}};
  }
  cli::ProgramResult at(const std::string& store, const std::string& principal,
                        const Arguments& arguments) const {
    Arguments command = {"kms", "--kms", "local:" + path(store), "--principal", principal};
    command.insert(command.end(), arguments.begin(), arguments.end());
    return kmsfs(command);
  }
};

TEST_F(KmsStoreCommand, InitMakesAnEmptyStoreOnce) {
  EXPECT_EQ(answer(kmsfs({"kms", "--kms", "local:" + path("new"), "init", "--seal", "keyfile"}))["Region"],
            "local-1");
  EXPECT_EQ(answer(kmsfs({"kms", "--kms", "local:" + path("new"), "list-accounts"}))["Accounts"].size(), 0u);
  EXPECT_TRUE(refused(kms_command({"init", "--seal", "keyfile"}), ExitCode::kFailure, "already"));
  EXPECT_TRUE(refused(kmsfs({"kms", "--kms", "local:" + path("odd"), "init", "--seal", "wax"}),
                      ExitCode::kUsage, "wax"));
  EXPECT_TRUE(
      refused(kmsfs({"kms", "--kms", "local:" + path("odd"), "init", "--seal", "keyfile", "--region", "A B"}),
              ExitCode::kUsage, "region"));
  EXPECT_FALSE(std::filesystem::exists(path("odd/store.mdb")));
}

TEST_F(KmsStoreCommand, AStoreWithAPassphraseWantsIt) {
  const std::string sealed = "local:" + path("sealed"), file = make_file("passphrase", "correct horse\n");
  answer(kmsfs({"kms", "--kms", sealed, "init", "--passphrase-file", file}));
  EXPECT_TRUE(
      refused(kmsfs({"kms", "--kms", sealed, "list-accounts"}), ExitCode::kSealed, "--passphrase-file"));
  const std::string wrong = make_file("wrong", "battery staple\n");
  const auto result = kmsfs({"kms", "--kms", sealed, "list-accounts", "--passphrase-file", wrong});
  EXPECT_TRUE(refused(result, ExitCode::kSealed, "wrong passphrase"));
  EXPECT_EQ(result.output.find("battery"), std::string::npos);
  answer(kmsfs({"kms", "--kms", sealed, "--passphrase-file", file, "list-accounts"}));
  answer(kmsfs({"kms", "--kms", sealed, "backup", path("copy")}));  // needs no seal
  EXPECT_TRUE(refused(kmsfs({"kms", "restore", path("copy"), path("back"), "--passphrase-file", wrong}),
                      ExitCode::kSealed, "wrong passphrase"));
  EXPECT_FALSE(std::filesystem::exists(path("back")));
  answer(kmsfs({"kms", "restore", path("copy"), path("back"), "--passphrase-file", file}));
}

TEST_F(KmsStoreCommand, ABackupIsTheStoreOfThatMoment) {
  make_key();
  const std::string blob = encrypted("attack at dawn");
  const Json copied = answer(kms_command({"backup", path("backup")}));
  EXPECT_GT(copied.value("Records", 0), 0);
  // What comes after it is not in it.
  answer(as(alice, {"create-key"}));
  const Json restored = answer(kmsfs({"kms", "restore", path("backup"), path("restored")}));
  EXPECT_EQ(restored["Records"], copied["Records"]);
  EXPECT_EQ(answer(at("restored", alice, {"list-keys"}))["Keys"].size(), 1u);
  EXPECT_EQ(at("restored", bob, {"decrypt", "--ciphertext-blob", blob, "--plaintext-out", "-"}).output,
            "attack at dawn");
  EXPECT_EQ(answer(at("restored", alice, {"audit", "verify"}))["Intact"], true);
  EXPECT_EQ(answer(as(alice, {"list-keys"}))["Keys"].size(), 2u);
}

TEST_F(KmsStoreCommand, ABackupNeverOverwritesAndNeverStaysHalf) {
  std::filesystem::create_directory(path("there"));
  EXPECT_TRUE(refused(kms_command({"backup", path("there")}), ExitCode::kFailure, "already"));
  EXPECT_TRUE(refused(kms_command({"backup", path("no/where")}), ExitCode::kKmsUnreachable, "no/where"));
  EXPECT_TRUE(
      refused(kmsfs({"kms", "restore", path("nothing"), path("x")}), ExitCode::kKmsUnreachable, "nothing"));
  answer(kms_command({"backup", path("backup")}));
  EXPECT_TRUE(
      refused(kmsfs({"kms", "restore", path("backup"), path("there")}), ExitCode::kFailure, "already"));
  // A changed log is no backup of anything.
  const std::string log = content("backup/audit.log");
  std::string changed = log;
  changed.replace(changed.find("CreateAccount"), 6, "Delete");
  make_file("backup/audit.log", changed);
  EXPECT_TRUE(refused(kmsfs({"kms", "restore", path("backup"), path("y")}), ExitCode::kCorrupt, "line"));
  make_file("backup/audit.log", log);
  std::filesystem::remove(path("backup/seal.key"));
  EXPECT_TRUE(
      refused(kmsfs({"kms", "restore", path("backup"), path("y")}), ExitCode::kKmsUnreachable, "seal.key"));
  std::size_t left = 0;
  for (const auto& entry : std::filesystem::directory_iterator(top_.path())) {
    left += entry.path().filename().string().find("y") == 0 ||
            entry.path().filename().string().find(".") != std::string::npos;
  }
  EXPECT_EQ(left, 0u) << "half a copy was left behind";
}

TEST_F(KmsStoreCommand, AuditVerifyFindsALineThatWasEditedRemovedOrAdded) {
  make_key();
  const Json verdict = answer(kms_command({"audit", "verify"}));
  EXPECT_EQ(verdict["Intact"], true);
  EXPECT_GT(verdict.value("Lines", 0), 5);
  const std::string log = content("kms/audit.log");
  const auto second = log.find('\n') + 1, third = log.find('\n', second) + 1;
  std::string edited = log;
  edited.replace(edited.find("alice"), 5, "mallo");
  for (const std::string& changed :
       {edited, log.substr(0, second) + log.substr(third), log.substr(0, third) + log.substr(second),
        log.substr(0, log.rfind('\n', log.size() - 2) + 1)}) {
    make_file("kms/audit.log", changed);
    EXPECT_TRUE(refused(kms_command({"audit", "verify"}), ExitCode::kCorrupt, "audit log"));
  }
  make_file("kms/audit.log", log);
  EXPECT_EQ(kms_command({"audit", "verify"}).status, 0);
  EXPECT_TRUE(refused(kms_command({"audit", "shred"}), ExitCode::kUsage, "audit verify"));
}

TEST_F(KmsStoreCommand, TheAuditLogHoldsNoSecret) {
  make_key();
  const std::string blob = encrypted("attack at dawn");
  answer(as(bob, {"decrypt", "--ciphertext-blob", blob}));
  const Json made = answer(kms_command({"create-access-key", "--account-id", kHome, "--user-name", "bob"}));
  const std::string secret = made.value("/AccessKey/SecretAccessKey"_json_pointer, "");
  ASSERT_EQ(secret.size(), 40u);
  const std::string log = content("kms/audit.log");
  EXPECT_NE(log.find("\"Decrypt\""), std::string::npos);
  for (const std::string& hidden :
       {std::string("attack at dawn"), to_base64(as_bytes("attack at dawn")), blob, secret}) {
    EXPECT_EQ(log.find(hidden), std::string::npos);
  }
  EXPECT_EQ(
      kms_command({"list-access-keys", "--account-id", kHome, "--user-name", "bob"}).output.find(secret),
      std::string::npos);
}

TEST_F(KmsStoreCommand, WithoutAServerThereIsNothingToUnseal) {
  for (const char* command : {"seal-status", "unseal", "seal"}) {
    EXPECT_TRUE(refused(kms_command({command}), ExitCode::kKmsUnreachable, "no kmsd")) << command;
  }
}

}  // namespace
}  // namespace kmsfs
