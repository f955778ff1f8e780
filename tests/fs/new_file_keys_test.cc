#include "fs/new_file_keys.h"

#include <gtest/gtest.h>

#include <atomic>
#include <optional>
#include <set>

#include "fs/format.h"
#include "tests/support/eventually.h"
#include "tests/support/fake_kms.h"

namespace kmsfs {
namespace {

using testing::FakeKms;
using testing::FakeKmsServer;

// Time goes on as it does, and further where a test says so.
class HastyClock final : public Clock {
 public:
  BootTime boot_time() const override { return stopped_.value_or(system_.boot_time()) + ahead_.load(); }
  WallTime wall_time() const override { return system_.wall_time() + ahead_.load(); }
  void stop() { stopped_ = system_.boot_time(); }  // before threads
  void advance(std::chrono::seconds time) { ahead_ = ahead_.load() + time; }

 private:
  SystemClock system_;
  std::optional<BootTime> stopped_;
  std::atomic<std::chrono::nanoseconds> ahead_{std::chrono::nanoseconds(0)};
};

class NewFileKeysTest : public ::testing::Test {
 protected:
  static constexpr std::chrono::seconds kPatience{20};
  NewFileKeysTest() {
    volume_.id = VolumeId::random();
    volume_.suite = 1;
    volume_.allowed_keys = {key_};
    KeyCache::Options options;
    options.maintenance_thread = false;
    auto keys = KeyCache::make(kms_, clock_, make_null_logger(), options);
    EXPECT_TRUE(keys.ok());
    keys_ = std::move(*keys);
    new_keys_ = std::make_unique<NewFileKeys>(volume_, *keys_, clock_);
  }
  ~NewFileKeysTest() override { new_keys_->stop(); }

  std::uint64_t asked() const { return server_.counters().generates; }
  bool wait_for_asked(std::uint64_t count) const {
    return testing::eventually([&] { return asked() >= count; }, kPatience);
  }
  // From far away, and with keys asked for ahead.
  void fill() {
    server_.set_delay(std::chrono::milliseconds(20));
    ASSERT_TRUE(new_keys_->take().ok());
    ASSERT_TRUE(wait_for_asked(1 + NewFileKeys::kAskers));
    ASSERT_TRUE(all_answered());
    ASSERT_TRUE(new_keys_->take().ok());
    ASSERT_TRUE(all_answered());  // what that one had asked for
  }
  // Asked for is not yet answered.
  bool all_answered() const {
    return testing::eventually([&] { return new_keys_->questions_under_way() == 0; }, kPatience);
  }

  FakeKmsServer server_;
  const std::string key_ = server_.create_key();
  FakeKms kms_{server_, "arn:aws:iam::111122223333:user/alice"};
  HastyClock clock_;
  VolumeParameters volume_;
  std::unique_ptr<KeyCache> keys_;
  std::unique_ptr<NewFileKeys> new_keys_;
};

TEST_F(NewFileKeysTest, NothingIsAskedForAheadOfAKmsThatAnswersAtOnce) {
  clock_.stop();  // "at once" on any machine
  for (int i = 0; i < 100; ++i) ASSERT_TRUE(new_keys_->take().ok());
  EXPECT_EQ(asked(), 100u);
}

TEST_F(NewFileKeysTest, AKmsInTheProcessIsAskedForSomeTogetherWhileFilesFollowEachOther) {
  kms_.set_near();
  clock_.stop();  // all in one moment
  ASSERT_TRUE(new_keys_->take().ok());
  EXPECT_EQ(asked(), 1u);  // a file by itself
  std::set<FileId> ids;
  for (std::size_t i = 0; i < NewFileKeys::kTogether; ++i) {
    auto key = new_keys_->take();
    ASSERT_TRUE(key.ok());
    EXPECT_TRUE(ids.insert(key->id).second) << "a key that serves two files";
    EXPECT_EQ(asked(), 1 + NewFileKeys::kTogether);
  }
  clock_.advance(std::chrono::seconds(1));
  ASSERT_TRUE(new_keys_->take().ok());
  EXPECT_EQ(asked(), 2 + NewFileKeys::kTogether);
}

TEST_F(NewFileKeysTest, FromAKmsInTheProcessKeysAreNotKeptForLongAndNoneIsGivenOutAfterRevocation) {
  kms_.set_near();
  clock_.stop();
  for (int i = 0; i < 2; ++i) ASSERT_TRUE(new_keys_->take().ok());
  new_keys_->maintain();
  ASSERT_TRUE(new_keys_->take().ok());
  EXPECT_EQ(asked(), 1 + 2 * NewFileKeys::kTogether) << "what nobody came for within a second is gone";
  server_.disable(key_);
  keys_->revoke(key_, error(Kind::kDisabled, "disabled"));
  auto key = new_keys_->take();
  ASSERT_FALSE(key.ok());
  EXPECT_EQ(key.error().kind, Kind::kDisabled);
}

TEST_F(NewFileKeysTest, FarFromTheKmsHundredFilesDoNotWaitForHundredAnswers) {
  server_.set_delay(std::chrono::milliseconds(20));
  const BootTime began = clock_.boot_time();
  std::set<FileId> ids;
  for (int i = 0; i < 100; ++i) {
    auto key = new_keys_->take();
    ASSERT_TRUE(key.ok());
    EXPECT_TRUE(ids.insert(key->id).second) << "a key that serves two files";
    // The wrap is bound to this file's id, and opens to this key.
    const auto context = file_context(volume_.id, key->id);
    EXPECT_TRUE(keys_->unwrap({key_, 1, key->data_key.wrapped.blob, context}).ok());
    if (i % 10 != 0) continue;
    EXPECT_TRUE(kms_.decrypt(key_, key->data_key.wrapped.blob, context).ok());
  }
  // One after the other they would have taken two seconds, and ten Decrypts take 0.2.
  EXPECT_GE(asked(), 100u);
  RecordProperty("milliseconds",
                 static_cast<int>((clock_.boot_time() - began) / std::chrono::milliseconds(1)));
}

TEST_F(NewFileKeysTest, AKeyThatWasRevokedMeanwhileIsNotGivenOut) {
  fill();
  server_.disable(key_);
  keys_->revoke(key_, error(Kind::kDisabled, "disabled"));
  auto key = new_keys_->take();
  ASSERT_FALSE(key.ok());
  EXPECT_EQ(key.error().kind, Kind::kDisabled);
}

TEST_F(NewFileKeysTest, WhenNobodyMakesFilesKeysAreLetGo) {
  fill();
  for (int second = 0; second < 12; ++second) new_keys_->maintain();
  const auto before = asked();
  ASSERT_TRUE(new_keys_->take().ok());
  EXPECT_GT(asked(), before);
}

TEST_F(NewFileKeysTest, AKeyThatWasKeptForLongIsNotGivenOut) {
  fill();
  server_.deny(kms_.name(), key_);  // nobody could get another one now
  // What was asked before that is there, and grows old with the others.
  ASSERT_TRUE(all_answered());
  clock_.advance(NewFileKeys::kKeptFor);
  EXPECT_FALSE(new_keys_->take().ok());
}

}  // namespace
}  // namespace kmsfs
