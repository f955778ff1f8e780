// Several threads at one file: what each was told is true, and nothing is counted twice.
#include <atomic>
#include <random>
#include <thread>

#include "tests/fs/file_system_fixture.h"

namespace kmsfs {
namespace {

class FileSystemThreads : public FileSystemTest {
 protected:
  static constexpr int kThreads = 8;

  // All begin together, so that they meet.
  template <typename Deed>
  static void at_once(Deed deed) {
    std::atomic<int> ready{0};
    std::vector<std::thread> threads;
    for (int t = 0; t < kThreads; ++t) {
      threads.emplace_back([&, t] {
        ++ready;
        while (ready < kThreads) std::this_thread::yield();
        deed(t);
      });
    }
    for (std::thread& thread : threads) thread.join();
  }

  void count_failure(int error) {
    if (error == 0) return;
    ++failures_;
    first_errno_.compare_exchange_strong(none_, error);
  }

  std::atomic<int> failures_{0}, first_errno_{0};
  int none_ = 0;
};

TEST_F(FileSystemThreads, AFileOpenedAndClosedByManyAtOnceIsInstalledOnce) {
  const NodeId node = make_file("f", pattern(5000));
  at_once([&](int t) {
    for (int i = 0; i < 3000; ++i) {
      const bool writable = (i + t) % 2 == 0;
      auto handle = open(node, writable ? O_RDWR : O_RDONLY);
      count_failure(errno_of(handle));
      if (!handle) continue;
      if (writable) {
        count_failure(errno_of(write_at(node, *handle, static_cast<std::uint64_t>(t) * 100, "0123456789")));
      }
      count_failure(errno_of(read_at(node, *handle, 4000, 100)));
      fs_->release(node, *handle);
    }
  });
  EXPECT_EQ(failures_, 0) << "the first: errno " << first_errno_;
  EXPECT_EQ(fs_->figures().open_files, 0U);
  EXPECT_EQ(fs_->figures().not_marked_clean, 0U);
}

// Each owns every eighth stretch of 500 bytes; the size is anybody's.
TEST_F(FileSystemThreads, AFileTruncatedAndWrittenByManyAtOnceStaysWhole) {
  const NodeId node = make_file("f");
  const AttributeChange grow = [] {
    AttributeChange change;
    change.size = 20000;
    return change;
  }();
  at_once([&](int t) {
    std::mt19937 random(static_cast<unsigned>(t));
    const std::string mine(500, static_cast<char>('a' + t));
    const std::uint64_t at = 500 * static_cast<std::uint64_t>(t);
    for (int i = 0; i < 1500; ++i) {
      const int flags = random() % 3 == 0 ? O_RDONLY : O_RDWR;
      auto handle = open(node, flags);
      count_failure(errno_of(handle));
      if (!handle) continue;
      if (flags == O_RDWR) count_failure(errno_of(write_at(node, *handle, at, mine)));
      AttributeChange change;
      change.size = 4000 + random() % 30000;  // never below what anybody owns
      if (random() % 4 == 0) count_failure(errno_of(fs_->set_attributes(node, change, caller_)));
      auto back = read_at(node, *handle, at, mine.size());
      count_failure(errno_of(back));
      if (flags == O_RDWR && back && *back != mine) count_failure(EILSEQ);
      if (random() % 8 == 0) count_failure(errno_of(fs_->sync(node, *handle, true)));
      fs_->release(node, *handle);
    }
  });
  EXPECT_EQ(failures_, 0) << "the first: errno " << first_errno_;
  EXPECT_EQ(fs_->figures().open_files, 0U);
  ASSERT_TRUE(fs_->set_attributes(node, grow, caller_).ok());
  remount();
  auto whole = content("f");
  ASSERT_TRUE(whole.ok()) << whole.error().text;
  ASSERT_EQ(whole->size(), 20000U);
  for (std::size_t t = 0; t < kThreads; ++t) {
    EXPECT_EQ(whole->substr(500 * t, 500), std::string(500, static_cast<char>('a' + t))) << t;
  }
}

TEST_F(FileSystemThreads, AFileThatManyMakeAndRemoveAtOnceIsNeverHalfThere) {
  at_once([&](int t) {
    for (int i = 0; i < 400; ++i) {
      auto created = create(kRootNode, "f", 0644, O_RDWR);
      const int error = errno_of(created);
      if (error != ENOENT) count_failure(error);  // gone between the look at it and its opening
      if (!created) continue;
      const NodeId node = created->entry.node;
      const std::string mine = "mine" + std::to_string(t);
      count_failure(errno_of(write_at(node, created->handle, static_cast<std::uint64_t>(t) * 10, mine)));
      auto back = read_at(node, created->handle, static_cast<std::uint64_t>(t) * 10, mine.size());
      if (!back || *back != mine) count_failure(EILSEQ);
      fs_->release(node, created->handle);
      fs_->forget(node, 1);
      if (i % 3 == t % 3) {
        const int removed = errno_of(fs_->unlink(kRootNode, "f"));
        if (removed != ENOENT) count_failure(removed);
      }
    }
  });
  EXPECT_EQ(failures_, 0) << "the first: errno " << first_errno_;
  EXPECT_EQ(fs_->figures().open_files, 0U);
}

}  // namespace
}  // namespace kmsfs
