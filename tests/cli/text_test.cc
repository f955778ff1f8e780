#include "cli/text.h"

#include <gtest/gtest.h>

#include "cli/exit_codes.h"

namespace kmsfs::cli {
namespace {

TEST(Text, SizesAreReadableAndExact) {
  EXPECT_EQ(readable_size(1), "1 byte");
  EXPECT_EQ(readable_size(1023), "1023 bytes");
  EXPECT_EQ(readable_size(1536), "1.5 KiB (1536 bytes)");
  EXPECT_EQ(readable_size(1ull << 40), "1.0 TiB (1099511627776 bytes)");
}

TEST(Text, DurationsAreReadable) {
  EXPECT_EQ(readable_duration(0), "0 s");
  EXPECT_EQ(readable_duration(90061), "1 d 1 h 1 min 1 s");
}

TEST(ExitCodes, WhatAKmsAnswersIsToldApart) {
  EXPECT_EQ(exit_code_of(error(Kind::kDenied, "")), ExitCode::kDenied);
  EXPECT_EQ(exit_code_of(error(Kind::kDisabled, "")), ExitCode::kKeyUnusable);
  EXPECT_EQ(exit_code_of(error(Kind::kKeyGone, "")), ExitCode::kKeyUnusable);
  EXPECT_EQ(exit_code_of(error(Kind::kUnavailable, "")), ExitCode::kKmsUnreachable);
  EXPECT_EQ(exit_code_of(error(Kind::kThrottled, "")), ExitCode::kKmsUnreachable);
  EXPECT_EQ(exit_code_of(error(Kind::kCorrupt, "")), ExitCode::kCorrupt);
}

TEST(ExitCodes, NumbersKeepTheirMeaning) {  // kmsfs.1 lists them
  EXPECT_EQ(static_cast<int>(ExitCode::kUsage), 2);
  EXPECT_EQ(static_cast<int>(ExitCode::kNotAVolume), 3);
  EXPECT_EQ(static_cast<int>(ExitCode::kSealed), 4);
  EXPECT_EQ(static_cast<int>(ExitCode::kDenied), 5);
  EXPECT_EQ(static_cast<int>(ExitCode::kKeyUnusable), 6);
  EXPECT_EQ(static_cast<int>(ExitCode::kKmsUnreachable), 7);
  EXPECT_EQ(static_cast<int>(ExitCode::kMountpoint), 8);
  EXPECT_EQ(static_cast<int>(ExitCode::kBusy), 9);
  EXPECT_EQ(static_cast<int>(ExitCode::kCorrupt), 10);
  EXPECT_EQ(static_cast<int>(ExitCode::kUnsupported), 11);
  EXPECT_EQ(static_cast<int>(ExitCode::kNotMounted), 12);
}

}  // namespace
}  // namespace kmsfs::cli
