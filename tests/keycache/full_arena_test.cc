// A process whose locked memory is full to the last byte.
#include "core/xaes.h"
#include "tests/keycache/key_cache_fixture.h"

namespace kmsfs::testing {

// A scan of all memory takes minutes where a sanitizer keeps shadows of it.
#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
constexpr bool kScans = false;
#else
constexpr bool kScans = true;
#endif

class SmallArena final : public ::testing::Environment {
 public:
  void SetUp() override {
    LockedMemory::Options options;
    options.allow_unlocked = true;
    options.capacity = 1U << 20;
    ASSERT_TRUE(LockedMemory::start(options).ok());
    ASSERT_TRUE(start_crypto().ok());
  }
};

::testing::Environment* const small_arena = ::testing::AddGlobalTestEnvironment(new SmallArena);

class KeyCacheInAFullArena : public KeyCacheTest {
 protected:
  ~KeyCacheInAFullArena() override { free_all(); }
  void fill_arena() {
    for (void* taken = LockedMemory::allocate(32); taken != nullptr; taken = LockedMemory::allocate(32)) {
      taken_.push_back(taken);
    }
  }
  void free_all() {
    for (void* taken : taken_) LockedMemory::release(taken);
    taken_.clear();
  }
  std::vector<void*> taken_;
};

TEST_F(KeyCacheInAFullArena, KeysThatNobodyPinsMakeRoom) {
  start();
  for (int i = 0; i < 100; ++i) unwrap(file(key_, std::to_string(i)));
  const WrappedFile f = file(key_, "next");
  fill_arena();
  auto handle = cache_->unwrap(f.request());
  ASSERT_TRUE(handle.ok()) << handle.error().text;
  EXPECT_TRUE(handle->check().ok());
  EXPECT_GT(cache_->figures().evictions, 0U);
}

TEST_F(KeyCacheInAFullArena, WithEveryKeyPinnedThereIsNoMemoryAndNothingSpills) {
  start();
  std::vector<KeyHandle> handles;
  for (int i = 0; i < 100; ++i) handles.push_back(unwrap(file(key_, std::to_string(i))));
  const WrappedFile f = file(key_, "next");
  fill_arena();
  EXPECT_EQ(kind(cache_->unwrap(f.request())), Kind::kNoMemory);
  EXPECT_EQ(kind(cache_->generate(key_, 1, {})), Kind::kNoMemory);
  for (const KeyHandle& handle : handles) EXPECT_TRUE(handle.check().ok());
  EXPECT_EQ(kind(handles[0].data_key()), Kind::kNoMemory);
  free_all();
  auto key = handles[0].data_key();
  ASSERT_TRUE(key.ok());
  if (kScans) {
    EXPECT_EQ(occurrences_outside_locked_memory(Needle(key->reveal())), 0U);
  }
  EXPECT_TRUE(cache_->unwrap(f.request()).ok());
}

TEST_F(KeyCacheInAFullArena, WithoutAWordOnCapacityAQuarterIsLeftToOthers) {
  start();
  const std::size_t capacity = cache_->figures().capacity;
  EXPECT_EQ(capacity, LockedMemory::usage().capacity / 64 / 4 * 3);
}

TEST_F(KeyCacheInAFullArena, TheScanThatFindsNoKeyWouldFindOne) {
  if (!kScans) GTEST_SKIP();
  start();
  const KeyHandle handle = unwrap(file(key_));
  auto key = handle.data_key();
  ASSERT_TRUE(key.ok());
  const Needle needle(key->reveal());
  EXPECT_EQ(occurrences_outside_locked_memory(needle), 0U);
  Bytes leaked(key->reveal().begin(), key->reveal().end());
  EXPECT_GE(occurrences_outside_locked_memory(needle), 1U);
  std::fill(leaked.begin(), leaked.end(), std::byte{0});
}

}  // namespace kmsfs::testing
