// Streams: several threads bring the parts of one file, in whatever order they come to run.
#include <atomic>
#include <thread>

#include "fs/inode.h"
#include "tests/fs/file_system_fixture.h"

namespace kmsfs {
namespace {

using std::chrono::steady_clock;

class FileSystemStreams : public FileSystemTest {
 protected:
  static constexpr std::size_t kPart = 1 << 20;

  Result<void> write_back(const Created& file, std::uint64_t offset, std::string_view text) {
    return fs_->write(file.entry.node, file.handle, offset, as_bytes(text), nullptr, true);
  }
};

TEST_F(FileSystemStreams, AWriteThatOvertookTheOneBeforeItLeavesNoHole) {
  const std::string first = pattern(kPart, 1), second = pattern(kPart, 2);
  constexpr int kAttempts = 20;  // the first may come too late where the machine stands still
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    auto file = create(kRootNode, "file" + std::to_string(attempt));
    ASSERT_TRUE(file.ok());
    std::atomic<bool> begun{false};
    steady_clock::duration took{};
    std::thread overtaking([&] {
      begun = true;
      const auto start = steady_clock::now();
      EXPECT_TRUE(write_back(*file, kPart, second).ok());
      took = steady_clock::now() - start;
    });
    while (!begun) std::this_thread::yield();
    std::this_thread::sleep_for(std::chrono::milliseconds(3));
    EXPECT_TRUE(write_back(*file, 0, first).ok());
    overtaking.join();
    auto information = fs_->information(file->entry.node);
    ASSERT_TRUE(information.ok());
    EXPECT_EQ(*read_at(file->entry.node, file->handle, 0, 2 * kPart), first + second);
    fs_->release(file->entry.node, file->handle);
    if (!information->sparse) return;
    ASSERT_GE(took, Inode::kPatience) << "it did not wait";
  }
  FAIL() << "the write before it never came in time";
}

TEST_F(FileSystemStreams, AHoleThatAProgramLeavesIsMade) {
  auto file = create(kRootNode, "file");
  ASSERT_TRUE(write_back(*file, 0, "begin").ok());
  ASSERT_TRUE(write_back(*file, 5 * kPart, "end").ok());
  EXPECT_TRUE(fs_->information(file->entry.node)->sparse);
  EXPECT_EQ(*read_at(file->entry.node, file->handle, 4 * kPart, 3), std::string(3, '\0'));
  EXPECT_EQ(*read_at(file->entry.node, file->handle, 5 * kPart, 3), "end");
  fs_->release(file->entry.node, file->handle);
}

// Sealing ahead uses the keys while another thread has the file's lock: who takes the keys away waits for it.
TEST_F(FileSystemStreams, KeysAreTakenAwayAndGivenBackWhileStreamsAreWritten) {
  constexpr int kWriters = 3, kRounds = 100;
  constexpr std::size_t kSize = 128 * 1024;
  auto file = create(kRootNode, "file");
  ASSERT_TRUE(write_at(file->entry.node, file->handle, 0, std::string(kWriters * kSize, 'x')).ok());
  std::atomic<bool> over{false};
  std::atomic<int> other_error{0}, written{0}, refused{0};
  std::vector<std::thread> writers;
  for (int w = 0; w < kWriters; ++w) {
    writers.emplace_back([&, w] {
      for (unsigned i = 0; !over; ++i) {
        const std::string text(kSize, static_cast<char>('a' + i % 26));
        const int error =
            errno_of(write_at(file->entry.node, file->handle, static_cast<std::uint64_t>(w) * kSize, text));
        if (error != 0 && error != EKEYREVOKED && error != EKEYEXPIRED) other_error = error;
        ++(error == 0 ? written : refused);
      }
    });
  }
  for (int round = 0; round < kRounds || written < kRounds || refused < kRounds; ++round) {
    server_.disable(key_);
    keys_->revoke(key_, error(Kind::kDisabled, "disabled"));
    server_.enable(key_);
    clock_.advance(std::chrono::seconds(31));
    keys_->maintain();
    std::this_thread::yield();
  }
  over = true;
  for (std::thread& writer : writers) writer.join();
  EXPECT_EQ(other_error, 0);
  fs_->release(file->entry.node, file->handle);
  remount();
  const std::string whole = *content("file");
  ASSERT_EQ(whole.size(), kWriters * kSize);
  for (std::size_t w = 0; w < kWriters; ++w) {
    EXPECT_EQ(whole.substr(w * kSize, kSize), std::string(kSize, whole[w * kSize])) << "of two writes";
  }
}

}  // namespace
}  // namespace kmsfs
