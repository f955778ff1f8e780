// With a KMS in the same process: nobody takes over from who asks it.
#include <atomic>
#include <thread>

#include "core/waiting.h"
#include "tests/keycache/key_cache_fixture.h"

namespace kmsfs::testing {

// Stands for a worker of a mount; while it waits, a mount has others do its work.
class CountedWaits final : public Waiting {
 public:
  explicit CountedWaits(std::atomic<int>& waits) : waits_(waits) { of_this_thread() = this; }
  ~CountedWaits() override { of_this_thread() = nullptr; }
  void begin() override { ++waits_; }
  void end() override {}

 private:
  std::atomic<int>& waits_;
};

using KeyCacheNear = KeyCacheTest;

TEST_F(KeyCacheNear, WhoAsksAnEmbeddedKmsDoesNotHandItsWorkOver) {
  alice_.set_near();
  start();
  const WrappedFile f = file(key_);
  std::atomic<int> waits{0};
  const CountedWaits worker(waits);
  EXPECT_TRUE(cache_->unwrap(f.request()).ok());
  EXPECT_TRUE(cache_->generate(key_, 1, {{"kmsfs:file", "new"}}).ok());
  EXPECT_EQ(waits, 0);
}

TEST_F(KeyCacheNear, WhoAsksAnotherKmsDoes) {
  start();
  const WrappedFile f = file(key_);
  server_.hold_answers();
  std::atomic<int> waits{0};
  std::thread asker([&] {
    const CountedWaits worker(waits);
    EXPECT_TRUE(cache_->unwrap(f.request()).ok());
  });
  for (int i = 0; i < 4000 && waits == 0; ++i) std::this_thread::sleep_for(std::chrono::milliseconds(5));
  EXPECT_GE(waits, 1);
  server_.release_answers();
  asker.join();
}

}  // namespace kmsfs::testing
