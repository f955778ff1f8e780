// Keys of files that will be opened next, asked for ahead of a KMS that is far away.
#include <algorithm>
#include <chrono>
#include <thread>

#include "tests/fs/file_system_fixture.h"

namespace kmsfs {
namespace {

using std::chrono::milliseconds;

class Prefetch : public FileSystemTest {
 protected:
  static constexpr std::size_t kFiles = 200;

  void SetUp() override {
    const auto made = fs_->make_directory(kRootNode, "directory", 0755, caller_);
    ASSERT_TRUE(made.ok());
    for (std::size_t i = 0; i < kFiles; ++i) make_file(made->node, "file-" + std::to_string(i), "text");
    remount();
    place_ = node_of("directory");
    server_.set_delay(milliseconds(5));
    asked_before_ = decrypts();
  }
  std::uint64_t decrypts() const { return server_.counters().decrypts; }
  std::uint64_t asked() const { return decrypts() - asked_before_; }
  // False if it was not so within twenty seconds.
  bool wait_for_asked(std::uint64_t count) const {
    for (int i = 0; i < 4000 && asked() < count; ++i) std::this_thread::sleep_for(milliseconds(5));
    return asked() >= count;
  }
  std::vector<std::string> listing() {
    auto handle = fs_->open_directory(place_);
    std::vector<std::string> names;
    EXPECT_TRUE(handle.ok() && fs_->read_directory(place_, *handle, 0, false,
                                                   [&](const DirectoryEntry& e) {
                                                     if (e.type == S_IFREG) names.emplace_back(e.name);
                                                     return true;
                                                   })
                                   .ok());
    fs_->release_directory(place_, *handle);
    return names;
  }
  void open_and_close(const std::string& name) {
    const NodeId node = node_of("directory/" + name);
    auto handle = fs_->open(node, O_RDONLY);
    ASSERT_TRUE(handle.ok()) << name;
    fs_->release(node, *handle);
  }
  // The clock of these tests stands still: an answer takes long when time is moved on meanwhile.
  void open_slowly(const std::string& name) {
    server_.hold_answers();
    std::thread opener([&] { open_and_close(name); });
    server_.wait_for_held(1);
    clock_.advance(milliseconds(20));
    server_.release_answers();
    opener.join();
  }

  NodeId place_ = 0;
  std::uint64_t asked_before_ = 0;
};

TEST_F(Prefetch, WhoOpensFilesInTheOrderOfTheListingFindsTheNextKeysAskedFor) {
  const auto names = listing();
  ASSERT_EQ(names.size(), kFiles);
  open_slowly(names[0]);
  for (std::size_t i = 1; i < 4; ++i) open_and_close(names[i]);
  EXPECT_TRUE(wait_for_asked(4 + 8)) << "eight more than were opened";
  for (std::size_t i = 4; i < 40; ++i) open_and_close(names[i]);
  EXPECT_TRUE(wait_for_asked(80)) << "the further it goes, the more";
  const auto misses = keys_->figures().misses;
  for (std::size_t i = 40; i < 60; ++i) open_and_close(names[i]);
  EXPECT_EQ(keys_->figures().misses, misses) << "nobody had to ask any more";
  EXPECT_LE(asked(), kFiles);
}

TEST_F(Prefetch, WhoOpensFilesByNameFindsTheNextKeysAskedFor) {
  auto names = listing();
  std::sort(names.begin(), names.end());
  open_slowly(names[0]);
  for (std::size_t i = 1; i < 14; ++i) open_and_close(names[i]);
  EXPECT_TRUE(wait_for_asked(14 + 8));
}

TEST_F(Prefetch, ListingAndLookingAskForNothing) {
  const auto names = listing();
  open_slowly(names[0]);
  for (const std::string& name : names) {
    ASSERT_TRUE(fs_->get_attributes(node_of("directory/" + name)).ok());
  }
  (void)listing();
  EXPECT_EQ(asked(), 1U);
}

TEST_F(Prefetch, NothingIsAskedAheadOfAKmsThatRefuses) {
  const auto names = listing();
  open_slowly(names[0]);
  for (std::size_t i = 1; i < 3; ++i) open_and_close(names[i]);
  server_.disable(key_);
  const NodeId node = node_of("directory/" + names[3]);
  EXPECT_EQ(errno_of(fs_->open(node, O_RDONLY)), EKEYREVOKED);
  const auto by_then = asked();
  for (std::size_t i = 4; i < 40; ++i)
    EXPECT_EQ(errno_of(fs_->open(node_of("directory/" + names[i]), O_RDONLY)), EKEYREVOKED);
  EXPECT_LE(asked(), by_then + 8) << "those that were under way";
}

}  // namespace
}  // namespace kmsfs
