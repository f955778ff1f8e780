#include "fs/busy_wait.h"

#include <gtest/gtest.h>

namespace kmsfs {
namespace {

using Clock = BusyWait::Clock;
using std::chrono::microseconds;
using std::chrono::milliseconds;

TEST(BusyWait, WhoNeverHadARequestSleeps) {
  BusyWait wait;
  EXPECT_FALSE(wait.begin(Clock::now()));
}

TEST(BusyWait, WhoseLastRequestCameSoonLooks) {
  BusyWait wait;
  const auto start = Clock::now();
  wait.begin(start);
  wait.end(start + BusyWait::kLimit);
  EXPECT_TRUE(wait.begin(start + milliseconds(5)));
  EXPECT_TRUE(wait.begin(start + milliseconds(5)));  // looking has no end of its own, requests have
}

TEST(BusyWait, WhoseLastRequestCameLateSleepsUntilOneComesSoonAgain) {
  BusyWait wait;
  auto start = Clock::now();
  wait.begin(start);
  wait.end(start + BusyWait::kLong);
  EXPECT_FALSE(wait.begin(start));
  wait.end(start + BusyWait::kLong - microseconds(1));
  EXPECT_TRUE(wait.begin(start));
}

TEST(BusyWait, LookingEndsAfterTheLimit) {
  BusyWait wait;
  const auto start = Clock::now();
  wait.begin(start);
  wait.end(start);
  ASSERT_TRUE(wait.begin(Clock::now() + milliseconds(100)));  // begins later than any clock in this test says
  EXPECT_TRUE(wait.go_on(Clock::now()));
  ASSERT_TRUE(wait.begin(Clock::now() - BusyWait::kLimit));
  EXPECT_FALSE(wait.go_on(Clock::now()));
}

TEST(BusyWait, WhoHadToWaitForTheProcessorLeavesItToOthersForAWhile) {
  BusyWait wait;
  const auto start = Clock::now();
  wait.begin(start);
  wait.end(start);
  ASSERT_TRUE(wait.begin(start + milliseconds(100)));
  EXPECT_FALSE(wait.go_on(Clock::now() - BusyWait::kCrowd));
  wait.end(start + milliseconds(100));
  EXPECT_FALSE(wait.begin(start + BusyWait::kKeepOff));
  EXPECT_TRUE(wait.begin(Clock::now() + BusyWait::kKeepOff));
}

}  // namespace
}  // namespace kmsfs
