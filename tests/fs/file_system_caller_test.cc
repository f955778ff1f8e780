// Created as the caller: owner, group, supplementary groups, setgid directories, umask. Root mounts only.
#include <sys/fsuid.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include <functional>

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
    EXPECT_EQ(static_cast<uid_t>(::setfsuid(static_cast<uid_t>(-1))), ::geteuid())
        << "a caller's identity was kept";
    EXPECT_EQ(static_cast<gid_t>(::setfsgid(static_cast<gid_t>(-1))), ::getegid());
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

// An ACL as the kernel keeps it: version 2, then tag, permission and id of each entry, little-endian.
Bytes acl(std::initializer_list<std::pair<std::uint16_t, std::uint16_t>> entries) {
  std::string bytes("\x02\0\0\0", 4);
  for (const auto& [tag, permission] : entries) {
    bytes += {static_cast<char>(tag), 0, static_cast<char>(permission), 0};
    bytes += "\xff\xff\xff\xff";
  }
  const auto view = as_bytes(bytes);
  return {view.begin(), view.end()};
}

TEST_F(FileSystemCaller, ADefaultAclTakesThePlaceOfTheUmask) {
  constexpr std::uint16_t kOwner = 0x01, kGroup = 0x04, kOther = 0x20;
  const NodeId directory = make_directory(kRootNode, "directory", 0777);
  const Bytes wanted = acl({{kOwner, 7}, {kGroup, 7}, {kOther, 5}});
  const auto set = fs_->set_xattr(directory, "system.posix_acl_default", wanted, 0);
  if (errno_of(set) == EOPNOTSUPP) GTEST_SKIP() << "no ACLs below";
  ASSERT_TRUE(set.ok()) << set.error().text;
  EXPECT_EQ(*fs_->get_xattr(directory, "system.posix_acl_default"), wanted);
  Caller careful = alice_;
  careful.umask = 077;
  auto file = fs_->create(directory, "file", 0666, O_RDWR, careful);
  ASSERT_TRUE(file.ok());
  EXPECT_EQ(file->entry.attributes.st_mode & 07777, 0664U);
  fs_->release(file->entry.node, file->handle);
  auto inner = fs_->make_directory(directory, "inner", 0777, careful);
  ASSERT_TRUE(inner.ok());
  EXPECT_EQ(inner->attributes.st_mode & 07777, 0775U);
  EXPECT_EQ(*fs_->get_xattr(inner->node, "system.posix_acl_default"), wanted) << "inherited";
}

TEST_F(FileSystemCaller, AnAclSetFromOutsideTheGroupTakesTheSetgidBit) {
  constexpr std::uint16_t kOwner = 0x01, kGroup = 0x04, kOther = 0x20;
  const NodeId file = make_file("file");
  for (const bool outside : {false, true}) {
    AttributeChange change;
    change.mode = 02775;
    ASSERT_TRUE(fs_->set_attributes(file, change, caller_).ok());
    const auto set = fs_->set_xattr(file, "system.posix_acl_access",
                                    acl({{kOwner, 7}, {kGroup, 7}, {kOther, 5}}), 0, outside);
    if (errno_of(set) == EOPNOTSUPP) GTEST_SKIP() << "no ACLs below";
    ASSERT_TRUE(set.ok());
    EXPECT_EQ(fs_->get_attributes(file)->st_mode & S_ISGID, outside ? 0U : static_cast<mode_t>(S_ISGID));
  }
}

// A set-group-id bit without group execution: members of the group may keep it, whatever call changes the
// file.
TEST_F(FileSystemCaller, AStrangerToItsGroupTakesTheSetgidBitByAnyChangeOfContent) {
  const NodeId file = make_file("file", "text");
  const NodeId other = make_file("other", "text");
  auto handle = open(file, O_RDWR);
  auto source = open(other, O_RDONLY);
  AttributeChange change;
  change.mode = 02664;
  change.gid = 4711;
  Caller member = alice_, stranger = alice_;
  member.groups = std::vector<gid_t>{4711};
  stranger.groups = std::vector<gid_t>{4712};
  const std::map<std::string, std::function<bool(const Caller&)>> changes = {
      {"write", [&](const Caller& who) { return fs_->write(file, *handle, 0, as_bytes("T"), &who).ok(); }},
      {"allocate", [&](const Caller& who) { return fs_->allocate(file, *handle, 0, 0, 9000, &who).ok(); }},
      {"copy_range", [&](const Caller& who) {
         return fs_->copy_range(other, *source, 0, file, *handle, 0, 4, &who).ok();
       }}};
  for (const auto& [name, deed] : changes) {
    for (const bool outside : {false, true}) {
      ASSERT_TRUE(fs_->set_attributes(file, change, caller_).ok());
      ASSERT_TRUE(deed(outside ? stranger : member)) << name;
      EXPECT_EQ(fs_->get_attributes(file)->st_mode & S_ISGID, outside ? 0U : static_cast<mode_t>(S_ISGID))
          << name;
    }
  }
  fs_->release(file, *handle);
  fs_->release(other, *source);
}

TEST_F(FileSystemCaller, WritingTakesTheFileCapability) {
  const NodeId file = make_file("program", "text");
  // CAP_NET_RAW, permitted and effective: revision 2 of the format.
  Bytes capability(20);
  capability[0] = std::byte{1};
  capability[3] = std::byte{2};
  capability[5] = std::byte{0x20};
  auto handle = open(file, O_RDWR);
  for (const bool truncate : {false, true}) {
    ASSERT_TRUE(fs_->set_xattr(file, "security.capability", capability, 0).ok());
    EXPECT_TRUE(fs_->get_xattr(file, "security.capability").ok());
    if (truncate) {
      AttributeChange change;
      change.size = 4;
      change.kill_privileges = true;
      ASSERT_TRUE(fs_->set_attributes(file, change, caller_).ok());
    } else {
      ASSERT_TRUE(fs_->write(file, *handle, 0, as_bytes("T"), &caller_).ok());
    }
    EXPECT_EQ(errno_of(fs_->get_xattr(file, "security.capability")), ENODATA) << truncate;
  }
  fs_->release(file, *handle);
}

// A mount that is not root's: the thread is another user, as the whole process would be.
class FileSystemOfAUser : public FileSystemTest {
 protected:
  static constexpr uid_t kUser = 1000;
  void SetUp() override {
    if (::geteuid() != 0) GTEST_SKIP() << "needs root to become somebody else";
    for (const auto& entry : std::filesystem::recursive_directory_iterator(directory_.path())) {
      ASSERT_EQ(::lchown(entry.path().c_str(), kUser, kUser), 0);
    }
    ASSERT_EQ(::lchown(directory_.path().c_str(), kUser, kUser), 0);
    ASSERT_EQ(::syscall(SYS_setresuid, -1, kUser, -1), 0);
    remount();
  }
  void TearDown() override {
    unmount();
    ASSERT_EQ(::syscall(SYS_setresuid, -1, 0, -1), 0);
  }
};

TEST_F(FileSystemOfAUser, ModesThatKeepTheOwnerOutDoNotStopUs) {
  const NodeId file = make_file(kRootNode, "write only", "text", 0200);
  auto writer = open(file, O_WRONLY);
  ASSERT_TRUE(writer.ok()) << "a program that may write may do so, and we read to do it: "
                           << writer.error().text;
  ASSERT_TRUE(write_at(file, *writer, 1, "EX").ok());
  fs_->release(file, *writer);
  EXPECT_EQ(fs_->get_attributes(file)->st_mode & 07777, 0200U);
  EXPECT_EQ(*content(file), "tEXt");
  EXPECT_EQ(*content(make_file(kRootNode, "read only", "object", 0444)), "object");

  for (const mode_t mode : {0U, 0555U, 0300U}) {
    const NodeId directory = make_directory(kRootNode, "directory", mode);
    EXPECT_EQ(fs_->get_attributes(directory)->st_mode & 07777, mode);
    EXPECT_TRUE(fs_->remove_directory(kRootNode, "directory").ok()) << mode;
  }
  const NodeId full = make_directory(kRootNode, "full");
  make_file(full, "file");
  AttributeChange change;
  change.mode = 0555;
  ASSERT_TRUE(fs_->set_attributes(full, change, caller_).ok());
  EXPECT_EQ(errno_of(fs_->remove_directory(kRootNode, "full")), ENOTEMPTY);
  EXPECT_EQ(fs_->get_attributes(full)->st_mode & 07777, 0555U);
  EXPECT_EQ(errno_of(create(full, "other")), EACCES);
  change.mode = 0755;
  ASSERT_TRUE(fs_->set_attributes(full, change, caller_).ok());
}

}  // namespace
}  // namespace kmsfs
