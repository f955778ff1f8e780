// Keys asked for before anybody needs them, and waits that end before their answer.
#include <stop_token>
#include <thread>

#include "core/waiting.h"
#include "tests/keycache/key_cache_fixture.h"

namespace kmsfs::testing {

using Ahead = KeyCache::Ahead;

// Stands for a worker of a mount, whose program can be interrupted.
class Served final : public Waiting {
 public:
  void begin() override {}
  void end() override {}
  std::stop_token interruption() override { return source_.get_token(); }
  void interrupt() { source_.request_stop(); }

 private:
  std::stop_source source_;
};

class KeyCacheAhead : public KeyCacheTest {
 protected:
  // Until that many calls have come; false after twenty seconds.
  bool wait_for_decrypts(std::uint64_t count) const {
    for (int i = 0; i < 4000 && decrypts() < count; ++i)
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    return decrypts() >= count;
  }
};

TEST_F(KeyCacheAhead, WhatWasAskedForAheadIsThereWithoutAnotherQuestion) {
  start();
  const WrappedFile f = file(key_);
  server_.hold_answers();
  EXPECT_EQ(cache_->ask_ahead(f.request()), Ahead::kAsked);
  server_.wait_for_held(1);
  EXPECT_EQ(cache_->ask_ahead(f.request()), Ahead::kHeld) << "a question is under way";
  server_.release_answers();
  EXPECT_TRUE(unwrap(f).check().ok());
  EXPECT_EQ(cache_->ask_ahead(f.request()), Ahead::kHeld);
  EXPECT_EQ(decrypts(), 1U);
}

TEST_F(KeyCacheAhead, AKeyAskedForAheadIsNoUseOfIt) {
  KeyCache::Options wanted = options();
  wanted.max_uses = 1;
  start(wanted);
  const WrappedFile f = file(key_);
  EXPECT_EQ(cache_->ask_ahead(f.request()), Ahead::kAsked);
  ASSERT_TRUE(wait_for_decrypts(1));
  EXPECT_TRUE(unwrap(f).check().ok());
  EXPECT_EQ(decrypts(), 1U);
}

TEST_F(KeyCacheAhead, MoreThanEnoughIsNotAskedForAndWhoWaitsComesFirst) {
  start();
  std::vector<WrappedFile> files;
  for (int i = 0; i < 400; ++i) files.push_back(file(key_, "file " + std::to_string(i)));
  server_.hold_answers();
  std::size_t asked = 0;
  while (asked < files.size() && cache_->ask_ahead(files[asked].request()) == Ahead::kAsked) ++asked;
  EXPECT_LT(asked, files.size());
  // All that may be under way ahead are; there is a thread for who waits all the same.
  Served served;
  std::thread waiter([&] {
    Waiting::of_this_thread() = &served;
    EXPECT_TRUE(cache_->unwrap(files.back().request()).ok());
  });
  server_.wait_for_held(49);
  server_.release_answers();
  waiter.join();
}

TEST_F(KeyCacheAhead, AfterAFailureNothingIsAskedForAheadForAWhile) {
  start();
  const WrappedFile one = file(key_, "one"), two = file(key_, "two"), three = file(key_, "three");
  server_.set_reachable(false);
  EXPECT_EQ(cache_->ask_ahead(one.request()), Ahead::kAsked);
  EXPECT_EQ(kind(cache_->unwrap(one.request())), Kind::kUnavailable);
  for (int i = 0; i < 4000 && cache_->ask_ahead(two.request()) != Ahead::kNotNow; ++i)
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  EXPECT_EQ(cache_->ask_ahead(two.request()), Ahead::kNotNow);
  server_.set_reachable(true);
  Ahead again = Ahead::kNotNow;  // the last failure may be noticed only now
  for (int i = 0; i < 4000 && again == Ahead::kNotNow; ++i) {
    clock_.advance(KeyCache::kAskAgainAfter);
    again = cache_->ask_ahead(three.request());
  }
  EXPECT_EQ(again, Ahead::kAsked);
  EXPECT_TRUE(cache_->unwrap(three.request()).ok());
}

TEST_F(KeyCacheAhead, WhoIsInterruptedHearsItAtOnceAndTheAnswerIsKept) {
  start();
  const WrappedFile f = file(key_);
  server_.hold_answers();
  Served served;
  std::thread waiter([&] {
    Waiting::of_this_thread() = &served;
    auto outcome = cache_->unwrap(f.request());
    ASSERT_FALSE(outcome.ok());
    EXPECT_EQ(outcome.error().system_errno, EINTR);
  });
  server_.wait_for_held(1);
  served.interrupt();
  waiter.join();
  server_.release_answers();
  EXPECT_TRUE(unwrap(f).check().ok());
  EXPECT_EQ(decrypts(), 1U);
}

TEST_F(KeyCacheAhead, WhoWaitsForANewKeyCanBeInterrupted) {
  start();
  server_.hold_answers();
  Served served;
  std::thread waiter([&] {
    Waiting::of_this_thread() = &served;
    auto made = cache_->generate(key_, 1, {{"kmsfs:file", "new"}});
    ASSERT_FALSE(made.ok());
    EXPECT_EQ(made.error().system_errno, EINTR);
  });
  server_.wait_for_held(1);
  served.interrupt();
  waiter.join();
  server_.release_answers();
}

TEST_F(KeyCacheAhead, KeysThatAreDueAreRefreshedSeveralAtOnce) {
  KeyCache::Options wanted = options();
  wanted.probe_interval = std::chrono::hours(1);  // no question but these
  start(wanted);
  std::vector<KeyHandle> handles;
  for (int i = 0; i < 40; ++i) handles.push_back(unwrap(file(key_, "file " + std::to_string(i))));
  clock_.advance(seconds(295));  // all of them are due, and none is past its age
  calls_before_ = server_.counters().decrypts;
  server_.hold_answers();
  std::thread maintaining([&] { cache_->maintain(); });
  EXPECT_TRUE(wait_for_decrypts(8));
  server_.release_answers();
  maintaining.join();
  EXPECT_EQ(decrypts(), 40U);
  clock_.advance(seconds(10));
  for (const KeyHandle& handle : handles) EXPECT_TRUE(handle.check().ok());
}

TEST_F(KeyCacheAhead, ACacheThatEndsWaitsForQuestionsUnderWay) {
  start();
  std::vector<WrappedFile> files;
  for (int i = 0; i < 100; ++i) files.push_back(file(key_, "file " + std::to_string(i)));
  server_.hold_answers();
  for (const WrappedFile& f : files) EXPECT_EQ(cache_->ask_ahead(f.request()), Ahead::kAsked);
  server_.wait_for_held(1);
  std::thread ending([&] { cache_.reset(); });
  server_.release_answers();
  ending.join();
  EXPECT_LE(decrypts(), 100U);
}

}  // namespace kmsfs::testing
