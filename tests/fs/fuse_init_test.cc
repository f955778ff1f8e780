#include "fs/fuse_init.h"

#include <gtest/gtest.h>

namespace kmsfs {
namespace {

fuse_init_in offer(std::uint64_t flags) {
  fuse_init_in offered{};
  offered.major = FUSE_KERNEL_VERSION;
  offered.minor = 45;
  offered.flags = static_cast<std::uint32_t>(flags);
  offered.flags2 = static_cast<std::uint32_t>(flags >> 32);
  return offered;
}

constexpr std::uint64_t kEverything = ~0ULL;

TEST(FuseInit, NeverAsksForWhatTheKernelDoesNotOffer) {
  for (int bit = 0; bit < 64; ++bit) {
    const auto chosen = chosen_flags(offer(kEverything & ~(1ULL << bit)), {});
    EXPECT_EQ(chosen & (1ULL << bit), 0U) << "bit " << bit;
  }
}

TEST(FuseInit, TakesNoFlagsOfTheSecondWordFromAKernelThatHasNone) {
  const auto chosen = chosen_flags(offer(kEverything & ~std::uint64_t{FUSE_INIT_EXT}), {});
  EXPECT_EQ(chosen >> 32, 0U);
  fuse_init_out reply{};
  amend_init(offer(kEverything & ~std::uint64_t{FUSE_INIT_EXT}), {}, reply);
  EXPECT_EQ(reply.flags & FUSE_INIT_EXT, 0U);
}

TEST(FuseInit, LeavesLocksToTheKernel) {
  EXPECT_EQ(chosen_flags(offer(kEverything), {}) & (FUSE_POSIX_LOCKS | FUSE_FLOCK_LOCKS), 0U);
}

TEST(FuseInit, AsksForLocksAndForgetsWhatMayHaveChangedOnASharedVolume) {
  InitChoices choices;
  choices.shared = true;
  const auto chosen = chosen_flags(offer(kEverything), choices);
  for (const std::uint64_t flag : {std::uint64_t{FUSE_POSIX_LOCKS}, std::uint64_t{FUSE_FLOCK_LOCKS},
                                   std::uint64_t{FUSE_AUTO_INVAL_DATA}, wire::kDirectIoAllowMmap}) {
    EXPECT_NE(chosen & flag, 0U) << flag;
  }
  EXPECT_EQ(chosen & (FUSE_WRITEBACK_CACHE | FUSE_EXPLICIT_INVAL_DATA | FUSE_CACHE_SYMLINKS), 0U);
}

TEST(FuseInit, AsksForAttributesWithNamesUnlessTheyWouldBeStaleAtOnce) {
  InitChoices choices;
  EXPECT_EQ(chosen_flags(offer(kEverything), choices) & FUSE_READDIRPLUS_AUTO, 0U);
  choices.shared = true;
  EXPECT_NE(chosen_flags(offer(kEverything), choices) & FUSE_READDIRPLUS_AUTO, 0U);
}

TEST(FuseInit, ChecksAccessListsOnlyIfChosen) {
  InitChoices choices;
  EXPECT_NE(chosen_flags(offer(kEverything), choices) & FUSE_POSIX_ACL, 0U);
  choices.access_lists = false;
  EXPECT_EQ(chosen_flags(offer(kEverything), choices) & FUSE_POSIX_ACL, 0U);
  choices.access_lists = true;
  choices.check_permissions = false;
  EXPECT_EQ(chosen_flags(offer(kEverything), choices) & FUSE_POSIX_ACL, 0U);
}

TEST(FuseInit, CachesWritesOnlyIfChosen) {
  InitChoices choices;
  EXPECT_NE(chosen_flags(offer(kEverything), choices) & FUSE_WRITEBACK_CACHE, 0U);
  choices.writeback = false;
  EXPECT_EQ(chosen_flags(offer(kEverything), choices) & FUSE_WRITEBACK_CACHE, 0U);
}

// The kernel would hold every request back.
TEST(FuseInit, AgreesOnRingsOnlyIfThereWillBeSome) {
  InitChoices choices;
  EXPECT_EQ(chosen_flags(offer(kEverything), choices) & wire::kOverIoUring, 0U);
  choices.over_io_uring = true;
  EXPECT_NE(chosen_flags(offer(kEverything), choices) & wire::kOverIoUring, 0U);
}

TEST(FuseInit, ClearsSetIdBitsItselfSoThatWritesCostNoGetxattr) {
  EXPECT_NE(chosen_flags(offer(kEverything), {}) & FUSE_HANDLE_KILLPRIV_V2, 0U);
}

TEST(FuseInit, DropsPagesOnRequestOnly) {
  const auto chosen = chosen_flags(offer(kEverything), {});
  EXPECT_EQ(chosen & FUSE_AUTO_INVAL_DATA, 0U);
  EXPECT_NE(chosen & FUSE_EXPLICIT_INVAL_DATA, 0U);
}

TEST(FuseInit, KeepsLibfusesSizesAndVersion) {
  fuse_init_out reply{};
  reply.minor = 31;
  reply.max_write = kMaxWrite;
  reply.max_pages = 256;
  reply.max_readahead = 131072;
  amend_init(offer(kEverything), {}, reply);
  EXPECT_EQ(reply.minor, 31U);
  EXPECT_EQ(reply.max_write, kMaxWrite);
  EXPECT_EQ(reply.max_pages, 256U);
  EXPECT_EQ(reply.max_readahead, 131072U);
  EXPECT_EQ(reply.time_gran, 1U);
  EXPECT_GE(reply.max_background, 64U);
  EXPECT_LT(reply.congestion_threshold, reply.max_background);
}

}  // namespace
}  // namespace kmsfs
