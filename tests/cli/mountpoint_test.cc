// Which directories can be mounted over, and the guard that stays on them.
#include "cli/mountpoint.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fstream>

#include "tests/cli/scratch_directory.h"

namespace kmsfs::cli {
namespace {

class Mountpoints : public ::testing::Test {
 protected:
  void SetUp() override {
    for (const char* name : {"backing", "backing/inside", "around", "around/backing", "mnt"}) {
      ASSERT_EQ(::mkdir((top_ / name).c_str(), 0755), 0);
    }
  }
  void TearDown() override { (void)Mountpoint::unguard(top_ / "mnt"); }

  Result<Mountpoint> open(const std::string& name, const std::string& backing = "backing") {
    const UniqueFd fd(::open((top_ / backing).c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
    return Mountpoint::open(top_ / name, fd.get());
  }
  std::string refusal(const std::string& name, const std::string& backing = "backing") {
    auto mountpoint = open(name, backing);
    return mountpoint ? "accepted" : mountpoint.error().text;
  }
  bool can_write(const std::string& name) {
    std::ofstream file(top_ / (name + "/probe"));
    const bool written = static_cast<bool>(file);
    file.close();
    ::unlink((top_ / (name + "/probe")).c_str());
    return written;
  }
  mode_t mode(const std::string& name) {
    struct stat status {};
    ::stat((top_ / name).c_str(), &status);
    return status.st_mode & 07777;
  }

  testing::ScratchDirectory top_;
};

TEST_F(Mountpoints, AnEmptyDirectoryIsTaken) {
  auto mountpoint = open("mnt");
  ASSERT_TRUE(mountpoint) << mountpoint.error().text;
  EXPECT_EQ(mountpoint->path(), top_ / "mnt");
}

TEST_F(Mountpoints, WhatCannotBeMountedOverIsRefusedWithItsReason) {
  EXPECT_NE(refusal("missing").find("does not exist"), std::string::npos);
  std::ofstream(top_ / "file") << "x";
  EXPECT_NE(refusal("file").find("not a directory"), std::string::npos);
  std::ofstream(top_ / "mnt/file") << "x";
  EXPECT_NE(refusal("mnt").find("not empty"), std::string::npos);
}

TEST_F(Mountpoints, InsideTheBackingDirectoryAndAroundItAreRefused) {
  EXPECT_NE(refusal("backing/inside").find("inside the backing directory"), std::string::npos);
  EXPECT_NE(refusal("backing").find("inside the backing directory"), std::string::npos);
  EXPECT_NE(refusal("around", "around/backing").find("contains the backing directory"), std::string::npos);
}

TEST_F(Mountpoints, ASymbolicLinkIntoTheBackingDirectoryDoesNotHideIt) {
  ASSERT_EQ(::symlink((top_ / "backing/inside").c_str(), (top_ / "link").c_str()), 0);
  EXPECT_NE(refusal("link").find("inside the backing directory"), std::string::npos);
}

TEST_F(Mountpoints, ADirectoryNamedLikeTheBackingDirectoryIsNotInsideIt) {
  ASSERT_EQ(::mkdir((top_ / "backing2").c_str(), 0755), 0);
  EXPECT_EQ(refusal("backing2"), "accepted");
}

TEST_F(Mountpoints, AGuardedDirectoryTakesNoFilesAndCanStillBeMountedOver) {
  auto mountpoint = open("mnt");
  ASSERT_TRUE(mountpoint);
  ASSERT_TRUE(mountpoint->prepare());
  const Guard guard = mountpoint->guard();
  ASSERT_NE(guard, Guard::kNone);
  if (::geteuid() != 0 || guard == Guard::kImmutable) {
    EXPECT_FALSE(can_write("mnt"));
  }
  auto again = open("mnt");
  ASSERT_TRUE(again) << again.error().text;
  EXPECT_TRUE(again->prepare());
  EXPECT_EQ(again->guard(), guard);
}

TEST_F(Mountpoints, UnguardingLetsFilesInAgain) {
  ASSERT_NE(open("mnt")->guard(), Guard::kNone);
  ASSERT_TRUE(Mountpoint::unguard(top_ / "mnt"));
  EXPECT_TRUE(can_write("mnt"));
  EXPECT_TRUE(Mountpoint::unguard(top_ / "mnt")) << "twice is no error";
}

TEST_F(Mountpoints, AFailedMountLeavesAnUnguardedDirectoryAsItWas) {
  const mode_t before = mode("mnt");
  auto mountpoint = open("mnt");
  ASSERT_TRUE(mountpoint);
  ASSERT_TRUE(mountpoint->prepare());
  mountpoint->restore();
  EXPECT_EQ(mode("mnt"), before);
  EXPECT_TRUE(can_write("mnt"));
}

}  // namespace
}  // namespace kmsfs::cli
