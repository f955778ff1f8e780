#include "fs/branch_keys.h"

#include <gtest/gtest.h>

#include <set>
#include <thread>
#include <vector>

#include "core/waiting.h"
#include "tests/support/fake_kms.h"

namespace kmsfs {
namespace {

using testing::FakeKms;
using testing::FakeKmsServer;

class BranchKeysTest : public ::testing::Test {
 protected:
  BranchKeysTest() {
    volume_.id = VolumeId::random();
    volume_.mode = KeyMode::kBranch;
    volume_.allowed_keys = {key_};
    KeyCache::Options options;
    options.maintenance_thread = false;
    auto keys = KeyCache::make(kms_, clock_, make_null_logger(), options);
    EXPECT_TRUE(keys.ok());
    keys_ = std::move(*keys);
    branches_ = std::make_unique<BranchKeys>(volume_, *keys_, clock_);
  }

  std::uint64_t asked() const { return server_.counters().all(); }
  BranchId take(BranchKeys::Subtree subtree = 7) {
    auto key = branches_->take(subtree);
    EXPECT_TRUE(key.ok()) << (key ? "" : key.error().text);
    return key ? key->section.sealed_data_key->branch : BranchId();
  }
  Kind refusal() {
    auto key = branches_->take(7);
    EXPECT_FALSE(key.ok());
    return key ? Kind::kInternal : key.error().kind;
  }

  FakeKmsServer server_;
  const std::string key_ = server_.create_key();
  FakeKms kms_{server_};
  ManualClock clock_;
  VolumeParameters volume_;
  std::unique_ptr<KeyCache> keys_;
  std::unique_ptr<BranchKeys> branches_;
};

TEST_F(BranchKeysTest, ThousandFilesOfASubtreeAskTheKmsOnceAndHaveThousandKeys) {
  std::set<FileId> files;
  std::set<std::string> data_keys;
  std::set<BranchId> branches;
  for (int i = 0; i < 1000; ++i) {
    auto key = branches_->take(7);
    ASSERT_TRUE(key.ok());
    files.insert(key->id);
    data_keys.insert(to_hex(key->data_key.reveal()));
    branches.insert(key->section.sealed_data_key->branch);
    EXPECT_EQ(to_hex(key->key.data_key()->reveal()), to_hex(key->data_key.reveal()));
  }
  EXPECT_EQ(files.size(), 1000U);
  EXPECT_EQ(data_keys.size(), 1000U);
  EXPECT_EQ(branches.size(), 1U);
  EXPECT_EQ(asked(), 1U);
}

TEST_F(BranchKeysTest, TheBranchKeyIsBoundToVolumeAndBranchAtTheKms) {
  auto key = branches_->take(7);
  ASSERT_TRUE(key.ok());
  const Bytes& wrapped = key->section.wrapped_key;
  const BranchId branch = key->section.sealed_data_key->branch;
  EXPECT_TRUE(kms_.decrypt(key_, wrapped, branch_context(volume_.id, branch)).ok());
  EXPECT_FALSE(kms_.decrypt(key_, wrapped, branch_context(volume_.id, BranchId::random())).ok());
  EXPECT_FALSE(kms_.decrypt(key_, wrapped, branch_context(VolumeId::random(), branch)).ok());
  EXPECT_FALSE(kms_.decrypt(key_, wrapped, file_context(volume_.id, FileId{branch.bytes})).ok());
}

TEST_F(BranchKeysTest, EachSubtreeHasItsOwnUpToALimit) {
  std::set<BranchId> own;
  for (BranchKeys::Subtree subtree = 1; subtree <= BranchKeys::kMostSubtrees; ++subtree)
    own.insert(take(subtree));
  EXPECT_EQ(own.size(), BranchKeys::kMostSubtrees);
  const BranchId shared = take(1000);
  for (BranchKeys::Subtree subtree = 1001; subtree < 3000; ++subtree) ASSERT_EQ(take(subtree), shared);
  EXPECT_EQ(asked(), BranchKeys::kMostSubtrees + 1);
}

TEST_F(BranchKeysTest, AnEpochEndsAfterItsTime) {
  const BranchId first = take();
  clock_.advance(BranchKeys::kEpoch - std::chrono::seconds(1));
  EXPECT_EQ(take(), first);
  clock_.advance(std::chrono::seconds(1));
  EXPECT_NE(take(), first);
  EXPECT_EQ(asked(), 2U);
}

TEST_F(BranchKeysTest, AnEpochEndsAfterItsFiles) {
  const BranchId first = take();
  for (std::uint64_t i = 1; i < BranchKeys::kFilesPerEpoch; ++i) ASSERT_EQ(take(), first);
  EXPECT_NE(take(), first);
  EXPECT_EQ(asked(), 2U);
}

TEST_F(BranchKeysTest, FiftyCallersAtOnceAskOnceAndHearTheSame) {
  server_.hold_answers();
  std::vector<BranchId> got(50);
  std::vector<std::thread> callers;
  for (BranchId& id : got) callers.emplace_back([&] { id = take(); });
  server_.wait_for_held(1);
  server_.release_answers();
  for (auto& caller : callers) caller.join();
  EXPECT_EQ(std::set<BranchId>(got.begin(), got.end()).size(), 1U);
  EXPECT_EQ(asked(), 1U);
}

TEST_F(BranchKeysTest, WhileTheNextBranchKeyIsAskedForNobodyElseWaits) {
  const BranchId first = take();
  clock_.advance(BranchKeys::kEpoch);
  server_.hold_answers();
  BranchId next;
  std::thread asker([&] { next = take(); });
  server_.wait_for_held(1);
  EXPECT_EQ(take(), first) << "it is good, and the KMS hangs";
  server_.release_answers();
  asker.join();
  EXPECT_NE(next, first);
  EXPECT_EQ(take(), next);
}

// Serves a program that can be killed.
class Served final : public Waiting {
 public:
  explicit Served(std::stop_token killed) : killed_(std::move(killed)) { of_this_thread() = this; }
  ~Served() override { of_this_thread() = nullptr; }
  void begin() override {}
  void end() override {}
  std::stop_token interruption() override { return killed_; }

 private:
  const std::stop_token killed_;
};

TEST_F(BranchKeysTest, AProgramThatIsKilledWhileItAsksGoesAndLeavesTheQuestionToTheNext) {
  server_.hold_answers();
  std::stop_source killed;
  int heard = 0;
  std::thread asker([&] {
    const Served served(killed.get_token());
    auto key = branches_->take(7);
    heard = key ? 0 : key.error().system_errno;
  });
  server_.wait_for_held(1);
  BranchId next;
  std::thread waiter([&] { next = take(); });
  killed.request_stop();
  asker.join();
  EXPECT_EQ(heard, EINTR);
  server_.release_answers();
  waiter.join();
  EXPECT_NE(next, BranchId());
  EXPECT_LE(asked(), 2U) << "the first question is not taken back, and its answer may serve the next";
}

TEST_F(BranchKeysTest, AProgramThatIsKilledWhileItWaitsGoesAndTheOthersWaitOn) {
  server_.hold_answers();
  BranchId first;
  std::thread asker([&] { first = take(); });
  server_.wait_for_held(1);
  std::stop_source killed;
  int heard = 0;
  std::thread waiter([&] {
    const Served served(killed.get_token());
    auto key = branches_->take(7);
    heard = key ? 0 : key.error().system_errno;
  });
  killed.request_stop();
  waiter.join();
  EXPECT_EQ(heard, EINTR);
  server_.release_answers();
  asker.join();
  EXPECT_NE(first, BranchId());
  EXPECT_EQ(asked(), 1U);
}

TEST_F(BranchKeysTest, ADenialIsHeardByNewFilesAtOnceAndGoesByItself) {
  take();
  server_.deny(kms_.name(), key_);
  keys_->revoke(key_, error(Kind::kDenied, "denied"));
  EXPECT_EQ(refusal(), Kind::kDenied);
  server_.allow(kms_.name(), key_);
  clock_.advance(std::chrono::seconds(2));
  take();
}

TEST_F(BranchKeysTest, WhoMayMakeNoKeysMakesNoFilesAfterTheEpoch) {
  take();
  server_.deny_generate(kms_.name(), key_);
  clock_.advance(BranchKeys::kEpoch);
  EXPECT_EQ(refusal(), Kind::kDenied);
  EXPECT_EQ(refusal(), Kind::kDenied);
}

TEST_F(BranchKeysTest, InAnOutageTheLastOneServesUntilItsAgeIsOver) {
  const BranchId first = take();
  server_.set_reachable(false);
  clock_.advance(BranchKeys::kEpoch);
  EXPECT_EQ(take(), first);
  const auto before = asked();
  EXPECT_EQ(take(), first);
  EXPECT_EQ(asked(), before) << "not with each file";
  clock_.advance(std::chrono::seconds(301));
  EXPECT_EQ(refusal(), Kind::kUnavailable);
  server_.set_reachable(true);
  EXPECT_NE(take(), first);
}

TEST_F(BranchKeysTest, OneThatServesNoNewFilesIsNotKeptInUse) {
  take();
  ASSERT_EQ(keys_->figures().entries, 1U);
  clock_.advance(BranchKeys::kEpoch);
  branches_->maintain();
  clock_.advance(std::chrono::seconds(301));
  keys_->maintain();
  EXPECT_EQ(keys_->figures().entries, 0U);
  EXPECT_EQ(asked(), 1U) << "nobody renewed it";
}

}  // namespace
}  // namespace kmsfs
