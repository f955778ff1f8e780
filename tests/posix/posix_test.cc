// A mount answers every system call as the native file system below it does, for several users.
#include <gtest/gtest.h>

#include <algorithm>
#include <sstream>
#include <string>
#include <vector>

#include "tests/mount/command_mount.h"

namespace kmsfs {
namespace {

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  return lines;
}

// Where a mount may answer otherwise than ext4: docs/POSIX.md has a reason for each. Texts of questions.
const std::vector<std::string>& documented_differences() {
  static const std::vector<std::string> list = {
      "renameat2(AT_FDCWD, \"file\", AT_FDCWD, \"x2\", RENAME_WHITEOUT)",
      "file after truncate to the same size:",
      "pwrite(far, \"x\", 1, std::numeric_limits<off_t>::max() - 1)",
      "fallocate(fd, FALLOC_FL_COLLAPSE_RANGE, 0, 4096)",
      "fallocate(fd, FALLOC_FL_INSERT_RANGE, 0, 4096)",
      "fallocate(fd, FALLOC_FL_UNSHARE_RANGE, 0, 4096)",
  };
  return list;
}

bool is_documented(const std::string& line) {
  return std::any_of(documented_differences().begin(), documented_differences().end(),
                     [&](const std::string& question) { return line.rfind(question, 0) == 0; });
}

TEST(Posix, AMountAnswersEverySystemCallAsTheFileSystemBelowIt) {
  if (::geteuid() != 0) GTEST_SKIP() << "the questions are asked as several users, which only root can play";
  testing::CommandMount volume;
  ASSERT_TRUE(volume.init());
  ASSERT_TRUE(volume.mount("-o allow_other,dev,suid"));
  const auto probe = [&](const std::string& directory) {
    return testing::run_script("chmod 711 " + volume.top() + "; mkdir -m 777 " + directory + "; " +
                               KMSFS_POSIX_PROBE + " " + directory);
  };
  const testing::ScriptResult native = probe(volume.top() + "/native");
  ASSERT_EQ(native.status, 0) << native.output;
  const testing::ScriptResult mounted = probe(volume.mountpoint() + "/probe");
  ASSERT_EQ(mounted.status, 0) << mounted.output;

  const std::vector<std::string> expected = lines_of(native.output), got = lines_of(mounted.output);
  ASSERT_GT(expected.size(), 3000U);
  std::string section;
  int shown = 0;
  for (std::size_t i = 0; i < std::max(expected.size(), got.size()); ++i) {
    const std::string want = i < expected.size() ? expected[i] : "(nothing)",
                      have = i < got.size() ? got[i] : "(nothing)";
    if (want.rfind("== ", 0) == 0) section = want;
    if (want == have || is_documented(want)) continue;
    ADD_FAILURE() << section << "\n  native:  " << want << "\n  mounted: " << have;
    if (++shown == 40) break;
  }
}

}  // namespace
}  // namespace kmsfs
