// A volume of mode branch as a user has it: made, mounted, filled and read by commands, with the KMS's own
// audit log for what it was asked.
#include <fcntl.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <string>
#include <thread>

#include "tests/mount/command_mount.h"

namespace kmsfs::testing {
namespace {

class BranchMount : public ::testing::Test {
 protected:
  void SetUp() override {
    if (::access("/dev/fuse", R_OK | W_OK) != 0) GTEST_SKIP() << "there is no /dev/fuse to use";
    ASSERT_TRUE(volume_.init("--mode branch"));
    ASSERT_TRUE(volume_.mount());
  }
  void TearDown() override {
    if (!IsSkipped() && !HasFatalFailure()) {
      EXPECT_TRUE(volume_.unmount());
    }
  }
  std::size_t audited(const std::string& what) const {
    std::ifstream log(volume_.top() + "/kms/audit.log");
    std::size_t found = 0;
    for (std::string line; std::getline(log, line);) found += line.find(what) != line.npos;
    return found;
  }

  CommandMount volume_;
};

TEST_F(BranchMount, HundredsOfFilesAreAHandfulOfCallsInTheAuditLogAndNameNoFile) {
  ASSERT_TRUE(
      volume_.in_mount("mkdir -p one/deep two\n"
                       "for i in $(seq 100); do echo one $i >one/$i; echo deep $i >one/deep/$i; echo two $i "
                       ">two/$i; done"));
  const auto calls = [&] { return audited("\"kmsfs:branch\""); };
  EXPECT_EQ(calls(), 3U) << "whether keys can be made, and one for each subtree";
  ASSERT_TRUE(volume_.remount());
  ASSERT_TRUE(
      volume_.in_mount("for i in $(seq 100); do [ \"$(cat one/$i one/deep/$i two/$i)\" = "
                       "\"$(printf 'one %s\\ndeep %s\\ntwo %s' $i $i $i)\" ]; done"));
  EXPECT_EQ(calls(), 3U + 3U);
  EXPECT_GE(audited("\"kmsfs:volume\""), calls()) << "nothing was looked for in vain";
  EXPECT_EQ(audited("\"kmsfs:file\""), 0U);
}

TEST_F(BranchMount, StatusAndInfoSayIt) {
  volume_.write("letter", "to ada");
  EXPECT_NE(volume_.kmsfs("status " + volume_.mountpoint()).output.find("keys branch"), std::string::npos);
  EXPECT_NE(volume_.kmsfs("status --json " + volume_.mountpoint()).output.find("\"mode\": \"branch\""),
            std::string::npos);
  const std::string information = volume_.kmsfs("info " + volume_.path("letter")).output;
  const auto at = information.find("branch       ");
  ASSERT_NE(at, std::string::npos) << information;
  EXPECT_GT(audited(information.substr(at + 13, 32)), 0U) << "the id by which the audit log calls it";
}

TEST_F(BranchMount, AfterRevokeByHandTheAnswerToOneQuestionHealsEveryFile) {
  ASSERT_TRUE(volume_.in_mount("for i in 1 2 3; do echo $i >$i; done"));
  const auto before = audited("\"kmsfs:branch\"");
  EXPECT_EQ(volume_.kmsfs("revoke " + volume_.mountpoint()).status, 0);
  // The KMS, which still says yes, is asked again after a second.
  const auto all = [&] { return volume_.read("1") + volume_.read("2") + volume_.read("3"); };
  for (int i = 0; i < 200 && all() != "1\n2\n3\n"; ++i)
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
  EXPECT_EQ(all(), "1\n2\n3\n");
  const auto asked = audited("\"kmsfs:branch\"") - before;
  EXPECT_GE(asked, 1U);
  EXPECT_LE(asked, 2U) << "and a probe, if the machine is slow";
}

TEST(BranchMode, AModeThatDoesNotExistIsRefused) {
  const CommandMount volume;
  const auto result = volume.kmsfs("init --mode twig " + volume.backing());
  EXPECT_NE(result.status, 0);
  EXPECT_NE(result.output.find("twig"), std::string::npos) << result.output;
  EXPECT_FALSE(std::filesystem::exists(volume.backing()));
}

}  // namespace
}  // namespace kmsfs::testing
