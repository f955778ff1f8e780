// Permission withdrawn and given back; a KMS that cannot be reached.
#include "tests/keycache/key_cache_fixture.h"

namespace kmsfs::testing {

class KeyCacheRevocation : public KeyCacheTest {
 protected:
  struct Heard {
    std::string key_arn;
    Kind kind;
  };
  void listen() {
    cache_->set_revocation_listener([this](const std::string& key_arn, const Error& reason) {
      // Called without locks: the cache can be asked anything.
      static_cast<void>(cache_->figures());
      heard_.push_back({key_arn, reason.kind});
    });
  }
  std::vector<Heard> heard_;
};

TEST_F(KeyCacheRevocation, RevokedHandlesFailAtOnceWithTheReasonAndTheirSlotsAreWiped) {
  start();
  listen();
  const WrappedFile f = file(key_);
  const KeyHandle handle = unwrap(f);
  const std::byte* const slot = watched_.last_slot();
  for (const Kind reason : {Kind::kDenied, Kind::kDisabled, Kind::kKeyGone}) {
    cache_->revoke(key_, error(reason, "revoked by hand"));
    EXPECT_EQ(kind(handle.check()), reason);
    EXPECT_EQ(kind(handle.data_key()), reason);
    EXPECT_EQ(kind(cache_->ensure(handle)), reason);
    EXPECT_EQ(kind(cache_->unwrap(f.request())), reason);
    EXPECT_EQ(kind(cache_->generate(key_, 1, {})), reason);
    EXPECT_TRUE(wiped(slot));
  }
  EXPECT_EQ(decrypts(), 1U);
  ASSERT_EQ(heard_.size(), 3U);
  EXPECT_EQ(heard_[0].key_arn, key_);
  EXPECT_EQ(heard_[2].kind, Kind::kKeyGone);
}

TEST_F(KeyCacheRevocation, KeysUnderOtherMasterKeysStayGood) {
  start();
  const KeyHandle other = unwrap(file(server_.create_key()));
  const KeyHandle handle = unwrap(file(key_));
  cache_->revoke(key_, error(Kind::kDenied, "revoked by hand"));
  EXPECT_FALSE(handle.check().ok());
  EXPECT_TRUE(other.check().ok());
  cache_->revoke_all(error(Kind::kDenied, "revoked by hand"));
  EXPECT_FALSE(other.check().ok());
}

TEST_F(KeyCacheRevocation, WhenTheKmsSaysYesAgainTheSameHandleIsGoodAgain) {
  start();
  const KeyHandle handle = unwrap(file(key_));
  const Sha256 before = fingerprint(handle);
  cache_->revoke(key_, error(Kind::kDisabled, "disabled"));
  wait_until_asking_is_allowed();
  EXPECT_TRUE(cache_->ensure(handle).ok());
  EXPECT_TRUE(handle.check().ok());
  EXPECT_EQ(fingerprint(handle), before);
  EXPECT_EQ(cache_->figures().master_keys.at(0).refused, std::nullopt);
}

TEST_F(KeyCacheRevocation, ADenyAtARefetchRevokesEveryKeyOfTheMasterKey) {
  start();
  listen();
  const KeyHandle old = unwrap(file(key_, "old"));
  clock_.advance(seconds(100));
  const KeyHandle young = unwrap(file(key_, "young"));
  const std::byte* const slot = watched_.last_slot();
  clock_.advance(seconds(200));
  deny();
  EXPECT_EQ(kind(old.check()), Kind::kExpired);
  EXPECT_TRUE(young.check().ok());
  EXPECT_EQ(kind(cache_->ensure(old)), Kind::kDenied);
  EXPECT_EQ(kind(young.check()), Kind::kDenied);
  EXPECT_TRUE(wiped(slot));
  EXPECT_EQ(heard_.size(), 1U);
  EXPECT_EQ(cache_->figures().revocations, 1U);
}

TEST_F(KeyCacheRevocation, ADenyOfAKeyThatNeverWorkedLeavesTheOthersAlone) {
  start();
  listen();
  const KeyHandle handle = unwrap(file(key_, "mine"));
  const WrappedFile foreign = file(key_, "foreign");
  deny();
  EXPECT_EQ(kind(cache_->unwrap(foreign.request())), Kind::kDenied);
  EXPECT_TRUE(handle.check().ok());
  EXPECT_TRUE(heard_.empty());
}

TEST_F(KeyCacheRevocation, ADisabledMasterKeyFoundAtAnOpenStopsAllItsFiles) {
  start();
  listen();
  const KeyHandle handle = unwrap(file(key_, "open"));
  const WrappedFile f = file(key_, "next");
  server_.disable(key_);
  EXPECT_EQ(kind(cache_->unwrap(f.request())), Kind::kDisabled);
  EXPECT_EQ(kind(handle.check()), Kind::kDisabled);
  ASSERT_EQ(heard_.size(), 1U);
  EXPECT_EQ(heard_[0].kind, Kind::kDisabled);
}

TEST_F(KeyCacheRevocation, WhoMayNotMakeKeysStillUsesThem) {
  start();
  const KeyHandle handle = unwrap(file(key_));
  server_.deny_generate(alice_.name(), key_);
  EXPECT_EQ(kind(cache_->generate(key_, 1, {})), Kind::kDenied);
  EXPECT_TRUE(handle.check().ok());
}

TEST_F(KeyCacheRevocation, ARefusedMasterKeyIsAskedForOnceASecondHoweverManyAsk) {
  start();
  std::vector<KeyHandle> handles;
  for (int i = 0; i < 20; ++i) handles.push_back(unwrap(file(key_, std::to_string(i))));
  const WrappedFile unseen = file(key_, "unseen");
  deny();
  cache_->revoke(key_, error(Kind::kDenied, "denied"));
  for (int second = 0; second < 5; ++second) {
    wait_until_asking_is_allowed();
    for (int i = 0; i < 10; ++i) {
      for (const KeyHandle& handle : handles) EXPECT_EQ(kind(cache_->ensure(handle)), Kind::kDenied);
      EXPECT_EQ(kind(cache_->unwrap(unseen.request())), Kind::kDenied);
    }
    EXPECT_EQ(decrypts(), static_cast<std::uint64_t>(second) + 1);
  }
}

TEST_F(KeyCacheRevocation, AFileThatWasNeverAllowedIsAskedForOnceASecond) {
  start();
  const WrappedFile f = file(key_);
  deny();
  for (int i = 0; i < 50; ++i) EXPECT_EQ(kind(cache_->unwrap(f.request())), Kind::kDenied);
  EXPECT_EQ(decrypts(), 1U);
  allow();
  EXPECT_EQ(kind(cache_->unwrap(f.request())), Kind::kDenied);
  wait_until_asking_is_allowed();
  EXPECT_TRUE(cache_->unwrap(f.request()).ok());
}

TEST_F(KeyCacheRevocation, TheListenerHearsAStateOnceNotAtEachRefusal) {
  start();
  listen();
  const KeyHandle handle = unwrap(file(key_));
  server_.disable(key_);
  clock_.advance(seconds(300));
  for (int i = 0; i < 5; ++i) {
    EXPECT_EQ(kind(cache_->ensure(handle)), Kind::kDisabled);
    wait_until_asking_is_allowed();
  }
  EXPECT_EQ(heard_.size(), 1U);
  EXPECT_EQ(cache_->figures().revocations, 1U);
}

TEST_F(KeyCacheRevocation, TheStateOfAMasterKeyTellsSinceWhen) {
  start();
  const KeyHandle handle = unwrap(file(key_));
  clock_.advance(seconds(7));
  const auto now_ms = clock_.wall_time().count() / 1'000'000;
  cache_->revoke(key_, error(Kind::kDenied, "revoked by hand"));
  clock_.advance(seconds(7));
  const auto status = cache_->figures().master_keys.at(0);
  EXPECT_EQ(status.refused, Kind::kDenied);
  EXPECT_EQ(status.since_ms, now_ms);
  EXPECT_EQ(status.keys_held, 0U);
}

// --- Outages

TEST_F(KeyCacheRevocation, InAnOutageKeysServeUntilTheirAgeAndNoLonger) {
  start();
  const WrappedFile f = file(key_);
  const KeyHandle handle = unwrap(f);
  server_.set_reachable(false);
  clock_.advance(seconds(299));
  EXPECT_TRUE(handle.check().ok());
  EXPECT_TRUE(cache_->unwrap(f.request()).ok());
  clock_.advance(seconds(1));
  EXPECT_EQ(kind(cache_->ensure(handle)), Kind::kExpired);
  EXPECT_EQ(kind(cache_->unwrap(f.request())), Kind::kExpired);
  server_.set_reachable(true);
  EXPECT_TRUE(cache_->ensure(handle).ok());
}

TEST_F(KeyCacheRevocation, AnOutageIsToldOfTheMasterKeyUntilTheKmsAnswersIfOnlyToRefuse) {
  start();
  const KeyHandle handle = unwrap(file(key_));
  const auto told = [&] { return cache_->figures().master_keys.at(0); };
  EXPECT_FALSE(told().unreachable);
  const auto since = told().since_ms;
  server_.set_reachable(false);
  clock_.advance(seconds(30));
  cache_->maintain();
  EXPECT_TRUE(told().unreachable);
  EXPECT_FALSE(told().refused);
  EXPECT_GT(told().since_ms, since);
  server_.set_reachable(true);
  deny();
  clock_.advance(seconds(30));
  cache_->maintain();
  EXPECT_FALSE(told().unreachable);
  EXPECT_EQ(told().refused, Kind::kDenied);
  allow();
  wait_until_asking_is_allowed();
  EXPECT_TRUE(cache_->ensure(handle).ok());
  EXPECT_FALSE(told().unreachable || told().refused);
}

TEST_F(KeyCacheRevocation, OutageGraceExtendsAgeWhenTheKmsIsDownOrThrottles) {
  for (const bool throttled : {false, true}) {
    KeyCache::Options wanted = options();
    wanted.outage_grace = seconds(60);
    start(wanted);
    const WrappedFile f = file(key_);
    const KeyHandle handle = unwrap(f);
    throttled ? server_.set_throttled(true) : server_.set_reachable(false);
    clock_.advance(seconds(300));
    cache_->maintain();
    EXPECT_EQ(kind(handle.check()), Kind::kExpired) << "the KMS must be asked first";
    EXPECT_TRUE(cache_->ensure(handle).ok());
    EXPECT_TRUE(handle.check().ok());
    EXPECT_TRUE(cache_->unwrap(f.request()).ok());
    clock_.advance(seconds(60));
    EXPECT_EQ(kind(handle.check()), Kind::kExpired);
    EXPECT_EQ(kind(cache_->ensure(handle)), Kind::kExpired);
    server_.set_reachable(true);
  }
}

TEST_F(KeyCacheRevocation, AfterADenyThereIsNoGrace) {
  KeyCache::Options wanted = options();
  wanted.outage_grace = seconds(3600);
  start(wanted);
  const KeyHandle handle = unwrap(file(key_));
  clock_.advance(seconds(300));
  deny();
  EXPECT_EQ(kind(cache_->ensure(handle)), Kind::kDenied);
  server_.set_reachable(false);
  wait_until_asking_is_allowed();
  EXPECT_EQ(kind(cache_->ensure(handle)), Kind::kDenied);
  EXPECT_EQ(kind(handle.check()), Kind::kDenied);
}

TEST_F(KeyCacheRevocation, ADenyWithinTheGraceEndsIt) {
  KeyCache::Options wanted = options();
  wanted.outage_grace = seconds(3600);
  start(wanted);
  const KeyHandle handle = unwrap(file(key_));
  server_.set_reachable(false);
  clock_.advance(seconds(300));
  ASSERT_TRUE(cache_->ensure(handle).ok());
  server_.set_reachable(true);
  deny();
  clock_.advance(seconds(30));
  cache_->maintain();
  EXPECT_EQ(kind(handle.check()), Kind::kDenied);
}

TEST_F(KeyCacheRevocation, AForgottenKeyHasNoGrace) {
  KeyCache::Options wanted = options();
  wanted.outage_grace = seconds(3600);
  start(wanted);
  const KeyHandle handle = unwrap(file(key_));
  cache_->forget_all();
  server_.set_reachable(false);
  EXPECT_EQ(kind(cache_->ensure(handle)), Kind::kExpired);
}

}  // namespace kmsfs::testing
