// Created as the caller: owner, group, supplementary groups, setgid directories, umask. Root mounts only.
#include <sys/fsuid.h>
#include <sys/stat.h>

#include "tests/fs/file_system_fixture.h"

namespace kmsfs {
namespace {

class FileSystemCaller : public FileSystemTest {
 protected:
  void SetUp() override {
    if (::geteuid() != 0) GTEST_SKIP() << "needs root";
    options_.as_caller = true;
    remount();
    std::filesystem::permissions(directory_.path(), std::filesystem::perms::all);
  }
  void TearDown() override {
    EXPECT_EQ(::setfsuid(static_cast<uid_t>(-1)), 0) << "a caller's identity was kept";
    EXPECT_EQ(::setfsgid(static_cast<gid_t>(-1)), 0);
    EXPECT_EQ(::umask(0), 0U);
  }
  const Caller alice_{1000, 1000, 0, 0, std::vector<gid_t>{2000}};
};

TEST_F(FileSystemCaller, WhatIsMadeBelongsToTheCaller) {
  std::vector<struct stat> made;
  auto file = fs_->create(kRootNode, "file", 0644, O_RDWR, alice_);
  ASSERT_TRUE(file.ok()) << file.error().text;
  made.push_back(file->entry.attributes);
  made.push_back(fs_->make_directory(kRootNode, "directory", 0755, alice_)->attributes);
  made.push_back(fs_->make_symlink(kRootNode, "link", "x", alice_)->attributes);
  made.push_back(fs_->make_node(kRootNode, "fifo", S_IFIFO | 0600, 0, alice_)->attributes);
  for (const auto& attributes : made) {
    EXPECT_EQ(attributes.st_uid, 1000U);
    EXPECT_EQ(attributes.st_gid, 1000U);
  }
  EXPECT_TRUE(fs_->remove_directory(kRootNode, "directory").ok());
  fs_->release(file->entry.node, file->handle);
}

TEST_F(FileSystemCaller, SetgidDirectoriesGiveTheirGroup) {
  const NodeId directory = make_directory(kRootNode, "shared", 02775);
  AttributeChange change;
  change.gid = 2000;
  ASSERT_TRUE(fs_->set_attributes(directory, change, caller_).ok());
  change = {};
  change.mode = 02775;
  ASSERT_TRUE(fs_->set_attributes(directory, change, caller_).ok());
  auto file = fs_->create(directory, "file", 0644, O_RDWR, alice_);
  ASSERT_TRUE(file.ok()) << "a member by a supplementary group: " << file.error().text;
  EXPECT_EQ(file->entry.attributes.st_gid, 2000U);
  auto inner = fs_->make_directory(directory, "inner", 0755, alice_);
  ASSERT_TRUE(inner.ok());
  EXPECT_EQ(inner->attributes.st_gid, 2000U);
  EXPECT_EQ(inner->attributes.st_mode & 07777, 02755U);
  Caller stranger = alice_;
  stranger.groups = std::vector<gid_t>{};
  EXPECT_EQ(errno_of(fs_->create(directory, "other", 0644, O_RDWR, stranger)), EACCES);
  fs_->release(file->entry.node, file->handle);
}

TEST_F(FileSystemCaller, TheCallersUmaskApplies) {
  Caller careful = alice_;
  careful.umask = 077;
  auto file = fs_->create(kRootNode, "file", 0666, O_RDWR, careful);
  ASSERT_TRUE(file.ok());
  EXPECT_EQ(file->entry.attributes.st_mode & 07777, 0600U);
  EXPECT_EQ(fs_->make_directory(kRootNode, "directory", 0777, careful)->attributes.st_mode & 07777, 0700U);
  fs_->release(file->entry.node, file->handle);
  EXPECT_EQ(bytes_of(stored(file->entry.node)).substr(0, 4).size(), 4U);
}

TEST_F(FileSystemCaller, GroupsAreLookedUpWhenTheKernelDoesNotTell) {
  const auto own = groups_of_process(::getpid());
  std::vector<gid_t> expected(static_cast<std::size_t>(::getgroups(0, nullptr)));
  ASSERT_GE(::getgroups(static_cast<int>(expected.size()), expected.data()), 0);
  EXPECT_EQ(own, expected);
  EXPECT_TRUE(groups_of_process(0).empty());
  EXPECT_TRUE(groups_of_process(1 << 30).empty());
}

TEST_F(FileSystemCaller, ModesThatKeepEvenTheOwnerOutAreMade) {
  auto file = fs_->create(kRootNode, "file", 0, O_RDWR, alice_);
  ASSERT_TRUE(file.ok());
  ASSERT_TRUE(write_at(file->entry.node, file->handle, 0, "text").ok());
  auto directory = fs_->make_directory(kRootNode, "directory", 0, alice_);
  ASSERT_TRUE(directory.ok());
  EXPECT_EQ(directory->attributes.st_mode & 07777, 0U);
  EXPECT_TRUE(fs_->remove_directory(kRootNode, "directory").ok());
  fs_->release(file->entry.node, file->handle);
}

}  // namespace
}  // namespace kmsfs
