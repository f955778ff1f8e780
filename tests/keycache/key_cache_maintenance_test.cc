// What happens each second without anybody asking: probes, refreshes, and the thread that does it.
#include <thread>

#include "tests/keycache/key_cache_fixture.h"

namespace kmsfs::testing {

class KeyCacheMaintenance : public KeyCacheTest {
 protected:
  void pass(seconds time) {
    for (seconds done(0); done < time; done += seconds(1)) {
      clock_.advance(seconds(1));
      cache_->maintain();
    }
  }
};

TEST_F(KeyCacheMaintenance, APermissionWithdrawnIsNoticedWithinTheProbeInterval) {
  start();
  std::vector<std::string> heard;
  cache_->set_revocation_listener(
      [&](const std::string& key_arn, const Error&) { heard.push_back(key_arn); });
  const KeyHandle handle = unwrap(file(key_));
  const std::byte* const slot = watched_.last_slot();
  deny();
  pass(seconds(29));
  EXPECT_TRUE(handle.check().ok());
  pass(seconds(1));
  EXPECT_EQ(kind(handle.check()), Kind::kDenied);
  EXPECT_TRUE(wiped(slot));
  EXPECT_EQ(heard, std::vector<std::string>{key_});
}

TEST_F(KeyCacheMaintenance, ADisabledOrRemovedMasterKeyIsNoticedByAProbe) {
  start();
  const std::string removed = server_.create_key();
  const KeyHandle one = unwrap(file(key_));
  const KeyHandle two = unwrap(file(removed));
  server_.schedule_deletion(key_);
  server_.remove(removed);
  pass(seconds(30));
  EXPECT_EQ(kind(one.check()), Kind::kDisabled);
  EXPECT_EQ(kind(two.check()), Kind::kKeyGone);
}

TEST_F(KeyCacheMaintenance, AKeyThatNobodyPinsIsStoppedByAProbeToo) {
  start();
  const WrappedFile f = file(key_);
  unwrap(f);
  const std::byte* const slot = watched_.last_slot();
  deny();
  pass(seconds(30));
  EXPECT_TRUE(wiped(slot));
  EXPECT_EQ(kind(cache_->unwrap(f.request())), Kind::kDenied);
}

TEST_F(KeyCacheMaintenance, AProbeThatSucceedsLetsHandlesBeGoodAgain) {
  start();
  const KeyHandle handle = unwrap(file(key_));
  server_.disable(key_);
  pass(seconds(30));
  ASSERT_EQ(kind(handle.check()), Kind::kDisabled);
  server_.enable(key_);
  pass(seconds(30));
  EXPECT_EQ(cache_->figures().master_keys.at(0).refused, std::nullopt);
  EXPECT_TRUE(cache_->ensure(handle).ok());
  EXPECT_TRUE(handle.check().ok());
}

TEST_F(KeyCacheMaintenance, AMasterKeyIsProbedOncePerIntervalHoweverManyKeysItHas) {
  start();
  std::vector<KeyHandle> handles;
  for (int i = 0; i < 20; ++i) handles.push_back(unwrap(file(key_, std::to_string(i))));
  calls_before_ = server_.counters().decrypts;
  pass(seconds(90));
  EXPECT_EQ(decrypts(), 3U);
}

TEST_F(KeyCacheMaintenance, AMasterKeyThatIsInUseAnywayIsNotProbed) {
  start();
  const KeyHandle handle = unwrap(file(key_));
  for (int i = 0; i < 6; ++i) {
    pass(seconds(20));
    unwrap(file(key_, std::to_string(i)));
    calls_before_ = server_.counters().decrypts;
    pass(seconds(5));
    EXPECT_EQ(decrypts(), 0U);
  }
}

TEST_F(KeyCacheMaintenance, AMasterKeyThatNobodyUsesIsNotProbed) {
  start();
  unwrap(file(key_));
  pass(seconds(300));
  calls_before_ = server_.counters().decrypts;
  pass(seconds(300));
  EXPECT_EQ(decrypts(), 0U);
}

TEST_F(KeyCacheMaintenance, APinnedKeyIsRefreshedBeforeItsAgeAndIsNeverInterrupted) {
  KeyCache::Options wanted = options();
  wanted.probe_interval = seconds(3600);
  start(wanted);
  const KeyHandle handle = unwrap(file(key_));
  pass(seconds(224));
  EXPECT_EQ(decrypts(), 1U) << "not before 75 % of its age";
  pass(seconds(32));
  EXPECT_EQ(decrypts(), 2U) << "by 85 % of its age";
  for (int i = 0; i < 1000; ++i) {
    pass(seconds(1));
    ASSERT_TRUE(handle.check().ok());
  }
}

TEST_F(KeyCacheMaintenance, AKeyThatNobodyPinsIsNotRefreshed) {
  KeyCache::Options wanted = options();
  wanted.probe_interval = seconds(3600);
  start(wanted);
  unwrap(file(key_));
  pass(seconds(400));
  EXPECT_EQ(decrypts(), 1U);
  EXPECT_EQ(cache_->figures().entries, 0U);
}

TEST_F(KeyCacheMaintenance, KeysFetchedTogetherAreNotAllRefreshedTogether) {
  KeyCache::Options wanted = options();
  wanted.probe_interval = seconds(3600);
  start(wanted);
  std::vector<KeyHandle> handles;
  for (int i = 0; i < 100; ++i) handles.push_back(unwrap(file(key_, std::to_string(i))));
  pass(seconds(224));
  std::uint64_t most = 0;
  for (int second = 0; second < 32; ++second) {
    calls_before_ = server_.counters().decrypts;
    pass(seconds(1));
    most = std::max(most, decrypts());
  }
  EXPECT_LT(most, 30U);
  EXPECT_EQ(cache_->figures().kms_calls, 200U);
}

TEST_F(KeyCacheMaintenance, ARefreshThatFailsForAnOutageRevokesNothingAndIsTriedOncePerRound) {
  start();
  std::vector<KeyHandle> handles;
  for (int i = 0; i < 50; ++i) handles.push_back(unwrap(file(key_, std::to_string(i))));
  pass(seconds(200));
  server_.set_reachable(false);
  calls_before_ = server_.counters().decrypts;
  pass(seconds(99));
  EXPECT_LE(decrypts(), 99U + 4U);
  for (const KeyHandle& handle : handles) EXPECT_TRUE(handle.check().ok());
  pass(seconds(1));
  for (const KeyHandle& handle : handles) EXPECT_EQ(kind(handle.check()), Kind::kExpired);
  EXPECT_EQ(cache_->figures().revocations, 0U);
}

TEST_F(KeyCacheMaintenance, ADenyAtARefreshRevokes) {
  KeyCache::Options wanted = options();
  wanted.probe_interval = seconds(3600);
  start(wanted);
  const KeyHandle handle = unwrap(file(key_));
  deny();
  pass(seconds(256));
  EXPECT_EQ(kind(handle.check()), Kind::kDenied);
}

TEST_F(KeyCacheMaintenance, APrincipalThatChangesWhileNobodyAsksLosesItsKeys) {
  start();
  const KeyHandle handle = unwrap(file(key_));
  const std::byte* const slot = watched_.last_slot();
  alice_.become("arn:aws:iam::111122223333:user/bob");
  pass(seconds(1));
  EXPECT_EQ(kind(handle.check()), Kind::kExpired);
  EXPECT_TRUE(wiped(slot));
}

TEST_F(KeyCacheMaintenance, TheThreadDoesAllThisByItselfAndEndsWithTheCache) {
  KeyCache::Options wanted = options();
  wanted.maintenance_thread = true;
  start(wanted);
  const KeyHandle handle = unwrap(file(key_));
  deny();
  server_.hold_answers();
  clock_.advance(seconds(30));
  server_.wait_for_held(1);  // the thread's probe
  server_.release_answers();
  cache_.reset();
  EXPECT_EQ(kind(handle.check()), Kind::kDenied);
}

}  // namespace kmsfs::testing
