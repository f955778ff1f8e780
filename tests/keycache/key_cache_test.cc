// What an entry serves, for how long, and what happens when there is no room.
#include "keycache/key_cache.h"

#include "tests/keycache/key_cache_fixture.h"
#include "tests/support/crypto_environment.h"

namespace kmsfs::testing {

TEST_F(KeyCacheTest, ASecondUnwrapOfAKeyAsksNobody) {
  start();
  const WrappedFile f = file(key_);
  const KeyHandle first = unwrap(f);
  const KeyHandle second = unwrap(f);
  EXPECT_EQ(decrypts(), 1U);
  EXPECT_EQ(fingerprint(first), fingerprint(second));
  EXPECT_EQ(first.key_arn(), key_);
  EXPECT_EQ(cache_->figures().hits, 1U);
  EXPECT_EQ(cache_->figures().misses, 1U);
  EXPECT_EQ(cache_->figures().entries, 1U);
}

TEST_F(KeyCacheTest, TheKeyServedIsTheKeyThatWasWrapped) {
  start();
  const WrappedFile f = file(key_);
  auto expected = alice_.decrypt(key_, f.wrapped, f.context);
  ASSERT_TRUE(expected.ok());
  EXPECT_EQ(fingerprint(unwrap(f)), sha256(expected->reveal()));
}

TEST_F(KeyCacheTest, AGeneratedKeyIsServedToLaterUnwrapsWithoutAsking) {
  start();
  const EncryptionContext context{{"kmsfs:file", "new"}};
  auto made = cache_->generate(key_, 1, context);
  ASSERT_TRUE(made.ok());
  auto again = cache_->unwrap(KeyRequest{made->wrapped.key_arn, 1, made->wrapped.blob, context});
  ASSERT_TRUE(again.ok());
  EXPECT_EQ(server_.counters().decrypts, 0U);
  EXPECT_EQ(fingerprint(*again), fingerprint(made->handle));
}

TEST_F(KeyCacheTest, AKeyGeneratedUnderAnAliasIsHeldUnderTheKeysOwnArn) {
  start();
  server_.set_alias("alias/photos", key_);
  auto made = cache_->generate("alias/photos", 1, {});
  ASSERT_TRUE(made.ok());
  EXPECT_EQ(made->handle.key_arn(), key_);
  cache_->revoke(key_, error(Kind::kDenied, "revoked by hand"));
  EXPECT_EQ(kind(made->handle.check()), Kind::kDenied);
}

// --- Each part of what an entry is for

TEST_F(KeyCacheTest, AnotherPrincipalsKeyIsFetchedForItself) {
  start();
  const WrappedFile f = file(key_);
  const KeyHandle alices = unwrap(f);
  alice_.become("arn:aws:iam::111122223333:user/bob");
  const KeyHandle bobs = unwrap(f);
  EXPECT_EQ(decrypts(), 2U);
  EXPECT_EQ(kind(alices.check()), Kind::kExpired);
  EXPECT_TRUE(bobs.check().ok());
}

TEST_F(KeyCacheTest, APrincipalWithoutPermissionIsNotServedFromTheEntriesOfAnother) {
  start();
  const WrappedFile f = file(key_);
  const KeyHandle alices = unwrap(f);
  const std::byte* const slot = watched_.last_slot();
  server_.deny("mallory", key_);
  alice_.become("mallory");
  EXPECT_EQ(kind(cache_->unwrap(f.request())), Kind::kDenied);
  EXPECT_NE(kind(alices.check()), std::nullopt);
  EXPECT_TRUE(wiped(slot));
}

TEST_F(KeyCacheTest, CachesAtTwoEndpointsShareNothing) {
  start();
  FakeKmsServer elsewhere("fake:elsewhere");
  FakeKms there(elsewhere);
  auto other = KeyCache::make(there, clock_, make_null_logger(), options());
  ASSERT_TRUE(other.ok());
  const WrappedFile f = file(key_);
  unwrap(f);
  EXPECT_EQ(kind((*other)->unwrap(f.request())), Kind::kKeyGone);
}

TEST_F(KeyCacheTest, AnotherSuiteIsAnotherEntry) {
  start();
  const WrappedFile f = file(key_);
  const KeyHandle first = unwrap(f);
  KeyRequest request = f.request();
  request.suite = 2;
  ASSERT_TRUE(cache_->unwrap(request).ok());
  EXPECT_EQ(decrypts(), 2U);
}

TEST_F(KeyCacheTest, AnotherEncryptionContextIsAnotherEntryAndTheKmsRefusesIt) {
  start();
  WrappedFile f = file(key_);
  const KeyHandle first = unwrap(f);
  f.context["kmsfs:file"] = "other";
  EXPECT_EQ(kind(cache_->unwrap(f.request())), Kind::kCorrupt);
  EXPECT_EQ(decrypts(), 2U);
}

TEST_F(KeyCacheTest, ContextsThatLookAlikeWhenJoinedAreDifferentEntries) {
  start();
  WrappedFile f = file(key_);
  f.context = {{"a", "bc"}};
  EXPECT_EQ(kind(cache_->unwrap(f.request())), Kind::kCorrupt);
  f.context = {{"ab", "c"}};
  EXPECT_EQ(kind(cache_->unwrap(f.request())), Kind::kCorrupt);
  EXPECT_EQ(decrypts(), 2U);
}

TEST_F(KeyCacheTest, AnotherMasterKeyIsAnotherEntryAndTheKmsRefusesIt) {
  start();
  WrappedFile f = file(key_);
  const KeyHandle first = unwrap(f);
  f.key_arn = server_.create_key();
  EXPECT_EQ(kind(cache_->unwrap(f.request())), Kind::kCorrupt);
  EXPECT_EQ(decrypts(), 2U);
}

TEST_F(KeyCacheTest, AnotherWrappedKeyIsAnotherEntry) {
  start();
  const KeyHandle first = unwrap(file(key_, "one"));
  const KeyHandle second = unwrap(file(key_, "two"));
  EXPECT_EQ(decrypts(), 1U);  // since the second file was made
  EXPECT_NE(fingerprint(first), fingerprint(second));
}

// --- Age, idleness, uses

TEST_F(KeyCacheTest, AKeyIsGoodUntilItsAgeAndNotOneNanosecondLonger) {
  start();
  const KeyHandle handle = unwrap(file(key_));
  clock_.advance(seconds(300) - std::chrono::nanoseconds(1));
  EXPECT_TRUE(handle.check().ok());
  clock_.advance(std::chrono::nanoseconds(1));
  EXPECT_EQ(kind(handle.check()), Kind::kExpired);
  EXPECT_EQ(kind(handle.data_key()), Kind::kExpired);
}

TEST_F(KeyCacheTest, UsingAKeyDoesNotMakeItYounger) {
  start();
  const WrappedFile f = file(key_);
  for (int i = 0; i < 30; ++i) {
    clock_.advance(seconds(10));
    EXPECT_TRUE(unwrap(f).check().ok());
  }
  EXPECT_EQ(decrypts(), 1U);
  clock_.advance(seconds(10));
  unwrap(f);
  EXPECT_EQ(decrypts(), 2U);
}

TEST_F(KeyCacheTest, AgeCountsFromTheAnswerOfTheKmsAndAWallClockSetBackChangesNothing) {
  start();
  const KeyHandle handle = unwrap(file(key_));
  clock_.advance(seconds(200));
  clock_.set_wall_time(WallTime(0));
  clock_.advance(seconds(100));
  EXPECT_EQ(kind(handle.check()), Kind::kExpired);
}

TEST_F(KeyCacheTest, AKeyPastItsAgeIsWipedEvenIfPinned) {
  start();
  const KeyHandle handle = unwrap(file(key_));
  const std::byte* const slot = watched_.last_slot();
  EXPECT_FALSE(wiped(slot));
  clock_.advance(seconds(300));
  cache_->maintain();
  EXPECT_TRUE(wiped(slot));
  EXPECT_EQ(cache_->figures().expirations, 1U);
  EXPECT_EQ(cache_->figures().entries, 0U);
}

TEST_F(KeyCacheTest, EnsureMakesTheSameHandleGoodAgainWithTheSameBytes) {
  KeyCache::Options wanted = options();
  wanted.probe_interval = seconds(3600);
  start(wanted);
  const KeyHandle handle = unwrap(file(key_));
  const Sha256 before = fingerprint(handle);
  for (const bool wiped_before : {false, true}) {
    clock_.advance(seconds(300));
    if (wiped_before) cache_->maintain();
    EXPECT_EQ(kind(handle.check()), Kind::kExpired);
    EXPECT_TRUE(cache_->ensure(handle).ok());
    EXPECT_TRUE(handle.check().ok());
    EXPECT_EQ(fingerprint(handle), before);
  }
  EXPECT_EQ(decrypts(), 3U);
}

TEST_F(KeyCacheTest, AKmsThatGivesAnotherKeyThanBeforeIsCorrupt) {
  start();
  const KeyHandle handle = unwrap(file(key_));
  clock_.advance(seconds(300));
  cache_->maintain();
  server_.set_lying(true);
  EXPECT_EQ(kind(cache_->ensure(handle)), Kind::kCorrupt);
  EXPECT_EQ(kind(handle.check()), Kind::kExpired);
  EXPECT_TRUE(wiped(watched_.last_slot()));
  server_.set_lying(false);
  EXPECT_TRUE(cache_->ensure(handle).ok());
}

TEST_F(KeyCacheTest, AnIdleKeyIsWipedOnlyIfNobodyPinsIt) {
  KeyCache::Options wanted = options();
  wanted.max_idle = seconds(20);
  start(wanted);
  const WrappedFile f = file(key_);
  KeyHandle handle = unwrap(f);
  const std::byte* const slot = watched_.last_slot();
  clock_.advance(seconds(60));
  cache_->maintain();
  EXPECT_TRUE(handle.check().ok());
  handle = KeyHandle();
  clock_.advance(seconds(19));
  cache_->maintain();
  EXPECT_FALSE(wiped(slot));
  clock_.advance(seconds(1));
  cache_->maintain();
  EXPECT_TRUE(wiped(slot));
}

TEST_F(KeyCacheTest, AFetchServesNoMoreHandlesThanItMay) {
  KeyCache::Options wanted = options();
  wanted.max_uses = 3;
  start(wanted);
  const WrappedFile f = file(key_);
  for (int i = 0; i < 7; ++i) unwrap(f);
  EXPECT_EQ(decrypts(), 3U);
}

TEST_F(KeyCacheTest, LimitsThatMakeNoSenseAreRefused) {
  const auto kind_of = [&](auto change) {
    KeyCache::Options wanted = options();
    change(wanted);
    return kind(KeyCache::make(alice_, clock_, make_null_logger(), wanted));
  };
  EXPECT_EQ(kind_of([](auto& o) { o.max_age = seconds(0); }), Kind::kInvalid);
  EXPECT_EQ(kind_of([](auto& o) { o.max_age = std::chrono::hours(25); }), Kind::kInvalid);
  EXPECT_EQ(kind_of([](auto& o) { o.outage_grace = seconds(-1); }), Kind::kInvalid);
  EXPECT_EQ(kind_of([](auto& o) { o.max_idle = seconds(-1); }), Kind::kInvalid);
  EXPECT_EQ(kind_of([](auto& o) { o.probe_interval = seconds(0); }), Kind::kInvalid);
  EXPECT_EQ(kind_of([](auto&) {}), std::nullopt);
}

// --- Forgetting

TEST_F(KeyCacheTest, WhatIsForgottenIsWipedAndAskedForAgain) {
  start();
  const WrappedFile f = file(key_);
  const KeyHandle handle = unwrap(f);
  const std::byte* const slot = watched_.last_slot();
  cache_->forget_all();
  EXPECT_TRUE(wiped(slot));
  EXPECT_EQ(kind(handle.check()), Kind::kExpired);
  EXPECT_TRUE(cache_->ensure(handle).ok());
  EXPECT_TRUE(handle.check().ok());
  EXPECT_EQ(decrypts(), 2U);
}

TEST_F(KeyCacheTest, ACacheThatIsGoneHasWipedItsKeysAndItsHandlesFail) {
  start();
  const WrappedFile f = file(key_);
  const KeyHandle handle = unwrap(f);
  const std::byte* const slot = watched_.last_slot();
  cache_.reset();
  EXPECT_TRUE(wiped(slot));
  EXPECT_EQ(kind(handle.check()), Kind::kExpired);
  EXPECT_EQ(kind(handle.data_key()), Kind::kExpired);
}

TEST_F(KeyCacheTest, AHandleOfAnotherCacheIsNotEnsured) {
  start();
  const KeyHandle handle = unwrap(file(key_));
  auto other = KeyCache::make(watched_, clock_, make_null_logger(), options());
  ASSERT_TRUE(other.ok());
  EXPECT_EQ(kind((*other)->ensure(handle)), Kind::kInvalid);
  EXPECT_EQ(kind((*other)->ensure(KeyHandle())), Kind::kInvalid);
}

// --- Room

TEST_F(KeyCacheTest, WhenFullTheKeyUnusedForLongestIsWipedAndPinnedOnesStay) {
  KeyCache::Options wanted = options();
  wanted.capacity = 2;
  start(wanted);
  const KeyHandle pinned = unwrap(file(key_, "pinned"));
  unwrap(file(key_, "loose"));
  const std::byte* const loose = watched_.last_slot();
  const KeyHandle third = unwrap(file(key_, "third"));
  EXPECT_TRUE(wiped(loose) || watched_.last_slot() == loose);
  EXPECT_TRUE(pinned.check().ok());
  EXPECT_TRUE(third.check().ok());
  EXPECT_EQ(cache_->figures().evictions, 1U);
  EXPECT_EQ(cache_->figures().entries, 2U);
  EXPECT_EQ(cache_->figures().capacity, 2U);
}

TEST_F(KeyCacheTest, WhenEveryKeyIsPinnedThereIsNoMemoryAndTheKmsIsNotAsked) {
  KeyCache::Options wanted = options();
  wanted.capacity = 2;
  start(wanted);
  const KeyHandle first = unwrap(file(key_, "1"));
  KeyHandle second = unwrap(file(key_, "2"));
  const WrappedFile f = file(key_, "3");
  EXPECT_EQ(kind(cache_->unwrap(f.request())), Kind::kNoMemory);
  EXPECT_EQ(kind(cache_->generate(key_, 1, {})), Kind::kNoMemory);
  EXPECT_EQ(decrypts(), 0U);
  EXPECT_TRUE(first.check().ok());
  EXPECT_TRUE(second.check().ok());
  second = KeyHandle();
  EXPECT_TRUE(cache_->unwrap(f.request()).ok());
}

TEST_F(KeyCacheTest, FailedFetchesUseUpNoRoom) {
  KeyCache::Options wanted = options();
  wanted.capacity = 1;
  start(wanted);
  const WrappedFile f = file(key_);
  server_.set_reachable(false);
  for (int i = 0; i < 5; ++i) EXPECT_EQ(kind(cache_->unwrap(f.request())), Kind::kUnavailable);
  server_.set_reachable(true);
  EXPECT_TRUE(cache_->unwrap(f.request()).ok());
}

TEST_F(KeyCacheTest, APinnedKeyCanBeFetchedAgainInAFullCache) {
  KeyCache::Options wanted = options();
  wanted.capacity = 1;
  start(wanted);
  const KeyHandle handle = unwrap(file(key_));
  clock_.advance(seconds(300));
  EXPECT_TRUE(cache_->ensure(handle).ok());
  cache_->forget_all();
  EXPECT_TRUE(cache_->ensure(handle).ok());
  EXPECT_EQ(cache_->figures().entries, 1U);
}

TEST_F(KeyCacheTest, AKeyTakesSixtyFourBytesOfLockedMemory) {
  start();
  const std::size_t before = LockedMemory::usage().used;
  for (int i = 0; i < 1000; ++i) unwrap(file(key_, std::to_string(i)));
  EXPECT_EQ(LockedMemory::usage().used - before, 64U * 1000);
  cache_->forget_all();
  EXPECT_EQ(LockedMemory::usage().used, before);
}

}  // namespace kmsfs::testing
