// Several processes on one store.
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>

#include <thread>

#include "tests/kms/kms_fixture.h"

extern char** environ;

namespace kmsfs::kms::test {
namespace {

class ProcessesTest : public KmsTest {
 protected:
  pid_t start(const std::string& command, const std::string& count = "0") {
    std::vector<std::string> words = {KMS_PEER, store_path(), alice_.principal, key_, command, count};
    std::vector<char*> arguments;
    for (std::string& word : words) arguments.push_back(word.data());
    arguments.push_back(nullptr);
    posix_spawn_file_actions_t actions;
    ::posix_spawn_file_actions_init(&actions);
    ::posix_spawn_file_actions_addopen(&actions, 1, (directory_ / "out").c_str(),
                                       O_WRONLY | O_CREAT | O_TRUNC, 0600);
    pid_t child = -1;
    EXPECT_EQ(::posix_spawn(&child, KMS_PEER, &actions, nullptr, arguments.data(), environ), 0);
    ::posix_spawn_file_actions_destroy(&actions);
    return child;
  }
  static int wait_for(pid_t child) {
    int status = 0;
    ::waitpid(child, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  }
  int run(const std::string& command, const std::string& count = "0") {
    return wait_for(start(command, count));
  }
};

TEST_F(ProcessesTest, AKeyDisabledByAnotherProcessIsRefusedByTheNextDecrypt) {
  const Bytes blob = encrypt("hello");
  ASSERT_TRUE(decrypt(blob, {}, key_));
  ASSERT_EQ(run("disable"), 0);
  auto refused = decrypt(blob, {}, key_);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind, Kind::kDisabled);
  ASSERT_EQ(run("enable"), 0);
  EXPECT_TRUE(decrypt(blob, {}, key_));
}

TEST_F(ProcessesTest, TwoProcessesAtOnceMakeOneChainAndLoseNothing) {
  const std::size_t before = audit_lines().size();
  const pid_t child = start("generate", "200");
  int mine = 0;
  for (int n = 0; n < 200; ++n) {
    if (service_->generate_data_key(alice_, {.key_id = key_, .context = {}, .key_spec = "AES_256"})) ++mine;
  }
  EXPECT_EQ(wait_for(child), 0);
  EXPECT_EQ(mine, 200);
  EXPECT_EQ(read_text(directory_ / "out"), "200\n");
  EXPECT_EQ(audit_lines().size(), before + 400);
  auto verdict = verify_audit_log(store_path());
  ASSERT_TRUE(verdict) << text_of(verdict);
  EXPECT_EQ(verdict->problem, std::nullopt) << *verdict->problem;
}

TEST_F(ProcessesTest, AfterADisableThatReturnedNoLineTellsOfASuccess) {
  const pid_t child = start("disable");
  const Bytes blob = encrypt("hello");
  for (int n = 0; n < 2000 && decrypt(blob, {}, key_); ++n) {
  }
  EXPECT_EQ(wait_for(child), 0);
  bool disabled = false;
  for (const std::string& line : audit_lines()) {
    if (line.find("\"DisableKey\"") != std::string::npos) disabled = true;
    if (disabled && line.find("\"Decrypt\"") != std::string::npos) {
      EXPECT_NE(line.find("DisabledException"), std::string::npos);
    }
  }
  EXPECT_TRUE(disabled);
}

TEST_F(ProcessesTest, AProcessThatDiesLeavesTheStoreUsable) {
  for (int n = 0; n < 3; ++n) ASSERT_EQ(run("die", "20"), 0);
  // In the middle of its work, too.
  const pid_t child = start("generate", "100000");
  for (int n = 0; n < 50; ++n)
    ASSERT_TRUE(service_->generate_data_key(alice_, {.key_id = key_, .context = {}, .key_spec = "AES_256"}));
  ::kill(child, SIGKILL);
  EXPECT_EQ(wait_for(child), -1);
  const Bytes blob = encrypt("hello");
  EXPECT_TRUE(decrypt(blob));
  EXPECT_TRUE(service_->disable_key(alice_, {key_}));
  auto verdict = verify_audit_log(store_path());
  ASSERT_TRUE(verdict);
  EXPECT_EQ(verdict->problem, std::nullopt) << *verdict->problem;
}

}  // namespace
}  // namespace kmsfs::kms::test
