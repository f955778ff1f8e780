// Content and attributes: sizes, times, modes, holes, xattrs, several handles and threads.
#include <linux/falloc.h>
#include <sys/xattr.h>

#include <algorithm>
#include <atomic>
#include <thread>

#include "tests/fs/file_system_fixture.h"

namespace kmsfs {
namespace {

class FileSystemContent : public FileSystemTest {
 protected:
  Result<struct stat> resize(NodeId node, std::uint64_t size, bool kill = false) {
    AttributeChange change;
    change.size = size;
    change.kill_privileges = kill;
    return fs_->set_attributes(node, change, caller_);
  }
  Result<struct stat> change_mode(NodeId node, mode_t mode) {
    AttributeChange change;
    change.mode = mode;
    return fs_->set_attributes(node, change, caller_);
  }
  mode_t mode_of(NodeId node) { return fs_->get_attributes(node)->st_mode & 07777; }
};

TEST_F(FileSystemContent, HandlesOfOneFileSeeEachOthersWrites) {
  auto created = create(kRootNode, "file");
  ASSERT_TRUE(created.ok());
  const NodeId node = created->entry.node;
  auto second = open(node, O_RDWR);
  ASSERT_TRUE(second.ok());
  ASSERT_TRUE(write_at(node, created->handle, 0, "hello").ok());
  EXPECT_EQ(*read_at(node, *second, 0, 10), "hello");
  ASSERT_TRUE(write_at(node, *second, 5, " world").ok());
  EXPECT_EQ(*read_at(node, created->handle, 0, 100), "hello world");
  auto third = open(node, O_RDWR | O_TRUNC);
  ASSERT_TRUE(third.ok());
  EXPECT_EQ(*read_at(node, created->handle, 0, 100), "");
  EXPECT_EQ(fs_->get_attributes(node)->st_size, 0);
  for (const HandleId handle : {created->handle, *second, *third}) fs_->release(node, handle);
  EXPECT_EQ(fs_->figures().open_files, 0U);
  EXPECT_EQ(errno_of(read_at(node, *third, 0, 10)), EBADF);
}

TEST_F(FileSystemContent, AReaderIsJoinedByAWriter) {
  const NodeId node = make_file("file", "text");
  auto reader = open(node, O_RDONLY);
  EXPECT_EQ(errno_of(write_at(node, *reader, 0, "x")), EBADF) << "nobody has it open for writing";
  auto writer = open(node, O_WRONLY);
  ASSERT_TRUE(writer.ok());
  ASSERT_TRUE(write_at(node, *writer, 4, "ures").ok());
  EXPECT_EQ(*read_at(node, *reader, 0, 100), "textures");
  fs_->release(node, *writer);
  fs_->release(node, *reader);
  remount();
  EXPECT_EQ(*content("file"), "textures");
}

TEST_F(FileSystemContent, AnUnlinkedOpenFileLivesUntilItIsClosed) {
  const NodeId node = make_file("file", "text");
  auto handle = open(node, O_RDWR);
  ASSERT_TRUE(handle.ok());
  ASSERT_TRUE(fs_->unlink(kRootNode, "file").ok());
  const NodeId other = make_file("file", "another");
  EXPECT_NE(other, node);
  ASSERT_TRUE(write_at(node, *handle, 4, " goes on").ok());
  EXPECT_EQ(*read_at(node, *handle, 0, 100), "text goes on");
  EXPECT_EQ(fs_->get_attributes(node)->st_nlink, 0U);
  ASSERT_TRUE(resize(node, 2).ok());
  ASSERT_TRUE(fs_->sync(node, *handle, false).ok());
  auto again = open(node);
  ASSERT_TRUE(again.ok()) << "as through /proc/PID/fd";
  EXPECT_EQ(*read_at(node, *again, 0, 100), "te");
  fs_->release(node, *again);
  fs_->release(node, *handle);
  EXPECT_EQ(*content("file"), "another");
}

TEST_F(FileSystemContent, TruncatingOpenAndClosedFilesUpAndDown) {
  const std::string text = pattern(10000);
  const NodeId node = make_file("file", text);
  for (const std::size_t size : {9000UL, 3032UL, 3033UL, 12000UL, 0UL, 5000UL}) {
    auto attributes = resize(node, size);
    ASSERT_TRUE(attributes.ok());
    EXPECT_EQ(attributes->st_size, static_cast<off_t>(size));
    EXPECT_EQ(content(node)->size(), size);
  }
  EXPECT_EQ(*content(node), std::string(5000, '\0'));
  EXPECT_EQ(errno_of(resize(make_directory(kRootNode, "directory"), 1)), EISDIR);
}

TEST_F(FileSystemContent, TruncatingToTheSameSizeStillChangesTheTime) {
  const NodeId node = make_file("file", "text");
  AttributeChange past;
  past.modification_time = timespec{1000, 5};
  ASSERT_TRUE(fs_->set_attributes(node, past, caller_).ok());
  EXPECT_GT(resize(node, 4)->st_mtim.tv_sec, 1000);
}

TEST_F(FileSystemContent, TimesHaveNanosecondsAndSurviveTheLastClose) {
  auto created = create(kRootNode, "file");
  ASSERT_TRUE(created.ok());
  const NodeId node = created->entry.node;
  ASSERT_TRUE(write_at(node, created->handle, 0, pattern(5000)).ok());
  AttributeChange change;
  change.access_time = timespec{1111, 222333444};
  change.modification_time = timespec{1234567890, 123456789};
  ASSERT_TRUE(fs_->set_attributes(node, change, caller_).ok());
  ASSERT_TRUE(fs_->sync(node, created->handle, false).ok());
  fs_->release(node, created->handle);
  auto attributes = fs_->get_attributes(node);
  EXPECT_EQ(attributes->st_mtim.tv_sec, 1234567890);
  EXPECT_EQ(attributes->st_mtim.tv_nsec, 123456789);
  EXPECT_EQ(attributes->st_atim.tv_nsec, 222333444);
  AttributeChange now;
  now.access_time = timespec{0, UTIME_NOW};
  attributes = fs_->set_attributes(node, now, caller_);
  EXPECT_GT(attributes->st_atim.tv_sec, 1600000000);
  EXPECT_EQ(attributes->st_mtim.tv_sec, 1234567890);
}

TEST_F(FileSystemContent, BirthTimesAndStatfsComeFromBelow) {
  const NodeId node = make_file("file");
  auto born = fs_->birth_time(node);
  ASSERT_TRUE(born.ok());
  if (*born) {
    EXPECT_GT((*born)->tv_sec, 1600000000);
  }
  EXPECT_EQ(fs_->stat_file_system()->f_namemax, 255U);
  EXPECT_EQ(*fs_->find_node(fs_->get_attributes(node)->st_ino), node);
  EXPECT_EQ(errno_of(fs_->find_node(1)), ENOENT);
}

TEST_F(FileSystemContent, WritingTruncatingAndGivingAwayClearsSetIdBits) {
  const NodeId node = make_file("file", "text");
  auto handle = open(node, O_RDWR);
  const auto with_set_ids = [&] { ASSERT_TRUE(change_mode(node, 06775).ok()); };
  with_set_ids();
  ASSERT_TRUE(fs_->write(node, *handle, 0, as_bytes("x"), &caller_).ok());
  EXPECT_EQ(mode_of(node), 0775U);
  with_set_ids();
  ASSERT_TRUE(fs_->write(node, *handle, 0, as_bytes("x")).ok());
  if (::geteuid() == 0) {
    EXPECT_EQ(mode_of(node), 06775U) << "the caller had CAP_FSETID";
  }
  with_set_ids();
  ASSERT_TRUE(resize(node, 2, true).ok());
  EXPECT_EQ(mode_of(node), 0775U);
  with_set_ids();
  ASSERT_TRUE(fs_->allocate(node, *handle, 0, 0, 100, &caller_).ok());
  EXPECT_EQ(mode_of(node), 0775U);
  with_set_ids();
  auto truncated = fs_->open(node, O_WRONLY | O_TRUNC, &caller_);
  ASSERT_TRUE(truncated.ok());
  EXPECT_EQ(mode_of(node), 0775U);
  fs_->release(node, *truncated);
  ASSERT_TRUE(change_mode(node, 02664).ok());
  ASSERT_TRUE(fs_->write(node, *handle, 0, as_bytes("x"), &caller_).ok());
  EXPECT_EQ(mode_of(node), 02664U) << "without group execution it is no privilege";
  with_set_ids();
  AttributeChange owner;
  owner.uid = ::geteuid();
  ASSERT_TRUE(fs_->set_attributes(node, owner, caller_).ok());
  EXPECT_EQ(mode_of(node), 0775U);
  fs_->release(node, *handle);
}

TEST_F(FileSystemContent, AHolePunchedPastTheEndCountsAsAChange) {
  const NodeId node = make_file("file", "text");
  AttributeChange old;
  old.modification_time = timespec{1000, 0};
  for (const int mode : {FALLOC_FL_PUNCH_HOLE, FALLOC_FL_ZERO_RANGE}) {
    auto handle = open(node, O_RDWR);
    ASSERT_TRUE(fs_->set_attributes(node, old, caller_).ok());
    ASSERT_TRUE(fs_->allocate(node, *handle, mode | FALLOC_FL_KEEP_SIZE, 50000, 100).ok());
    EXPECT_GT(fs_->get_attributes(node)->st_mtim.tv_sec, 1000);
    fs_->release(node, *handle);
  }
}

TEST_F(FileSystemContent, HolesAndAllocationBehaveAsFallocateSays) {
  auto created = create(kRootNode, "file");
  const NodeId node = created->entry.node;
  const HandleId handle = created->handle;
  ASSERT_TRUE(write_at(node, handle, 0, pattern(20000)).ok());
  ASSERT_TRUE(fs_->allocate(node, handle, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 5000, 10000).ok());
  const auto text = *read_at(node, handle, 0, 30000);
  EXPECT_EQ(text.size(), 20000U);
  EXPECT_EQ(text.substr(5000, 10000), std::string(10000, '\0'));
  EXPECT_EQ(text.substr(15000), pattern(20000).substr(15000));
  ASSERT_TRUE(fs_->allocate(node, handle, FALLOC_FL_ZERO_RANGE, 19000, 3000).ok());
  EXPECT_EQ(fs_->get_attributes(node)->st_size, 22000);
  ASSERT_TRUE(fs_->allocate(node, handle, 0, 0, 30000).ok());
  EXPECT_EQ(fs_->get_attributes(node)->st_size, 30000);
  ASSERT_TRUE(fs_->allocate(node, handle, FALLOC_FL_KEEP_SIZE, 0, 40000).ok());
  EXPECT_EQ(fs_->get_attributes(node)->st_size, 30000);
  EXPECT_EQ(errno_of(fs_->allocate(node, handle, FALLOC_FL_COLLAPSE_RANGE, 0, 4096)), EOPNOTSUPP);
  EXPECT_EQ(errno_of(fs_->allocate(node, handle, 0, 0, 0)), EINVAL);
  ASSERT_TRUE(resize(node, 1ULL << 40).ok());
  EXPECT_EQ(*read_at(node, handle, (1ULL << 40) - 4, 100), std::string(4, '\0'));
  EXPECT_LT(fs_->get_attributes(node)->st_blocks, 1000);
  const auto hole = fs_->seek(node, handle, 0, SEEK_HOLE);
  ASSERT_TRUE(hole.ok());
  EXPECT_LT(*hole, 1ULL << 40);
  EXPECT_EQ(errno_of(fs_->seek(node, handle, 1ULL << 40, SEEK_DATA)), ENXIO);
  fs_->release(node, handle);
}

TEST_F(FileSystemContent, RangesAreCopiedBetweenFilesAndWithinOne) {
  const std::string text = pattern(700000);
  const NodeId from = make_file("from", text);
  auto to = create(kRootNode, "to");
  auto reader = open(from);
  EXPECT_EQ(*fs_->copy_range(from, *reader, 100, to->entry.node, to->handle, 50, 600000), 600000U);
  EXPECT_EQ(*read_at(to->entry.node, to->handle, 50, 700000), text.substr(100, 600000));
  EXPECT_EQ(*fs_->copy_range(from, *reader, 699990, to->entry.node, to->handle, 0, 100), 10U);
  EXPECT_EQ(*fs_->copy_range(from, *reader, 800000, to->entry.node, to->handle, 0, 100), 0U);
  EXPECT_EQ(errno_of(fs_->copy_range(to->entry.node, to->handle, 0, to->entry.node, to->handle, 10, 100)),
            EINVAL);
  EXPECT_EQ(*fs_->copy_range(to->entry.node, to->handle, 0, to->entry.node, to->handle, 700000, 50), 50U);
  fs_->release(from, *reader);
  fs_->release(to->entry.node, to->handle);
}

TEST_F(FileSystemContent, XattrsAreEncryptedAndFollowXattr7) {
  make_file("file");
  make_directory(kRootNode, "directory");
  for (const char* name : {"file", "directory"}) {
    const NodeId node = node_of(name);
    const auto value = as_bytes("attribute value");
    EXPECT_EQ(errno_of(fs_->get_xattr(node, "user.name")), ENODATA);
    const auto set = fs_->set_xattr(node, "user.name", value, 0);
    if (errno_of(set) == EOPNOTSUPP) GTEST_SKIP() << "no xattrs below";
    ASSERT_TRUE(set.ok()) << set.error().text;
    EXPECT_EQ(as_text(*fs_->get_xattr(node, "user.name")), "attribute value");
    EXPECT_EQ(*fs_->list_xattr(node), std::vector<std::string>{"user.name"});
    EXPECT_EQ(errno_of(fs_->set_xattr(node, "user.name", value, XATTR_CREATE)), EEXIST);
    EXPECT_EQ(errno_of(fs_->set_xattr(node, "user.other", value, XATTR_REPLACE)), ENODATA);
    EXPECT_EQ(errno_of(fs_->set_xattr(node, "user.", value, 0)), EINVAL);
    EXPECT_EQ(errno_of(fs_->set_xattr(node, "strange.name", value, 0)), EOPNOTSUPP);
    EXPECT_EQ(errno_of(fs_->set_xattr(node, "user." + std::string(251, 'x'), value, 0)), ERANGE);
    EXPECT_EQ(errno_of(fs_->set_xattr(node, "user.big", Bytes(65537), 0)), E2BIG);
    EXPECT_EQ(errno_of(fs_->remove_xattr(node, "user.other")), ENODATA);
    remount();
  }
  const NodeId again = node_of("file");
  const auto raw = disk_.list_xattr(UniqueFd(::open(stored(again).c_str(), O_PATH)).get());
  for (const auto& name : *raw) EXPECT_EQ(name.find("name"), std::string::npos);
  EXPECT_EQ(as_text(*fs_->get_xattr(again, "user.name")), "attribute value");
  ASSERT_TRUE(fs_->remove_xattr(again, "user.name").ok());
  EXPECT_TRUE(fs_->list_xattr(again)->empty());
  EXPECT_EQ(errno_of(fs_->get_xattr(again, "user.name")), ENODATA);
  ASSERT_TRUE(fs_->set_xattr(again, "user.name", as_bytes("new"), 0).ok());
  EXPECT_EQ(as_text(*fs_->get_xattr(again, "user.name")), "new");
  const NodeId fifo = fs_->make_node(kRootNode, "fifo", S_IFIFO | 0600, 0, caller_)->node;
  EXPECT_EQ(errno_of(fs_->set_xattr(fifo, "user.name", as_bytes("v"), 0)), EPERM);
  EXPECT_EQ(errno_of(fs_->get_xattr(fifo, "user.name")), ENODATA);
}

TEST_F(FileSystemContent, NoSpaceBelowLosesNothingThatWasWritten) {
  const std::string text = pattern(9000);
  const NodeId node = make_file("file", text);
  auto handle = open(node, O_RDWR);
  for (int call = 0; call < 8; ++call) {
    disk_.fail_change(call, ENOSPC);
    const auto put = write_at(node, *handle, 5000, pattern(20000, 7));
    const bool failed = disk_.has_failed();
    disk_.fail_change(1 << 30, 0);
    if (!failed) break;
    EXPECT_EQ(errno_of(put), ENOSPC);
    EXPECT_EQ(fs_->get_attributes(node)->st_size, 9000);
    EXPECT_EQ(read_at(node, *handle, 0, 5000)->substr(0, 5000), text.substr(0, 5000));
  }
  fs_->release(node, *handle);
  for (int call = 0; call < 3; ++call) {
    disk_.fail_change(call, ENOSPC);
    const auto made = create(kRootNode, "new");
    const bool failed = disk_.has_failed();
    disk_.fail_change(1 << 30, 0);
    if (!failed) break;
    EXPECT_EQ(errno_of(made), ENOSPC);
    EXPECT_EQ(names(), std::vector<std::string>{"file"});
  }
}

TEST_F(FileSystemContent, AFileThatCouldNotBeMarkedCleanIsCountedAndWhole) {
  auto created = create(kRootNode, "file");
  ASSERT_TRUE(write_at(created->entry.node, created->handle, 0, pattern(5000)).ok());
  disk_.fail_change(0, EIO);
  fs_->release(created->entry.node, created->handle);
  disk_.fail_change(1 << 30, 0);
  EXPECT_EQ(fs_->figures().not_marked_clean, 1U);
  EXPECT_EQ(*content("file"), pattern(5000));
}

TEST_F(FileSystemContent, InformationNamesIdKeyAndState) {
  const NodeId node = make_file("file", pattern(5000));
  const auto information = fs_->information(node);
  ASSERT_TRUE(information.ok());
  EXPECT_EQ(information->key_arn, key_);
  EXPECT_EQ(information->plain_size, 5000U);
  EXPECT_EQ(information->backing_size, volume_->geometry().backing_size(5000));
  EXPECT_TRUE(information->clean);
  EXPECT_EQ(information->stored_name, stored(node).filename().string());
}

TEST_F(FileSystemContent, ThreadsOnOneFileAndOnManyNeverSeeTornBlocks) {
  constexpr int kThreads = 4, kRounds = 300;
  constexpr std::size_t kRecord = 6000;
  auto shared = create(kRootNode, "shared");
  ASSERT_TRUE(shared.ok());
  const NodeId node = shared->entry.node;
  for (int i = 0; i < kThreads; ++i) {
    ASSERT_TRUE(write_at(node, shared->handle, i * kRecord, std::string(kRecord, 'A')).ok());
  }
  std::atomic<int> wrong{0};
  std::vector<std::thread> threads;
  for (int id = 0; id < kThreads; ++id) {
    threads.emplace_back([&, id] {
      for (int round = 0; round < kRounds; ++round) {
        const std::string record(kRecord, static_cast<char>('a' + round % 26));
        if (!write_at(node, shared->handle, id * kRecord, record)) ++wrong;
        auto seen = read_at(node, shared->handle, (id + 1) % kThreads * kRecord, kRecord);
        if (!seen || seen->find_first_not_of((*seen)[0]) != std::string::npos) ++wrong;
        const std::string name = "own" + std::to_string(id);
        auto own = create(kRootNode, name);
        if (!own) {
          ++wrong;
          continue;
        }
        if (!write_at(own->entry.node, own->handle, 0, record)) ++wrong;
        fs_->release(own->entry.node, own->handle);
        auto again = open(own->entry.node);
        if (!again || *read_at(own->entry.node, *again, 0, kRecord) != record) ++wrong;
        if (!fs_->rename(kRootNode, name, kRootNode, name + "x", 0)) ++wrong;
        if (again) fs_->release(own->entry.node, *again);
        if (fs_->get_attributes(own->entry.node)->st_size != static_cast<off_t>(kRecord)) ++wrong;
        if (!fs_->unlink(kRootNode, name + "x")) ++wrong;
        fs_->forget(own->entry.node, 1);
      }
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(wrong, 0);
  fs_->release(node, shared->handle);
  EXPECT_EQ(fs_->figures().nodes, 2U);
  EXPECT_EQ(names(), std::vector<std::string>{"shared"});
}

TEST_F(FileSystemContent, ThreadsThatOpenAndCloseOneFileAgreeOnIt) {
  const NodeId node = make_file("file", pattern(4000));
  std::atomic<int> wrong{0};
  std::vector<std::thread> threads;
  for (int id = 0; id < 4; ++id) {
    threads.emplace_back([&, id] {
      for (int round = 0; round < 200; ++round) {
        auto handle = open(node, id % 2 == 0 ? O_RDONLY : O_RDWR);
        if (!handle) {
          ++wrong;
          continue;
        }
        if (id % 2 == 1 && !write_at(node, *handle, static_cast<std::uint64_t>(round), "x")) ++wrong;
        if (read_at(node, *handle, 0, 5000)->size() != 4000) ++wrong;
        fs_->release(node, *handle);
      }
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(wrong, 0);
  EXPECT_EQ(fs_->figures().open_files, 0U);
  remount();
  EXPECT_EQ(content("file")->size(), 4000U);
}

TEST_F(FileSystemContent, DirectoriesRenamedUnderWorkingThreadsAreStillFound) {
  const NodeId a = make_directory(kRootNode, "a");
  const NodeId inner = make_directory(a, "inner");
  const NodeId file = make_file(inner, "file", "text");
  std::atomic<bool> done{false};
  std::atomic<int> wrong{0};
  std::thread mover([&] {
    for (int round = 0; round < 300; ++round) {
      if (!fs_->rename(kRootNode, "a", kRootNode, "b", 0) || !fs_->rename(kRootNode, "b", kRootNode, "a", 0))
        ++wrong;
      if (!fs_->rename(a, "inner", kRootNode, "inner", 0) || !fs_->rename(kRootNode, "inner", a, "inner", 0))
        ++wrong;
    }
    done = true;
  });
  while (!done) {
    if (!fs_->get_attributes(file)) ++wrong;
    auto text = content(file);
    if (!text || *text != "text") ++wrong;
    if (!fs_->lookup(inner, "file")) ++wrong;
  }
  mover.join();
  EXPECT_EQ(wrong, 0);
}

}  // namespace
}  // namespace kmsfs
