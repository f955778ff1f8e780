// How often the kernel asks for what programs do with small files and directories.
#include <fcntl.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "tests/support/crypto_environment.h"
#include "tests/support/mounted_volume.h"

namespace kmsfs::testing {
namespace {

class FewRequests : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!MountedVolume::possible()) GTEST_SKIP() << "needs /dev/fuse";
  }
  // But for those that nobody waits for.
  static std::uint64_t all(MountedVolume& volume) {
    std::uint64_t count = 0;
    for (const auto& [name, times] : volume.mounted().figures().operations) {
      if (name != "forget" && name != "batch_forget" && name != "release") count += times;
    }
    return count;
  }
  static std::size_t entries(MountedVolume& volume, const std::string& directory) {
    return static_cast<std::size_t>(
        std::distance(std::filesystem::directory_iterator(volume.path(directory)), {}));
  }
};

TEST_F(FewRequests, ASmallFileThatIsOpenedForTheFirstTimeIsNotReadAsWell) {
  MountedVolume volume;
  const std::string small(5000, 's'), large(100'000, 'l');
  volume.write("small", small);
  volume.write("large", large);
  volume.remount();
  EXPECT_EQ(volume.read("small"), small);
  EXPECT_EQ(volume.requests("read"), 0U);
  EXPECT_EQ(volume.read("large"), large);
  EXPECT_GT(volume.requests("read"), 0U);
  // What came with the open is content like any other.
  volume.write("small", "now shorter");
  EXPECT_EQ(volume.read("small"), "now shorter");
  ASSERT_EQ(::truncate(volume.path("small").c_str(), 3), 0);
  EXPECT_EQ(volume.read("small"), "now");
  volume.remount();
  EXPECT_EQ(volume.read("small"), "now");
}

TEST_F(FewRequests, DirectoriesAreOpenedAndListedAgainWithoutAsking) {
  MountedVolume volume;
  for (const char* directory : {"a", "b", "c"}) {
    std::filesystem::create_directory(volume.path(directory));
    volume.write(std::string(directory) + "/file", "x");
  }
  volume.remount();
  for (const char* directory : {"a", "b", "c"}) EXPECT_EQ(entries(volume, directory), 1U);
  EXPECT_LE(volume.requests("opendir"), 1U);
  EXPECT_EQ(volume.requests("releasedir"), 0U);
  const auto before = volume.requests("readdir") + volume.requests("readdirplus");
  for (const char* directory : {"a", "b", "c"}) EXPECT_EQ(entries(volume, directory), 1U);
  EXPECT_EQ(volume.requests("readdir") + volume.requests("readdirplus"), before);
  volume.write("a/another", "x");
  EXPECT_EQ(entries(volume, "a"), 2U);
}

TEST_F(FewRequests, RemovingAFileTakesThree) {
  MountOptions options;
  options.default_permissions = true;
  MountedVolume volume(options);
  for (const char* name : {"first", "second", "third"}) volume.write(name, "x");
  ASSERT_EQ(::unlink(volume.path("first").c_str()), 0);
  const auto before = all(volume);
  ASSERT_EQ(::unlink(volume.path("second").c_str()), 0);
  EXPECT_LE(all(volume) - before, 3U) << "unlink, the time of the change, the attributes of the directory";
}

TEST_F(FewRequests, WhoLooksAtEntriesAfterReadingThemAllAsksForNone) {
  MountedVolume volume;
  constexpr int kFiles = 1500;  // more than one request's worth
  for (int i = 0; i < kFiles; ++i) volume.write("file" + std::to_string(i), "x");
  volume.remount();
  std::vector<std::string> paths;
  for (const auto& entry : std::filesystem::directory_iterator(volume.path())) paths.push_back(entry.path());
  ASSERT_EQ(paths.size(), static_cast<std::size_t>(kFiles));
  for (const auto& path : paths) EXPECT_EQ(std::filesystem::file_size(path), 1U);
  EXPECT_EQ(volume.requests("lookup"), 0U);
}

TEST_F(FewRequests, WithoutExtendedAttributesTheKernelAsksForThemOnce) {
  MountOptions options;
  options.extended_attributes = false;
  MountedVolume volume(options);
  for (const char* name : {"a", "b", "c"}) volume.write(name, "x");  // for security.capability
  char value[16];
  for (const char* name : {"a", "b", "c"}) {
    for (const char* attribute : {"user.one", "security.selinux"}) {
      EXPECT_EQ(::getxattr(volume.path(name).c_str(), attribute, value, sizeof value), -1);
      EXPECT_EQ(errno, EOPNOTSUPP) << attribute;
    }
    EXPECT_EQ(::getxattr(volume.path(name).c_str(), "system.posix_acl_access", value, sizeof value), -1);
    EXPECT_EQ(errno, ENODATA);
    EXPECT_EQ(::setxattr(volume.path(name).c_str(), "user.one", "1", 1, 0), -1);
    EXPECT_EQ(errno, EOPNOTSUPP);
  }
  EXPECT_LE(volume.requests("getxattr"), 1U);
  EXPECT_LE(volume.requests("setxattr"), 1U);
  EXPECT_EQ(volume.read("a"), "x");
}

TEST_F(FewRequests, FilesComeAndGoWhileADirectoryIsListedByManyRequests) {
  MountedVolume volume;
  constexpr int kFiles = 1500;
  std::filesystem::create_directory(volume.path("many"));
  for (int i = 0; i < kFiles; ++i) volume.write("many/file" + std::to_string(i), "");
  int seen = 0;
  for (const auto& entry : std::filesystem::directory_iterator(volume.path("many"))) {
    if (entry.path().filename().string().starts_with("file")) ++seen;
    if (seen % 2 == 0) {
      ASSERT_EQ(::unlink(entry.path().c_str()), 0);
    }
    if (seen % 100 == 0) volume.write("many/new" + std::to_string(seen), "");
  }
  EXPECT_EQ(seen, kFiles);
}

}  // namespace
}  // namespace kmsfs::testing
