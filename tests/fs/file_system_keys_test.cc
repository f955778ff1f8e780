// Keys: when the KMS is asked, and what an open file does when its key may not be used any more.
#include <chrono>
#include <thread>

#include "tests/fs/file_system_fixture.h"

namespace kmsfs {
namespace {

using std::chrono::seconds;

class FileSystemKeys : public FileSystemTest {
 protected:
  FileSystemKeys() { text_ = pattern(9000); }
  // As the cache's maintenance does it, after a second in which it may ask again.
  void probe() {
    clock_.advance(seconds(31));
    keys_->maintain();
    fs_->maintain();
  }
  std::string text_;
};

TEST_F(FileSystemKeys, OnlyCreateAndTheFirstOpenAskTheKms) {
  const NodeId directory = make_directory(kRootNode, "directory");
  const auto start = kms_calls();
  const NodeId file = make_file(directory, "file", text_);
  EXPECT_EQ(kms_calls(), start + 1) << "create: one GenerateDataKey";
  remount();
  const auto before = kms_calls();
  const NodeId again = node_of("directory/file");
  ASSERT_TRUE(fs_->get_attributes(again).ok());
  names(node_of("directory"));
  AttributeChange change;
  change.mode = 0600;
  change.modification_time = timespec{1, 2};
  ASSERT_TRUE(fs_->set_attributes(again, change, caller_).ok());
  (void)fs_->set_xattr(again, "user.name", as_bytes("value"), 0);
  (void)fs_->get_xattr(again, "user.name");
  ASSERT_TRUE(fs_->rename(node_of("directory"), "file", kRootNode, "moved", 0).ok());
  ASSERT_TRUE(fs_->make_link(again, kRootNode, "second", caller_).ok());
  ASSERT_TRUE(fs_->unlink(kRootNode, "second").ok());
  ASSERT_TRUE(fs_->make_symlink(kRootNode, "link", "target", caller_).ok());
  ASSERT_TRUE(fs_->remove_directory(kRootNode, "directory").ok());
  EXPECT_EQ(kms_calls(), before);
  auto handle = open(again, O_RDWR);
  EXPECT_EQ(kms_calls(), before + 1);
  for (int round = 0; round < 20; ++round) {
    ASSERT_TRUE(write_at(again, *handle, 100, "x").ok());
    ASSERT_TRUE(read_at(again, *handle, 0, 10000).ok());
  }
  auto second = open(again);
  ASSERT_TRUE(fs_->sync(again, *handle, false).ok());
  fs_->release(again, *second);
  fs_->release(again, *handle);
  EXPECT_EQ(content(again)->size(), text_.size());
  EXPECT_EQ(kms_calls(), before + 1) << "the cache knows the key";
  (void)file;
}

TEST_F(FileSystemKeys, HundredOpensFromManyThreadsAskOnce) {
  make_file("file", text_);
  remount();
  const NodeId node = node_of("file");
  const auto before = kms_calls();
  std::vector<std::thread> threads;
  for (int i = 0; i < 10; ++i) {
    threads.emplace_back([&] {
      for (int round = 0; round < 10; ++round) EXPECT_EQ(*content(node), text_);
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(kms_calls(), before + 1);
}

TEST_F(FileSystemKeys, ADisabledKeyStopsOpenFilesWithEKEYREVOKEDAndEnablingHeals) {
  const NodeId node = make_file("file", text_);
  const NodeId other = make_file("other", text_);
  auto handle = open(node, O_RDWR);
  server_.disable(key_);
  EXPECT_EQ(*read_at(node, *handle, 0, 10), text_.substr(0, 10)) << "nobody has heard of it yet";
  probe();
  EXPECT_EQ(errno_of(read_at(node, *handle, 0, 10)), EKEYREVOKED);
  EXPECT_EQ(errno_of(write_at(node, *handle, 0, "x")), EKEYREVOKED);
  EXPECT_EQ(errno_of(open(node)), EKEYREVOKED);
  EXPECT_EQ(errno_of(open(other)), EKEYREVOKED);
  EXPECT_EQ(errno_of(create(kRootNode, "new")), EKEYREVOKED);
  EXPECT_TRUE(fs_->get_attributes(node).ok());
  EXPECT_EQ(names().size(), 2U);
  server_.enable(key_);
  probe();
  EXPECT_EQ(*read_at(node, *handle, 0, 10000), text_);
  ASSERT_TRUE(write_at(node, *handle, 0, "x").ok());
  fs_->release(node, *handle);
  remount();
  EXPECT_EQ(*content("file"), "x" + text_.substr(1));
}

TEST_F(FileSystemKeys, APrincipalThatIsDeniedReadsNothing) {
  const NodeId node = make_file("file", text_);
  auto handle = open(node, O_RDWR);
  server_.deny(kms_.name(), key_);
  probe();
  EXPECT_EQ(errno_of(read_at(node, *handle, 0, 10)), EACCES);
  EXPECT_EQ(errno_of(open(node)), EACCES);
  EXPECT_GT(fs_->figures().denied, 0U);
  server_.allow(kms_.name(), key_);
  probe();
  EXPECT_EQ(*read_at(node, *handle, 0, 10), text_.substr(0, 10));
  fs_->release(node, *handle);
}

TEST_F(FileSystemKeys, AnOutageIsFeltOnlyWhenTheKeysAgeIsOver) {
  const NodeId node = make_file("file", text_);
  auto handle = open(node, O_RDWR);
  server_.set_reachable(false);
  clock_.advance(seconds(100));
  EXPECT_EQ(*read_at(node, *handle, 0, 10), text_.substr(0, 10));
  clock_.advance(seconds(301));
  EXPECT_EQ(errno_of(read_at(node, *handle, 0, 10)), EKEYEXPIRED);
  EXPECT_EQ(errno_of(write_at(node, *handle, 0, "x")), EKEYEXPIRED);
  EXPECT_TRUE(fs_->get_attributes(node).ok());
  server_.set_reachable(true);
  clock_.advance(seconds(2));
  EXPECT_EQ(*read_at(node, *handle, 0, 10), text_.substr(0, 10));
  fs_->release(node, *handle);
}

TEST_F(FileSystemKeys, WhenAnAgeIsOverInAnOutageTheKernelForgetsThePagesToo) {
  const NodeId node = make_file("file", text_);
  auto handle = open(node, O_RDWR);
  std::atomic<int> invalidated{0};
  fs_->set_notifier({[&](NodeId told) {
                       EXPECT_EQ(told, node);
                       ++invalidated;
                     },
                     {}});
  server_.set_reachable(false);
  clock_.advance(seconds(301));
  for (int tick = 0; tick < 3; ++tick) fs_->maintain();
  for (int wait = 0; wait < 1000 && invalidated == 0; ++wait) ::usleep(1000);
  EXPECT_EQ(invalidated, 1);
  EXPECT_EQ(errno_of(read_at(node, *handle, 0, 10)), EKEYEXPIRED);
  server_.set_reachable(true);
  clock_.advance(seconds(2));
  EXPECT_EQ(*read_at(node, *handle, 0, 10), text_.substr(0, 10));
  fs_->release(node, *handle);
}

TEST_F(FileSystemKeys, WhatThePageCacheHeldIsWrittenWithinTheGraceAndNotAfterIt) {
  const NodeId node = make_file("file", text_);
  auto handle = open(node, O_RDWR);
  std::atomic<int> invalidated{0};
  std::atomic<bool> let_go{false};
  fs_->set_notifier({[&](NodeId told) {
                       EXPECT_EQ(told, node);
                       ++invalidated;
                       while (!let_go) ::usleep(1000);
                     },
                     {}});
  keys_->revoke(key_, error(Kind::kDisabled, "disabled"));
  server_.disable(key_);
  const auto write_back = [&](std::string_view text) {
    return fs_->write(node, *handle, 0, as_bytes(text), nullptr, true);
  };
  EXPECT_EQ(errno_of(read_at(node, *handle, 0, 10)), EKEYREVOKED) << "at once";
  EXPECT_EQ(errno_of(write_at(node, *handle, 0, "new")), EKEYREVOKED) << "at once";
  EXPECT_TRUE(write_back("kept").ok());
  clock_.advance(seconds(4));
  fs_->maintain();
  EXPECT_TRUE(write_back("KEPT").ok());
  clock_.advance(seconds(2));
  EXPECT_EQ(errno_of(write_back("late")), EKEYREVOKED);
  fs_->maintain();
  let_go = true;
  while (invalidated == 0) ::usleep(1000);
  server_.enable(key_);
  clock_.advance(seconds(31));
  keys_->maintain();
  EXPECT_EQ(*read_at(node, *handle, 0, 4), "KEPT");
  fs_->release(node, *handle);
  fs_->shut_down();
}

TEST_F(FileSystemKeys, AfterARevocationTheFileIsStillWholeAndClean) {
  auto created = create(kRootNode, "file");
  const NodeId node = created->entry.node;
  ASSERT_TRUE(write_at(node, created->handle, 0, text_).ok());
  keys_->revoke(key_, error(Kind::kDenied, "denied"));
  server_.deny(kms_.name(), key_);
  EXPECT_EQ(errno_of(read_at(node, created->handle, 0, 1)), EACCES);
  fs_->release(node, created->handle);
  server_.allow(kms_.name(), key_);
  remount();
  EXPECT_TRUE(fs_->information(node_of("file"))->clean);
  EXPECT_EQ(*content("file"), text_);
}

TEST_F(FileSystemKeys, AKmsThatHangsHoldsUpOnlyWhoNeedsIt) {
  const NodeId known = make_file("known", text_);
  auto handle = open(known);
  server_.hold_answers();
  std::thread waiting([&] {
    auto made = create(kRootNode, "new");
    EXPECT_TRUE(made.ok());
    if (made) fs_->release(made->entry.node, made->handle);
  });
  server_.wait_for_held(1);
  EXPECT_EQ(*read_at(known, *handle, 0, 10), text_.substr(0, 10));
  EXPECT_EQ(names(), std::vector<std::string>{"known"});
  ASSERT_TRUE(fs_->make_symlink(kRootNode, "link", "x", caller_).ok());
  ASSERT_TRUE(fs_->rename(kRootNode, "link", kRootNode, "moved", 0).ok());
  make_directory(kRootNode, "directory");
  server_.release_answers();
  waiting.join();
  fs_->release(known, *handle);
  EXPECT_EQ(names().size(), 4U);
}

}  // namespace
}  // namespace kmsfs
