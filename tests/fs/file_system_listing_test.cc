// Reading directories piece by piece while they change, with and without a handle; and what is known of new
// files without asking the disk.
#include <algorithm>
#include <map>
#include <set>

#include "tests/fs/file_system_fixture.h"

namespace kmsfs {
namespace {

constexpr HandleId kNoHandle = 0;

class FileSystemListing : public FileSystemTest {
 protected:
  // At most `room` entries from `offset` on, which moves past them. False: that was the end.
  bool read_some(std::multiset<std::string>& seen, std::uint64_t& offset, int room) {
    const std::uint64_t from = offset;
    auto done = fs_->read_directory(kRootNode, kNoHandle, from, false, [&](const DirectoryEntry& entry) {
      if (room-- == 0) return false;
      EXPECT_GT(entry.next, offset) << "offsets only grow";
      seen.insert(std::string(entry.name));
      offset = entry.next;
      return true;
    });
    EXPECT_TRUE(done.ok());
    return offset != from;
  }
};

TEST_F(FileSystemListing, WhoGoesOnAfterOthersReadAnewMissesNothingAndSeesNothingTwice) {
  constexpr int kStay = 200, kGo = 200;
  for (int i = 0; i < kStay; ++i) make_file("stays" + std::to_string(i));
  for (int i = 0; i < kGo; ++i) make_file("goes" + std::to_string(i));
  std::multiset<std::string> seen;
  std::uint64_t offset = 0;
  for (int round = 0; read_some(seen, offset, 7); ++round) {
    if (round < kGo) {
      ASSERT_TRUE(fs_->unlink(kRootNode, "goes" + std::to_string(round)).ok());
    }
    make_file("comes" + std::to_string(round));
    // Another program begins anew, so that the directory is read again as it is now.
    std::multiset<std::string> others;
    std::uint64_t begin = 0;
    read_some(others, begin, 3);
    if (round % 5 == 0) fs_->maintain();
    ASSERT_LT(round, 1000);
  }
  for (int i = 0; i < kStay; ++i) EXPECT_EQ(seen.count("stays" + std::to_string(i)), 1U) << i;
  EXPECT_EQ(seen.count("."), 1U);
  EXPECT_EQ(seen.count(".."), 1U);
  for (const std::string& name : seen) EXPECT_EQ(seen.count(name), 1U) << name;
}

TEST_F(FileSystemListing, AnOffsetIsGoodAfterTheReadingThatItCameFromWasLetGo) {
  for (int i = 0; i < 50; ++i) make_file("file" + std::to_string(i));
  std::multiset<std::string> seen;
  std::uint64_t offset = 0;
  while (read_some(seen, offset, 4)) {
    for (int tick = 0; tick < 3; ++tick) fs_->maintain();
  }
  EXPECT_EQ(seen.size(), 52U);
  EXPECT_EQ(std::set<std::string>(seen.begin(), seen.end()).size(), 52U);
}

TEST_F(FileSystemListing, WhatWasLookedUpAndNotUsedSinceIsNotLookedUpAgain) {
  for (const char* name : {"used", "written", "forgotten"}) fs_->forget(make_file(name), 1);
  make_directory(kRootNode, "directory");
  const auto looked_up = [&] {
    std::map<std::string, NodeId> seen;
    auto done = fs_->read_directory(kRootNode, kNoHandle, 0, true, [&](const DirectoryEntry& entry) {
      if (entry.entry != nullptr) seen[std::string(entry.name)] = entry.entry->node;
      return true;
    });
    EXPECT_TRUE(done.ok());
    return seen;
  };
  auto first = looked_up();
  ASSERT_EQ(first.size(), 4U);
  EXPECT_EQ(looked_up().size(), 1U) << "the directory, whose attributes change with what is in it";
  ASSERT_TRUE(fs_->get_attributes(first["used"]).ok());
  auto handle = fs_->open(first["written"], O_WRONLY);
  ASSERT_TRUE(handle.ok());
  ASSERT_TRUE(fs_->write(first["written"], *handle, 0, as_bytes("text")).ok());
  fs_->forget(first["forgotten"], 1);
  ASSERT_FALSE(fs_->get_attributes(first["forgotten"]).ok());
  EXPECT_EQ(looked_up().size(), 4U);
  fs_->release(first["written"], *handle);
}

TEST_F(FileSystemListing, AHandleOfAnotherDirectoryIsRefused) {
  const NodeId directory = make_directory(kRootNode, "directory");
  auto handle = fs_->open_directory(directory);
  ASSERT_TRUE(handle.ok());
  const auto take = [](const DirectoryEntry&) { return true; };
  EXPECT_EQ(errno_of(fs_->read_directory(kRootNode, *handle, 0, false, take)), EBADF);
  EXPECT_TRUE(fs_->read_directory(directory, *handle, 0, false, take).ok());
  fs_->release_directory(directory, *handle);
}

TEST_F(FileSystemListing, ARemovedDirectoryIsReadAsEmpty) {
  const NodeId directory = make_directory(kRootNode, "directory");
  ASSERT_TRUE(fs_->remove_directory(kRootNode, "directory").ok());
  std::set<std::string> names;
  auto done = fs_->read_directory(directory, kNoHandle, 0, true, [&](const DirectoryEntry& entry) {
    names.insert(std::string(entry.name));
    return true;
  });
  if (done) {
    EXPECT_EQ(names, (std::set<std::string>{".", ".."}));
  }
}

TEST_F(FileSystemListing, ANewFileHasNoCapabilityUntilSomebodyGivesItOne) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root";
  const NodeId file = make_file("program", "text");
  EXPECT_EQ(errno_of(fs_->get_xattr(file, "security.capability")), ENODATA);
  Bytes capability(20);  // CAP_NET_RAW, permitted and effective: revision 2 of the format
  capability[0] = std::byte{1};
  capability[3] = std::byte{2};
  capability[5] = std::byte{0x20};
  ASSERT_TRUE(fs_->set_xattr(file, "security.capability", capability, 0).ok());
  EXPECT_TRUE(fs_->get_xattr(file, "security.capability").ok());
  ASSERT_TRUE(fs_->remove_xattr(file, "security.capability").ok());
  EXPECT_EQ(errno_of(fs_->get_xattr(file, "security.capability")), ENODATA);
}

// So that `ls -l` asks for no further file's.
TEST_F(FileSystemListing, NoLabelIsNoSuchThingHereWhereNothingLabelsFiles) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root";
  NodeId file = make_file("file", "text");
  EXPECT_EQ(errno_of(fs_->get_xattr(file, "security.selinux")), EOPNOTSUPP);
  EXPECT_EQ(errno_of(fs_->get_xattr(file, "security.selinux")), EOPNOTSUPP);  // remembered
  EXPECT_EQ(errno_of(fs_->get_xattr(file, "security.other")), ENODATA);
  // One that was copied here is kept.
  ASSERT_TRUE(fs_->set_xattr(file, "security.selinux", as_bytes("label"), 0).ok());
  EXPECT_EQ(as_text(*fs_->get_xattr(file, "security.selinux")), "label");
  options_.selinux = true;
  remount();
  file = node_of("file");
  EXPECT_EQ(as_text(*fs_->get_xattr(file, "security.selinux")), "label");
  EXPECT_EQ(errno_of(fs_->get_xattr(make_file("other"), "security.selinux")), ENODATA);
}

TEST_F(FileSystemListing, AnUnlinkedFileKeepsItsAttributesAndContentForWhoHasItOpen) {
  const NodeId file = make_file("file", "text");
  auto handle = open(file, O_RDWR);
  ASSERT_TRUE(handle.ok());
  ASSERT_TRUE(fs_->unlink(kRootNode, "file").ok());
  EXPECT_EQ(fs_->get_attributes(file)->st_nlink, 0U);
  AttributeChange change;
  change.modification_time = timespec{1000, 5};
  auto changed = fs_->set_attributes(file, change, caller_);
  ASSERT_TRUE(changed.ok());
  EXPECT_EQ(changed->st_mtim.tv_sec, 1000);
  EXPECT_EQ(changed->st_mtim.tv_nsec, 5);
  EXPECT_EQ(*read_at(file, *handle, 0, 100), "text");
  fs_->release(file, *handle);
}

TEST_F(FileSystemListing, OfTwoNamesTheOtherStaysGood) {
  const NodeId file = make_file("file", "text");
  ASSERT_TRUE(fs_->make_link(file, kRootNode, "other", caller_).ok());
  ASSERT_TRUE(fs_->unlink(kRootNode, "other").ok());
  EXPECT_EQ(*content("file"), "text");
  ASSERT_TRUE(fs_->make_link(file, kRootNode, "other", caller_).ok());
  ASSERT_TRUE(fs_->unlink(kRootNode, "file").ok());
  EXPECT_EQ(*content("other"), "text");
  EXPECT_EQ(fs_->lookup(kRootNode, "other")->node, file);
}

}  // namespace
}  // namespace kmsfs
