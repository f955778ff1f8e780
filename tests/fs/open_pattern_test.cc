// What will be opened next, judged by what was.
#include "fs/open_pattern.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <set>

namespace kmsfs {
namespace {

std::set<std::size_t> wanted_after(OpenPattern& pattern, const std::vector<std::size_t>& opened) {
  std::set<std::size_t> wanted;
  for (const std::size_t position : opened) {
    const auto range = pattern.opened(position);
    for (std::size_t at = range.first; at < range.end; ++at) wanted.insert(at);
  }
  return wanted;
}

TEST(OpenPattern, TwoOpensWantNothing) {
  OpenPattern pattern;
  EXPECT_TRUE(wanted_after(pattern, {10, 11}).empty());
}

TEST(OpenPattern, SeveralInARowWantTheNextOnes) {
  OpenPattern pattern;
  const auto wanted = wanted_after(pattern, {10, 11, 12});
  EXPECT_EQ(wanted.size(), OpenPattern::kFirstWindow);
  EXPECT_EQ(*wanted.begin(), 13U);
}

TEST(OpenPattern, NothingIsWantedTwiceAndNothingIsLeftOut) {
  OpenPattern pattern;
  std::vector<std::size_t> wanted;
  for (std::size_t position = 0; position < 5000; ++position) {
    const auto range = pattern.opened(position);
    for (std::size_t at = range.first; at < range.end; ++at) wanted.push_back(at);
  }
  ASSERT_GE(wanted.size(), 5000U - 3);
  for (std::size_t i = 0; i < wanted.size(); ++i) ASSERT_EQ(wanted[i], i + 3);
}

TEST(OpenPattern, WhatIsAheadGrowsAndHasALimit) {
  OpenPattern pattern;
  std::size_t end = 0;
  for (std::size_t position = 0; position < 5000; ++position) {
    const auto range = pattern.opened(position);
    end = std::max(end, range.end);
    EXPECT_LE(end, position + 1 + OpenPattern::kLargestWindow);
  }
  EXPECT_GT(end, 5000U + OpenPattern::kLargestWindow / 2 - 1);
}

TEST(OpenPattern, OpensInNoOrderWantNothing) {
  std::mt19937 random(1);  // NOLINT: the same each time
  OpenPattern pattern;
  std::vector<std::size_t> opened(1000);
  for (auto& position : opened) position = random() % 1000000;
  EXPECT_TRUE(wanted_after(pattern, opened).empty());
}

TEST(OpenPattern, SixteenReadersOfOneQueueAreOneStream) {
  std::mt19937 random(1);  // NOLINT
  std::vector<std::size_t> opened(2000);
  for (std::size_t i = 0; i < opened.size(); ++i) opened[i] = i;
  // Each comes up to fifteen places after its turn.
  for (std::size_t i = 16; i + 16 < opened.size(); i += 16)
    std::shuffle(opened.begin() + static_cast<std::ptrdiff_t>(i),
                 opened.begin() + static_cast<std::ptrdiff_t>(i + 16), random);
  OpenPattern pattern;
  std::set<std::size_t> wanted;
  std::size_t unforeseen = 0;
  for (const std::size_t position : opened) {
    unforeseen += wanted.contains(position) ? 0 : 1;
    const auto range = pattern.opened(position);
    for (std::size_t at = range.first; at < range.end; ++at) wanted.insert(at);
  }
  EXPECT_LT(unforeseen, 60U);
}

TEST(OpenPattern, ReadersAtSeveralPlacesAreForeseenEach) {
  OpenPattern pattern;
  std::vector<std::size_t> opened;
  for (std::size_t i = 0; i < 200; ++i) {
    for (std::size_t reader = 0; reader < 16; ++reader) opened.push_back(reader * 1000 + i);
  }
  const auto wanted = wanted_after(pattern, opened);
  for (std::size_t reader = 0; reader < 16; ++reader) {
    for (std::size_t i = 3; i < 200; ++i) ASSERT_TRUE(wanted.contains(reader * 1000 + i));
  }
}

TEST(OpenPattern, WhoIsTrustedNeedsOneOpen) {
  OpenPattern pattern;
  pattern.trust(32);
  EXPECT_EQ(wanted_after(pattern, {0}).size(), 32U);
  OpenPattern elsewhere;
  elsewhere.trust(32);
  EXPECT_TRUE(wanted_after(elsewhere, {500}).empty()) << "who follows an order begins at its beginning";
}

TEST(OpenPattern, WhatCouldNotBeAskedForIsWantedAgain) {
  OpenPattern pattern;
  const auto wanted = wanted_after(pattern, {0, 1, 2});
  ASSERT_TRUE(wanted.contains(3));
  pattern.stopped_at(5);
  EXPECT_EQ(pattern.opened(3).first, 5U);
}

}  // namespace
}  // namespace kmsfs
