// What the first opening of a small file gives to the kernel.
#include <atomic>
#include <fstream>
#include <thread>

#include "tests/fs/file_system_fixture.h"

namespace kmsfs {
namespace {

class FileSystemOpening : public FileSystemTest {
 protected:
  // What open() with these flags gives away; "-" for nothing.
  std::string given(NodeId node, int flags, std::size_t room = 4096) {
    auto handle = open(node, flags);
    EXPECT_TRUE(handle.ok());
    std::string content = "-";
    Bytes buffer(room);
    fs_->opened(node, flags, buffer, [&](ByteView all) { content = as_text(all); });
    if (handle) fs_->release(node, *handle);
    return content;
  }
  NodeId file_of_an_earlier_mount(const std::string& text) {
    make_file("file", text);
    remount();
    return node_of("file");
  }
};

TEST_F(FileSystemOpening, TheFirstToReadASmallFileGivesAllOfItAndNobodyElseDoes) {
  const NodeId node = file_of_an_earlier_mount("text");
  EXPECT_EQ(given(node, O_RDONLY), "text");
  EXPECT_EQ(given(node, O_RDONLY), "-");
}

TEST_F(FileSystemOpening, AFileWithoutRoomOrContentGivesNothing) {
  const NodeId node = file_of_an_earlier_mount(pattern(4097));
  EXPECT_EQ(given(node, O_RDONLY), "-");
  make_file("empty", "");
  make_file("fits", pattern(4096));
  remount();
  EXPECT_EQ(given(node_of("empty"), O_RDONLY), "-");
  EXPECT_EQ(given(node_of("fits"), O_RDONLY), pattern(4096));
}

TEST_F(FileSystemOpening, WhoeverWritesGivesNothingAndNobodyAfterHim) {
  for (const int flags : {O_RDWR, O_WRONLY, O_RDONLY | O_TRUNC}) {
    const NodeId node = file_of_an_earlier_mount("text");
    EXPECT_EQ(given(node, flags), "-");
    EXPECT_EQ(given(node, O_RDONLY), "-");
    ASSERT_TRUE(fs_->unlink(kRootNode, "file").ok());
  }
}

TEST_F(FileSystemOpening, WhatWasJustMadeGivesNothing) {
  const NodeId node = make_file("file", "text");
  EXPECT_EQ(given(node, O_RDONLY), "-") << "the kernel has the pages that the program wrote";
}

TEST_F(FileSystemOpening, DamagedContentIsNotGiven) {
  make_file("file", pattern(3000));
  const auto path = stored(node_of("file"));
  remount();
  {
    std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(2000);  // in block 0, which follows the header in page 0
    file.put('!').put('?').put('!');
  }
  const NodeId node = node_of("file");
  EXPECT_TRUE(given(node, O_RDONLY) == "-");
  EXPECT_EQ(errno_of(content(node)), EIO);
}

TEST_F(FileSystemOpening, WhatWasGivenWhileTheKeyWasWithdrawnIsTakenBack) {
  const NodeId node = file_of_an_earlier_mount("text");
  std::atomic<int> invalidated{0};
  std::atomic<bool> gave{false};
  fs_->set_notifier({[&](NodeId told) {
                       EXPECT_EQ(told, node);
                       if (gave) ++invalidated;
                     },
                     {}});
  auto handle = open(node, O_RDONLY);
  ASSERT_TRUE(handle.ok());
  Bytes buffer(4096);
  fs_->opened(node, O_RDONLY, buffer, [&](ByteView) {
    std::thread elsewhere([&] { keys_->revoke(key_, error(Kind::kDisabled, "disabled")); });
    elsewhere.join();
    // The kernel was told to forget the pages before it gets them.
    ::usleep(1000);
    gave = true;
  });
  for (int wait = 0; wait < 10000 && invalidated == 0; ++wait) ::usleep(1000);
  EXPECT_GE(invalidated, 1);
  EXPECT_EQ(errno_of(read_at(node, *handle, 0, 10)), EKEYREVOKED);
  fs_->release(node, *handle);
  fs_->shut_down();
}

TEST_F(FileSystemOpening, OfManyWhoOpenItTogetherOneGivesBeforeAnyIsAnswered) {
  const NodeId node = file_of_an_earlier_mount("text");
  std::atomic<int> times{0}, answered_before{0};
  std::atomic<bool> done{false};
  std::vector<std::thread> openers;
  for (int i = 0; i < 8; ++i) {
    openers.emplace_back([&] {
      auto handle = fs_->open(node, O_RDONLY);
      ASSERT_TRUE(handle.ok());
      Bytes buffer(4096);
      fs_->opened(node, O_RDONLY, buffer, [&](ByteView) {
        ++times;
        std::this_thread::yield();
        done = true;
      });
      if (!done) ++answered_before;
      fs_->release(node, *handle);
    });
  }
  for (std::thread& opener : openers) opener.join();
  EXPECT_EQ(times, 1);
  EXPECT_EQ(answered_before, 0);
}

}  // namespace
}  // namespace kmsfs
