// A mount that root alone may enter: the kernel checks no permissions there, and none are missed.
#include <fcntl.h>
#include <sys/fsuid.h>
#include <unistd.h>

#include "tests/mount/child.h"
#include "tests/support/crypto_environment.h"
#include "tests/support/mounted_volume.h"

namespace kmsfs::testing {
namespace {

class RootAlone : public ::testing::Test {
 protected:
  void SetUp() override {
    if (::geteuid() != 0 || !MountedVolume::possible()) GTEST_SKIP() << "needs root and /dev/fuse";
  }
  // A file server at work for somebody: root, but for the file system. In a process of its own: the errno.
  template <typename Act>
  static int for_another(Act&& act) {
    return in_child([&] {
      ::setfsuid(65501);
      return act() < 0 ? errno : 0;
    });
  }
};

TEST_F(RootAlone, AChangeOfADirectoryIsNotFollowedByAQuestionAboutIt) {
  MountedVolume volume;
  std::filesystem::create_directory(volume.path("d"));
  const auto before = volume.requests("getattr");
  for (int i = 0; i < 20; ++i) volume.write("d/file" + std::to_string(i), "x");
  for (int i = 0; i < 20; ++i) ASSERT_EQ(::unlink(volume.path("d/file" + std::to_string(i)).c_str()), 0);
  EXPECT_EQ(volume.requests("getattr"), before);
}

TEST_F(RootAlone, RootMayRunOnlyWhatSomebodyMayRun) {
  MountedVolume volume;
  volume.write("program", "#!/bin/sh\nexit 7\n");
  std::filesystem::create_directory(volume.path("d"));
  const std::string program = volume.path("program"), directory = volume.path("d");
  ASSERT_EQ(::chmod(program.c_str(), 0), 0);
  ASSERT_EQ(::chmod(directory.c_str(), 0), 0);
  EXPECT_EQ(::access(program.c_str(), R_OK | W_OK), 0);
  EXPECT_EQ(::access(directory.c_str(), R_OK | W_OK | X_OK), 0);
  EXPECT_EQ(::access(program.c_str(), X_OK), -1);
  EXPECT_EQ(errno, EACCES);
  EXPECT_FALSE(volume.run("./program || test $? = 7"));
  ASSERT_EQ(::chmod(program.c_str(), 0001), 0);
  EXPECT_EQ(::access(program.c_str(), X_OK), 0);
  EXPECT_TRUE(volume.run("./program || test $? = 7"));
  EXPECT_EQ(::access(volume.path("none").c_str(), F_OK), -1);
  EXPECT_EQ(errno, ENOENT);
}

TEST_F(RootAlone, ModesAndAccessListsBelongTogether) {
  MountedVolume volume;
  ASSERT_TRUE(volume.run("touch file; chmod 640 file; mkdir d; stat file d"));
  ASSERT_TRUE(volume.run("setfacl -m u:1000:rwx file"));
  EXPECT_EQ(volume.mode("file"), 0670U);
  ASSERT_TRUE(volume.run("chmod 600 file; getfacl -cn file | grep -q 'user:1000:rwx.*effective:---'"));
  ASSERT_TRUE(volume.run("setfacl -b file; ! getfacl -cn file | grep user:1000"));
  EXPECT_EQ(volume.mode("file"), 0600U);
  ASSERT_TRUE(volume.run("setfacl -d -m u:1000:rw,g::r,o::- d; umask 077; touch d/file; mkdir d/d"));
  EXPECT_EQ(volume.mode("d/file"), 0660U);
  volume.remount();
  EXPECT_TRUE(
      volume.run("getfacl -cn d/file | grep -q user:1000:rw; getfacl -cnd d/d | grep -q user:1000:rw"));
}

TEST_F(RootAlone, LetsNobodyInForWhomRootActs) {
  MountedVolume volume;
  volume.write("file", "secret");
  std::filesystem::create_directory(volume.path("d"));
  std::filesystem::permissions(volume.path("d"), std::filesystem::perms(0777));
  std::filesystem::permissions(volume.path("file"), std::filesystem::perms(0666));
  const std::string file = volume.path("file"), other = volume.path("d/other");
  for (int round = 0; round < 2; ++round) {  // first what the kernel knows, then what it does not
    EXPECT_EQ(for_another([&] { return ::open(file.c_str(), O_RDONLY); }), EACCES);
    EXPECT_EQ(for_another([&] { return ::truncate(file.c_str(), 0); }), EACCES);
    EXPECT_EQ(for_another([&] { return ::chmod(file.c_str(), 0777); }), EACCES);
    EXPECT_EQ(for_another([&] { return ::faccessat(AT_FDCWD, file.c_str(), R_OK, AT_EACCESS); }), EACCES);
    EXPECT_EQ(for_another([&] { return ::unlink(file.c_str()); }), EACCES);
    EXPECT_EQ(for_another([&] { return ::open(other.c_str(), O_CREAT | O_WRONLY, 0666); }), EACCES);
    EXPECT_EQ(for_another([&] { return ::open(volume.path().c_str(), O_TMPFILE | O_WRONLY, 0666); }), EACCES);
    EXPECT_EQ(for_another([&] { return ::mkdir(other.c_str(), 0777); }), EACCES);
    EXPECT_EQ(for_another([&] { return ::rename(file.c_str(), other.c_str()); }), EACCES);
    volume.remount();
  }
  EXPECT_EQ(volume.read("file"), "secret");
  EXPECT_TRUE(std::filesystem::is_empty(volume.path("d")));
}

TEST_F(RootAlone, WhatRootHasOpenedMayBeUsedForAnother) {
  MountedVolume volume;
  volume.write("file", "before");
  const int fd = ::open(volume.path("file").c_str(), O_RDWR);
  ASSERT_GE(fd, 0);
  EXPECT_EQ(for_another([&] {
              char text[6];
              if (::pread(fd, text, sizeof text, 0) != sizeof text || ::pwrite(fd, "after", 5, 0) != 5)
                return -1;
              if (::fsync(fd) != 0 || ::ftruncate(fd, 5) != 0 || ::fchmod(fd, 0600) == 0) return -1;
              return ::close(fd);
            }),
            0);
  ::close(fd);
  EXPECT_EQ(volume.read("file"), "after");
}

TEST_F(RootAlone, TheKernelChecksIfItIsAskedTo) {
  MountOptions options;
  options.default_permissions = true;
  MountedVolume volume(options);
  volume.write("theirs", "x");
  volume.write("mine", "x");
  std::filesystem::permissions(volume.path("theirs"), std::filesystem::perms(0644));
  std::filesystem::permissions(volume.path("mine"), std::filesystem::perms(0600));
  EXPECT_EQ(for_another([&] { return ::open(volume.path("theirs").c_str(), O_RDONLY); }), 0);
  EXPECT_EQ(for_another([&] { return ::open(volume.path("mine").c_str(), O_RDONLY); }), EACCES);
}

}  // namespace
}  // namespace kmsfs::testing
