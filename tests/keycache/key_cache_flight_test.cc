// Many callers, one question; and answers that arrive after the world has changed.
#include <thread>

#include "tests/keycache/key_cache_fixture.h"

namespace kmsfs::testing {

class KeyCacheFlight : public KeyCacheTest {
 protected:
  static constexpr int kCallers = 100;

  // Starts the callers, waits until they have all come aboard, then lets the KMS answer.
  template <typename Call>
  void together(Call call) {
    const std::uint64_t shared_before = cache_->figures().shared_flights;
    server_.hold_answers();
    std::vector<std::thread> callers;
    for (int i = 0; i < kCallers; ++i) callers.emplace_back([&, i] { call(i); });
    server_.wait_for_held(1);
    while (cache_->figures().shared_flights - shared_before < kCallers - 1) std::this_thread::yield();
    server_.release_answers();
    for (std::thread& caller : callers) caller.join();
  }
};

TEST_F(KeyCacheFlight, HundredOpensOfOneFileAskTheKmsOnceAndAllGetTheKey) {
  start();
  const WrappedFile f = file(key_);
  std::vector<KeyHandle> handles(kCallers);
  together([&](int i) { handles[static_cast<std::size_t>(i)] = unwrap(f); });
  EXPECT_EQ(decrypts(), 1U);
  EXPECT_TRUE(std::all_of(handles.begin(), handles.end(), [](const KeyHandle& h) { return h.check().ok(); }));
}

TEST_F(KeyCacheFlight, WhenTheKmsIsDownAllWaitersHearItTogether) {
  start();
  const WrappedFile f = file(key_);
  server_.set_reachable(false);
  std::atomic<int> unavailable{0};
  together([&](int) { unavailable += kind(cache_->unwrap(f.request())) == Kind::kUnavailable ? 1 : 0; });
  EXPECT_EQ(decrypts(), 1U);
  EXPECT_EQ(unavailable, kCallers);
}

TEST_F(KeyCacheFlight, WhenTheKmsDeniesAllWaitersHearItTogether) {
  start();
  const WrappedFile f = file(key_);
  deny();
  std::atomic<int> denied{0};
  together([&](int) { denied += kind(cache_->unwrap(f.request())) == Kind::kDenied ? 1 : 0; });
  EXPECT_EQ(decrypts(), 1U);
  EXPECT_EQ(denied, kCallers);
}

TEST_F(KeyCacheFlight, HundredReadersOfAKeyPastItsAgeAskOnce) {
  start();
  const KeyHandle handle = unwrap(file(key_));
  clock_.advance(seconds(300));
  std::atomic<int> good{0};
  together([&](int) { good += cache_->ensure(handle).ok() && handle.check().ok() ? 1 : 0; });
  EXPECT_EQ(decrypts(), 2U);
  EXPECT_EQ(good, kCallers);
}

TEST_F(KeyCacheFlight, HandlesGivenOutByOneFlightAllCountAsUses) {
  KeyCache::Options wanted = options();
  wanted.max_uses = kCallers;
  start(wanted);
  const WrappedFile f = file(key_);
  together([&](int) { unwrap(f); });
  EXPECT_EQ(decrypts(), 1U);
  unwrap(f);
  EXPECT_EQ(decrypts(), 2U);
}

TEST_F(KeyCacheFlight, TwoFilesAreFetchedAtTheSameTime) {
  start();
  const WrappedFile one = file(key_, "one");
  const WrappedFile two = file(key_, "two");
  server_.hold_answers();
  std::thread first([&] { unwrap(one); });
  std::thread second([&] { unwrap(two); });
  server_.wait_for_held(2);
  server_.release_answers();
  first.join();
  second.join();
}

TEST_F(KeyCacheFlight, AKeyForgottenDuringItsFetchIsNotKept) {
  start();
  const WrappedFile f = file(key_);
  server_.hold_answers();
  KeyHandle handle;
  std::thread caller([&] { handle = unwrap(f); });
  server_.wait_for_held(1);
  cache_->forget_all();
  server_.release_answers();
  caller.join();
  EXPECT_EQ(decrypts(), 2U) << "the first answer was begun before the forgetting";
  EXPECT_TRUE(handle.check().ok());
}

TEST_F(KeyCacheFlight, AKeyRevokedDuringItsFetchIsNotKeptAndWiped) {
  start();
  const WrappedFile f = file(key_);
  server_.hold_answers();
  std::optional<Kind> heard;
  std::thread caller([&] { heard = kind(cache_->unwrap(f.request())); });
  server_.wait_for_held(1);
  cache_->revoke(key_, error(Kind::kDenied, "revoked by hand"));
  server_.release_answers();
  caller.join();
  EXPECT_EQ(heard, Kind::kDenied);
  EXPECT_TRUE(wiped(watched_.last_slot()));
  EXPECT_EQ(cache_->figures().entries, 0U);
}

TEST_F(KeyCacheFlight, AnAnswerBegunBeforeARevocationDoesNotEndIt) {
  start();
  const KeyHandle handle = unwrap(file(key_, "open"));
  const WrappedFile f = file(key_, "other");
  server_.hold_answers();
  std::thread caller([&] { EXPECT_EQ(kind(cache_->unwrap(f.request())), Kind::kDisabled); });
  server_.wait_for_held(1);
  cache_->revoke(key_, error(Kind::kDisabled, "disabled"));
  server_.release_answers();
  caller.join();
  EXPECT_EQ(kind(handle.check()), Kind::kDisabled);
  EXPECT_EQ(cache_->figures().master_keys.at(0).refused, Kind::kDisabled);
}

TEST_F(KeyCacheFlight, AKeyGeneratedAcrossARevocationIsNotKept) {
  start();
  server_.set_alias("alias/photos", key_);
  const KeyHandle handle = unwrap(file(key_));
  server_.hold_answers();
  std::optional<Kind> heard;
  std::thread caller([&] { heard = kind(cache_->generate("alias/photos", 1, {})); });
  server_.wait_for_held(1);
  cache_->revoke_all(error(Kind::kDenied, "revoked by hand"));
  server_.release_answers();
  caller.join();
  EXPECT_EQ(heard, Kind::kDenied);
  EXPECT_TRUE(wiped(watched_.last_slot()));
}

TEST_F(KeyCacheFlight, AKeyGeneratedUnderAMasterKeyNotMetBeforeIsNotKeptAcrossForgetting) {
  start();
  server_.hold_answers();
  std::thread caller([&] {
    auto made = cache_->generate(key_, 1, {});
    ASSERT_TRUE(made.ok());
    EXPECT_TRUE(made->handle.check().ok());
  });
  server_.wait_for_held(1);
  cache_->forget_all();
  server_.release_answers();
  caller.join();
  EXPECT_EQ(server_.counters().generates, 2U);
}

// Everything at once; what matters is asserted by the sanitizers, and by keys that are never wrong.
TEST_F(KeyCacheFlight, NoKeyIsEverWrongWhileEverythingHappensAtOnce) {
  KeyCache::Options wanted = options();
  wanted.capacity = 12;
  start(wanted);
  std::vector<WrappedFile> files;
  std::vector<Sha256> expected;
  for (int i = 0; i < 16; ++i) {
    files.push_back(file(key_, std::to_string(i)));
    auto key = alice_.decrypt(key_, files.back().wrapped, files.back().context);
    ASSERT_TRUE(key.ok());
    expected.push_back(sha256(key->reveal()));
  }
  constexpr unsigned kReadsEach = 100;
  constexpr unsigned kTriesEach = 1'000'000;
  std::atomic<unsigned> enough{0};
  std::atomic<unsigned> wrong{0};
  std::atomic<unsigned> at_work{4};
  const auto read = [&](unsigned start) {
    unsigned reads = 0;
    for (unsigned i = 0; i < kTriesEach && reads < kReadsEach; ++i) {
      const std::size_t which = (i * 7 + start) % files.size();
      auto handle = cache_->unwrap(files[which].request());
      if (!handle) continue;
      if (!handle->check()) static_cast<void>(cache_->ensure(*handle).ok());
      auto key = handle->data_key();
      if (!key) continue;
      ++reads;
      if (sha256(key->reveal()) != expected[which]) ++wrong;
    }
    if (reads == kReadsEach) ++enough;
    --at_work;
  };
  std::vector<std::thread> threads;
  for (unsigned start = 0; start < 4; ++start) threads.emplace_back(read, start * 5);
  for (int i = 0; at_work > 0; ++i) {
    if (i % 3 == 0) cache_->revoke(key_, error(Kind::kDenied, "race"));
    if (i % 3 == 1) cache_->forget_all();
    clock_.advance(seconds(1));
    cache_->maintain();
    static_cast<void>(cache_->figures());
    std::this_thread::yield();
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(enough, 4U);
  EXPECT_EQ(wrong, 0U);
  wait_until_asking_is_allowed();
  EXPECT_TRUE(cache_->unwrap(files[0].request()).ok());
}

}  // namespace kmsfs::testing
