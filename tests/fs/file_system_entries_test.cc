// Names: making, finding, removing, renaming, listing.
#include <algorithm>
#include <set>

#include "tests/fs/file_system_fixture.h"
#include "tests/support/crypto_environment.h"

namespace kmsfs {
namespace {

class FileSystemEntries : public FileSystemTest {
 protected:
  Result<void> rename(const std::string& from, const std::string& to, unsigned flags = 0) {
    return fs_->rename(kRootNode, from, kRootNode, to, flags);
  }
  std::size_t backing_entries(const std::filesystem::path& directory) {
    return static_cast<std::size_t>(std::distance(std::filesystem::directory_iterator(directory), {}));
  }
  const std::string long_name_ = std::string(255, 'L');
};

TEST_F(FileSystemEntries, WhatWasWrittenIsThereAfterARemount) {
  const std::string text = pattern(20000);
  make_file("file", text);
  EXPECT_EQ(*content("file"), text);
  remount();
  EXPECT_EQ(*content("file"), text);
  EXPECT_EQ(entry_of("file")->attributes.st_size, 20000);
}

TEST_F(FileSystemEntries, NoNameStandsInTheBackingDirectory) {
  const NodeId directory = make_directory(kRootNode, "salaries-2026");
  make_file(directory, "anna.txt", "plain content");
  ASSERT_TRUE(fs_->make_symlink(directory, "link", "secret-target", caller_).ok());
  for (const auto& entry : std::filesystem::recursive_directory_iterator(directory_.path())) {
    const std::string path = entry.path().string();
    EXPECT_EQ(path.find("salaries"), std::string::npos);
    EXPECT_EQ(path.find("anna"), std::string::npos);
    if (entry.is_symlink()) {
      EXPECT_EQ(std::filesystem::read_symlink(entry).string().find("secret"), std::string::npos);
    }
    if (entry.is_regular_file()) {
      EXPECT_EQ(bytes_of(entry.path()).find("plain content"), std::string::npos);
    }
  }
}

TEST_F(FileSystemEntries, AMissingNameIsENOENTAndALongOneENAMETOOLONG) {
  EXPECT_EQ(errno_of(fs_->lookup(kRootNode, "missing")), ENOENT);
  EXPECT_EQ(errno_of(fs_->lookup(kRootNode, std::string(256, 'x'))), ENAMETOOLONG);
  EXPECT_EQ(errno_of(create(kRootNode, std::string(256, 'x'))), ENAMETOOLONG);
  EXPECT_EQ(errno_of(create(kRootNode, "")), EINVAL);
  EXPECT_EQ(errno_of(fs_->unlink(kRootNode, "missing")), ENOENT);
  EXPECT_EQ(errno_of(fs_->remove_directory(kRootNode, "missing")), ENOENT);
  EXPECT_EQ(errno_of(rename("missing", "other")), ENOENT);
  EXPECT_EQ(errno_of(fs_->get_attributes(4711)), ESTALE);
  const NodeId file = make_file("file");
  EXPECT_EQ(errno_of(fs_->lookup(file, "below")), ENOTDIR);
}

TEST_F(FileSystemEntries, NamesOfEveryLengthAndEncodingWork) {
  for (std::size_t size = 1; size <= 255; ++size) make_file(std::string(size, 'n'), std::to_string(size));
  std::string odd;
  for (int c = 1; c < 256; ++c) {
    if (c != '/') odd += static_cast<char>(c);
  }
  make_file(odd.substr(0, 200));
  make_file(odd.substr(odd.size() - 100));
  make_file(".kmsfs-dir", "a user's own");
  make_file(".kmsfs", "another");
  remount();
  for (std::size_t size = 1; size <= 255; ++size)
    EXPECT_EQ(*content(std::string(size, 'n')), std::to_string(size));
  EXPECT_EQ(*content(".kmsfs-dir"), "a user's own");
  EXPECT_EQ(*content(".kmsfs"), "another");
  EXPECT_EQ(names().size(), 255U + 4U);
}

TEST_F(FileSystemEntries, CreatingWhatExistsIsEEXISTOrOpensIt) {
  make_file("file", "content");
  const auto before = kms_calls();
  EXPECT_EQ(errno_of(create(kRootNode, "file")), EEXIST);
  EXPECT_EQ(kms_calls(), before);
  auto opened = create(kRootNode, "file", 0644, O_RDWR);
  ASSERT_TRUE(opened.ok());
  EXPECT_EQ(*read_at(opened->entry.node, opened->handle, 0, 100), "content");
  fs_->release(opened->entry.node, opened->handle);
  make_directory(kRootNode, "directory");
  EXPECT_EQ(errno_of(fs_->make_directory(kRootNode, "directory", 0755, caller_)), EEXIST);
  EXPECT_EQ(errno_of(fs_->make_directory(kRootNode, "file", 0755, caller_)), EEXIST);
  EXPECT_EQ(errno_of(fs_->make_symlink(kRootNode, "file", "target", caller_)), EEXIST);
  EXPECT_EQ(errno_of(create(kRootNode, "directory", 0644, O_RDWR)), EISDIR);
}

TEST_F(FileSystemEntries, DirectoriesAreRemovedOnlyWhenEmpty) {
  const NodeId outer = make_directory(kRootNode, "outer");
  make_file(outer, long_name_);
  EXPECT_EQ(errno_of(fs_->remove_directory(kRootNode, "outer")), ENOTEMPTY);
  EXPECT_EQ(errno_of(fs_->unlink(kRootNode, "outer")), EISDIR);
  EXPECT_EQ(errno_of(fs_->remove_directory(outer, long_name_)), ENOTDIR);
  ASSERT_TRUE(fs_->unlink(outer, long_name_).ok());
  ASSERT_TRUE(fs_->remove_directory(kRootNode, "outer").ok());
  EXPECT_EQ(errno_of(fs_->lookup(kRootNode, "outer")), ENOENT);
  // .kmsfs and the root's id.
  EXPECT_EQ(backing_entries(directory_.path()), 2U);
  EXPECT_EQ(fs_->get_attributes(outer)->st_nlink, 0U);
  EXPECT_EQ(errno_of(create(outer, "in a removed directory")), ENOENT);
}

TEST_F(FileSystemEntries, ARemovalThatFailsLeavesTheDirectoryUsable) {
  make_directory(kRootNode, "directory");
  for (int call = 0; call < 6; ++call) {
    disk_.fail_change(call, EIO);
    const auto removed = fs_->remove_directory(kRootNode, "directory");
    const bool failed = disk_.has_failed();
    disk_.fail_change(1 << 30, 0);
    if (!failed) break;
    EXPECT_FALSE(removed.ok()) << call;
    if (call % 2 != 0) remount();
    const auto found = entry_of("directory");
    ASSERT_TRUE(found.ok());
    make_file(found->node, "file", "text");
    remount();
    EXPECT_EQ(*content("directory/file"), "text") << call;
    ASSERT_TRUE(fs_->unlink(node_of("directory"), "file").ok());
  }
  EXPECT_EQ(errno_of(entry_of("directory")), ENOENT);
}

TEST_F(FileSystemEntries, ARenameOverAnEmptyDirectoryThatFailsLeavesBothAsTheyWere) {
  const std::string target(200, 't');
  make_file(make_directory(kRootNode, "source"), "inside", "text");
  make_directory(kRootNode, target);
  for (int call = 0;; ++call) {
    ASSERT_LT(call, 10);
    disk_.fail_change(call, EIO);
    const auto renamed = fs_->rename(kRootNode, "source", kRootNode, target, 0);
    const bool failed = disk_.has_failed();
    disk_.fail_change(1 << 30, 0);
    remount();
    if (!failed || renamed) {
      EXPECT_EQ(*content(target + "/inside"), "text");
      break;
    }
    EXPECT_EQ(*content("source/inside"), "text") << call;
    const NodeId there = node_of(target);
    EXPECT_TRUE(names(there).empty());
    make_file(there, "file", "text");
    EXPECT_EQ(*content(target + "/file"), "text");
    ASSERT_TRUE(fs_->unlink(there, "file").ok());
  }
  EXPECT_EQ(names(), std::vector<std::string>{target});
}

TEST_F(FileSystemEntries, OrphanedSideLinksGoWithTheirDirectoryAndKeepNothingAlive) {
  const NodeId directory = make_directory(kRootNode, "directory");
  std::filesystem::create_symlink("left by a crash", stored(directory) / ".kmsfs-name.orphan");
  EXPECT_TRUE(names(directory).empty());
  ASSERT_TRUE(fs_->remove_directory(kRootNode, "directory").ok());
  EXPECT_EQ(backing_entries(directory_.path()), 2U);
}

TEST_F(FileSystemEntries, AFailedMkdirLeavesNothingBehind) {
  for (int call = 0;; ++call) {
    disk_.fail_change(call, ENOSPC);
    const auto made = fs_->make_directory(kRootNode, long_name_, 0755, caller_);
    const bool failed = disk_.has_failed();
    disk_.fail_change(1 << 30, 0);
    if (!failed) {
      EXPECT_TRUE(made.ok());
      break;
    }
    ASSERT_LT(call, 50);
    if (made) {  // only a descriptor to wait on was missing
      ASSERT_TRUE(fs_->remove_directory(kRootNode, long_name_).ok());
      continue;
    }
    EXPECT_EQ(errno_of(made), ENOSPC);
    EXPECT_TRUE(names().empty()) << call;
    EXPECT_EQ(errno_of(fs_->lookup(kRootNode, long_name_)), ENOENT);
  }
}

TEST_F(FileSystemEntries, RenameMovesFilesAndDirectoriesAndKeepsTheirNodes) {
  const NodeId a = make_directory(kRootNode, "a");
  const NodeId b = make_directory(kRootNode, "b");
  const NodeId file = make_file(a, "file", "text");
  const NodeId inner = make_directory(a, "inner");
  make_file(inner, "deep", "deeper");
  ASSERT_TRUE(fs_->rename(a, "file", b, long_name_, 0).ok());
  EXPECT_EQ(fs_->lookup(b, long_name_)->node, file);
  EXPECT_EQ(*content(file), "text");
  ASSERT_TRUE(fs_->rename(a, "inner", b, "moved", 0).ok());
  EXPECT_EQ(*content("b/moved/deep"), "deeper");
  EXPECT_EQ(fs_->lookup(b, "moved")->node, inner);
  EXPECT_EQ(fs_->lookup(inner, "..")->node, b);
  ASSERT_TRUE(fs_->rename(b, long_name_, a, "short again", 0).ok());
  EXPECT_EQ(backing_entries(stored(b)), 2U) << "a side link outlived its entry";
  EXPECT_EQ(errno_of(fs_->rename(b, "moved", inner, "into itself", 0)), EINVAL);
  remount();
  EXPECT_EQ(*content("a/short again"), "text");
  EXPECT_EQ(*content("b/moved/deep"), "deeper");
}

TEST_F(FileSystemEntries, RenameReplacesWhatPosixLetsItReplace) {
  make_file("old", "old");
  const NodeId target = make_file("new", "new");
  auto handle = open(target);
  ASSERT_TRUE(handle.ok());
  ASSERT_TRUE(rename("old", "new").ok());
  EXPECT_EQ(*content("new"), "old");
  EXPECT_EQ(*read_at(target, *handle, 0, 10), "new") << "the replaced file is still open";
  EXPECT_EQ(fs_->get_attributes(target)->st_nlink, 0U);
  fs_->release(target, *handle);

  make_directory(kRootNode, "empty");
  const NodeId full = make_directory(kRootNode, "full");
  make_file(full, "file");
  EXPECT_EQ(errno_of(rename("new", "empty")), EISDIR);
  EXPECT_EQ(errno_of(rename("empty", "new")), ENOTDIR);
  EXPECT_EQ(errno_of(rename("empty", "full")), ENOTEMPTY);
  ASSERT_TRUE(rename("full", "empty").ok());
  EXPECT_EQ(names(), (std::vector<std::string>{"empty", "new"}));
  EXPECT_EQ(fs_->lookup(kRootNode, "empty")->node, full);
  EXPECT_EQ(names(full), std::vector<std::string>{"file"});
}

TEST_F(FileSystemEntries, ARenameThatFailsLeavesTheFileUnderOneOfItsNames) {
  const std::string other_long_name(255, 'M');
  make_file(long_name_, "text");
  make_file(other_long_name, "replaced");
  for (int call = 0;; ++call) {
    ASSERT_LT(call, 20);
    disk_.fail_change(call, EIO);
    const auto renamed = rename(long_name_, other_long_name);
    const bool failed = disk_.has_failed();
    disk_.fail_change(1 << 30, 0);
    remount();
    const bool moved = !entry_of(long_name_).ok();
    EXPECT_EQ(*content(moved ? other_long_name : long_name_), "text") << call;
    if (!moved) {
      EXPECT_FALSE(renamed.ok());
      EXPECT_EQ(*content(other_long_name), "replaced") << call;
    }
    if (!failed || moved) break;
  }
}

TEST_F(FileSystemEntries, ADirectoryRenamedOverAnotherIsNeverLost) {
  for (int call = 0;; ++call) {
    ASSERT_LT(call, 30);
    make_file(make_directory(kRootNode, "from"), "file", "text");
    make_directory(kRootNode, "to");
    disk_.fail_change(call, EIO);
    const auto renamed = rename("from", "to");
    const bool failed = disk_.has_failed();
    disk_.fail_change(1 << 30, 0);
    remount();
    const bool moved = entry_of("to/file").ok();
    EXPECT_EQ(*content(moved ? "to/file" : "from/file"), "text") << call;
    EXPECT_TRUE(moved || !renamed.ok());
    ASSERT_TRUE(fs_->unlink(node_of(moved ? "to" : "from"), "file").ok());
    for (const auto& name : names()) ASSERT_TRUE(fs_->remove_directory(kRootNode, name).ok()) << name;
    if (!failed) break;
  }
}

TEST_F(FileSystemEntries, NoReplaceAndExchangeKeepTheirWord) {
  const NodeId one = make_file(long_name_, "one");
  const NodeId two = make_directory(kRootNode, "two");
  EXPECT_EQ(errno_of(rename(long_name_, "two", RENAME_NOREPLACE)), EEXIST);
  EXPECT_EQ(errno_of(rename(long_name_, "three", RENAME_EXCHANGE)), ENOENT);
  EXPECT_EQ(errno_of(rename(long_name_, "two", RENAME_NOREPLACE | RENAME_EXCHANGE)), EINVAL);
  ASSERT_TRUE(rename(long_name_, "two", RENAME_EXCHANGE).ok());
  EXPECT_EQ(fs_->lookup(kRootNode, "two")->node, one);
  EXPECT_EQ(fs_->lookup(kRootNode, long_name_)->node, two);
  EXPECT_EQ(*content(one), "one");
  make_file(two, "inside", "text");
  ASSERT_TRUE(rename("two", "three", RENAME_NOREPLACE).ok());
  remount();
  EXPECT_EQ(*content("three"), "one");
  EXPECT_EQ(*content(long_name_ + "/inside"), "text");
}

TEST_F(FileSystemEntries, TwoNamesAreOneInode) {
  const NodeId file = make_file("first", "text");
  auto linked = fs_->make_link(file, kRootNode, long_name_, caller_);
  ASSERT_TRUE(linked.ok());
  EXPECT_EQ(linked->node, file);
  EXPECT_EQ(linked->attributes.st_nlink, 2U);
  EXPECT_EQ(fs_->lookup(kRootNode, long_name_)->node, file);
  ASSERT_TRUE(rename("first", long_name_).ok()) << "two names of one file: nothing happens";
  EXPECT_EQ(names().size(), 2U);
  ASSERT_TRUE(fs_->unlink(kRootNode, "first").ok());
  EXPECT_EQ(*content(long_name_), "text");
  EXPECT_EQ(fs_->get_attributes(file)->st_nlink, 1U);
  const NodeId directory = make_directory(kRootNode, "directory");
  EXPECT_EQ(errno_of(fs_->make_link(directory, kRootNode, "hard", caller_)), EPERM);
  EXPECT_EQ(errno_of(fs_->make_link(file, kRootNode, long_name_, caller_)), EEXIST);
}

TEST_F(FileSystemEntries, SymlinksSayTheSizeOfTheirPlainTarget) {
  for (const std::size_t size : {1UL, 10UL, 200UL, 3031UL}) {
    const std::string target = pattern(size);
    auto made = fs_->make_symlink(kRootNode, "link" + std::to_string(size), target, caller_);
    ASSERT_TRUE(made.ok()) << size;
    EXPECT_EQ(made->attributes.st_size, static_cast<off_t>(size));
    EXPECT_EQ(*fs_->read_link(made->node), target);
  }
  EXPECT_EQ(errno_of(fs_->make_symlink(kRootNode, "too long", pattern(3032), caller_)), ENAMETOOLONG);
  EXPECT_EQ(errno_of(fs_->read_link(make_file("file"))), EINVAL);
}

TEST_F(FileSystemEntries, FifosAndSocketsAreMade) {
  auto fifo = fs_->make_node(kRootNode, "fifo", S_IFIFO | 0600, 0, caller_);
  ASSERT_TRUE(fifo.ok());
  EXPECT_TRUE(S_ISFIFO(fifo->attributes.st_mode));
  EXPECT_EQ(errno_of(open(fifo->node)), EINVAL);
  auto socket = fs_->make_node(kRootNode, "socket", S_IFSOCK | 0600, 0, caller_);
  ASSERT_TRUE(socket.ok());
  auto file = fs_->make_node(kRootNode, "file", S_IFREG | 0640, 0, caller_);
  ASSERT_TRUE(file.ok());
  EXPECT_EQ(file->attributes.st_mode & 07777, 0640U);
  EXPECT_EQ(*content("file"), "");
  EXPECT_EQ(list(kRootNode)["fifo"], static_cast<mode_t>(S_IFIFO));
}

TEST_F(FileSystemEntries, AnUnnamedFileCanBeGivenAName) {
  auto made = fs_->create_unnamed(kRootNode, 0600, O_RDWR, caller_);
  if (!made && errno_of(made) == EOPNOTSUPP) GTEST_SKIP() << "no O_TMPFILE below";
  ASSERT_TRUE(made.ok());
  EXPECT_EQ(made->entry.attributes.st_nlink, 0U);
  ASSERT_TRUE(write_at(made->entry.node, made->handle, 0, "text").ok());
  EXPECT_TRUE(names().empty());
  ASSERT_TRUE(fs_->make_link(made->entry.node, kRootNode, "named", caller_).ok());
  fs_->release(made->entry.node, made->handle);
  EXPECT_EQ(fs_->lookup(kRootNode, "named")->node, made->entry.node);
  EXPECT_EQ(*content("named"), "text");
}

TEST_F(FileSystemEntries, ListingsShowDotsAndTypesAndNothingOfOurs) {
  make_directory(kRootNode, "directory");
  make_file(long_name_);
  ASSERT_TRUE(fs_->make_symlink(kRootNode, "link", "x", caller_).ok());
  const std::map<std::string, mode_t> expected{
      {".", S_IFDIR}, {"..", S_IFDIR}, {"directory", S_IFDIR}, {long_name_, S_IFREG}, {"link", S_IFLNK}};
  EXPECT_EQ(list(kRootNode), expected);
}

TEST_F(FileSystemEntries, OffsetsStayGoodWhileEntriesComeAndGo) {
  for (int i = 0; i < 100; ++i) make_file("file" + std::to_string(i));
  auto handle = fs_->open_directory(kRootNode);
  ASSERT_TRUE(handle.ok());
  std::multiset<std::string> seen;
  std::uint64_t offset = 0;
  for (int round = 0; round < 200; ++round) {
    int room = 3;
    std::uint64_t next = offset;
    ASSERT_TRUE(fs_->read_directory(kRootNode, *handle, offset, true,
                                    [&](const DirectoryEntry& entry) {
                                      if (room-- == 0) return false;
                                      seen.insert(std::string(entry.name));
                                      next = entry.next;
                                      return true;
                                    })
                    .ok());
    if (next == offset) break;
    offset = next;
    make_file("new" + std::to_string(round));
    if (round == 5) {
      ASSERT_TRUE(fs_->unlink(kRootNode, "file99").ok());
    }
  }
  fs_->release_directory(kRootNode, *handle);
  for (int i = 0; i < 99; ++i) EXPECT_EQ(seen.count("file" + std::to_string(i)), 1U) << i;
  EXPECT_EQ(seen.count("."), 1U);
}

TEST_F(FileSystemEntries, ReadingWithPlusCountsALookupPerEntryThatWasTaken) {
  const NodeId file = make_file("file", "text");
  fs_->forget(file, 1);
  EXPECT_EQ(fs_->figures().nodes, 1U);
  auto handle = fs_->open_directory(kRootNode);
  NodeId seen = 0;
  for (const bool take : {false, true}) {
    ASSERT_TRUE(fs_->read_directory(kRootNode, *handle, 2, true,
                                    [&](const DirectoryEntry& entry) {
                                      EXPECT_EQ(entry.entry->attributes.st_size, 4);
                                      seen = entry.entry->node;
                                      return take;
                                    })
                    .ok());
    EXPECT_EQ(fs_->figures().nodes, take ? 2U : 1U);
  }
  EXPECT_NE(seen, file) << "an id that was forgotten is not used again";
  fs_->release_directory(kRootNode, *handle);
}

TEST_F(FileSystemEntries, ALargeDirectoryIsListedAndRemoved) {
  constexpr int kCount = 100000;
  const NodeId directory = make_directory(kRootNode, "large");
  for (int i = 0; i < kCount; ++i) {
    auto made = fs_->make_symlink(directory, "entry" + std::to_string(i), "x", caller_);
    ASSERT_TRUE(made.ok());
    fs_->forget(made->node, 1);
  }
  EXPECT_EQ(fs_->figures().nodes, 2U);
  const auto listed = list(directory);
  EXPECT_EQ(listed.size(), kCount + 2U);
  for (const auto& [name, type] : listed) {
    if (name[0] != '.') {
      ASSERT_TRUE(fs_->unlink(directory, name).ok());
    }
  }
  EXPECT_TRUE(fs_->remove_directory(kRootNode, "large").ok());
}

TEST_F(FileSystemEntries, ADeepTreeIsWalkedWithFewDescriptors) {
  options_.descriptor_budget = 8;
  remount();
  NodeId at = kRootNode;
  std::vector<NodeId> all;
  for (int depth = 0; depth < 200; ++depth) all.push_back(at = make_directory(at, "directory"));
  make_file(at, "file", "deep");
  EXPECT_LE(fs_->figures().descriptors, 8U);
  for (const NodeId node : all) EXPECT_EQ(names(node).size(), 1U);
  EXPECT_EQ(*content(fs_->lookup(at, "file")->node), "deep");
  // With half of the way renamed, places still lead to where things are.
  ASSERT_TRUE(fs_->rename(all[98], "directory", kRootNode, "half", 0).ok());
  EXPECT_EQ(*content(fs_->lookup(at, "file")->node), "deep");
  EXPECT_LE(fs_->figures().descriptors, 8U);
}

TEST_F(FileSystemEntries, ColdNodesAreExpiredWhenThereAreTooMany) {
  options_.node_budget = 50;
  remount();
  std::set<std::string> expired;
  fs_->set_notifier({{}, [&](NodeId parent, const std::string& name) {
                       EXPECT_EQ(parent, kRootNode);
                       expired.insert(name);
                       fs_->forget(fs_->lookup(parent, name)->node, 2);  // as the kernel would
                     }});
  for (int i = 0; i < 200; ++i) make_file("file" + std::to_string(i));
  const NodeId open_one = node_of("file0");
  auto handle = open(open_one);
  EXPECT_GT(fs_->figures().nodes, 200U);
  fs_->maintain();
  for (int wait = 0; wait < 1000 && fs_->figures().nodes > 50; ++wait) ::usleep(10000);
  EXPECT_LE(fs_->figures().nodes, 50U);
  EXPECT_EQ(expired.count("file0"), 0U) << "an open file was taken from the kernel";
  fs_->release(open_one, *handle);
  EXPECT_EQ(*content("file150"), "");
  fs_->shut_down();
}

TEST_F(FileSystemEntries, AReadOnlyMountChangesNothing) {
  const NodeId before = make_file("file", "text");
  (void)before;
  options_.read_only = true;
  remount();
  const NodeId file = node_of("file");
  EXPECT_EQ(*content("file"), "text");
  EXPECT_EQ(errno_of(create(kRootNode, "other")), EROFS);
  EXPECT_EQ(errno_of(open(file, O_RDWR)), EROFS);
  EXPECT_EQ(errno_of(open(file, O_RDONLY | O_TRUNC)), EROFS);
  EXPECT_EQ(errno_of(fs_->make_directory(kRootNode, "d", 0755, caller_)), EROFS);
  EXPECT_EQ(errno_of(fs_->make_symlink(kRootNode, "l", "t", caller_)), EROFS);
  EXPECT_EQ(errno_of(fs_->make_link(file, kRootNode, "h", caller_)), EROFS);
  EXPECT_EQ(errno_of(fs_->unlink(kRootNode, "file")), EROFS);
  EXPECT_EQ(errno_of(rename("file", "other")), EROFS);
  AttributeChange change;
  change.mode = 0600;
  EXPECT_EQ(errno_of(fs_->set_attributes(file, change, caller_)), EROFS);
  EXPECT_EQ(errno_of(fs_->set_xattr(file, "user.a", as_bytes("v"), 0)), EROFS);
}

}  // namespace
}  // namespace kmsfs
