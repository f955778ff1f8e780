// What is remembered of a mount that did not end.
#include "cli/mount_record.h"

#include <gtest/gtest.h>

#include <fstream>

#include "tests/cli/scratch_directory.h"

namespace kmsfs::cli {
namespace {

class MountRecords : public ::testing::Test {
 protected:
  Result<MountRecord> begin(const VolumeId& volume) {
    return MountRecord::begin(state_.path(), volume, "/backing", "/mountpoint", clock_);
  }
  std::size_t count() const {
    std::size_t records = 0;
    for (const auto& entry : std::filesystem::directory_iterator(state_.path())) records += entry.exists();
    return records;
  }

  testing::ScratchDirectory state_;
  ManualClock clock_;
  const VolumeId volume_ = VolumeId::random();
};

TEST_F(MountRecords, ACleanEndLeavesNothingBehind) {
  auto record = begin(volume_);
  ASSERT_TRUE(record);
  EXPECT_FALSE(record->unclean_since());
  EXPECT_EQ(count(), 1u);
  ASSERT_TRUE(record->end());
  EXPECT_EQ(count(), 0u);
  EXPECT_FALSE(begin(volume_)->unclean_since());
}

TEST_F(MountRecords, AMountThatDiedIsFoundWithTheTimeOfItsBeginning) {
  const WallTime first = clock_.wall_time();
  { ASSERT_TRUE(begin(volume_)); }  // the process ends without end()
  clock_.advance(std::chrono::hours(1));
  auto next = begin(volume_);
  ASSERT_TRUE(next);
  EXPECT_EQ(next->unclean_since(), first);
}

TEST_F(MountRecords, TwoUncleanEndsInARowCountFromTheFirst) {
  const WallTime first = clock_.wall_time();
  for (int i = 0; i < 2; ++i) {
    ASSERT_TRUE(begin(volume_));
    clock_.advance(std::chrono::hours(1));
  }
  auto third = begin(volume_);
  ASSERT_TRUE(third);
  EXPECT_EQ(third->unclean_since(), first);
  ASSERT_TRUE(third->end());
  EXPECT_EQ(count(), 0u);
}

TEST_F(MountRecords, AMountThatFailedToStartForgetsNothing) {
  { ASSERT_TRUE(begin(volume_)); }
  auto second = begin(volume_);
  ASSERT_TRUE(second);
  second->abandon();
  EXPECT_TRUE(begin(volume_)->unclean_since());
}

TEST_F(MountRecords, ALiveMountIsNotTakenForADeadOne) {
  auto living = begin(volume_);
  ASSERT_TRUE(living);
  EXPECT_FALSE(begin(volume_)->unclean_since());
}

TEST_F(MountRecords, VolumesAreToldApart) {
  { ASSERT_TRUE(begin(volume_)); }
  EXPECT_FALSE(begin(VolumeId::random())->unclean_since());
}

TEST_F(MountRecords, ARecordCutOffWhileItWasWrittenCountsFromTheEpoch) {
  std::ofstream(state_ / (volume_.hex() + "-0011.mount.json")) << "{\"began_ns\": 17";
  auto record = begin(volume_);
  ASSERT_TRUE(record);
  EXPECT_EQ(record->unclean_since(), WallTime(0));
}

}  // namespace
}  // namespace kmsfs::cli
