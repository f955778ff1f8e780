#include "fs/format.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <random>

#include "fs/file_header.h"
#include "tests/support/crypto_environment.h"

namespace kmsfs {
namespace {

// Sizes around every edge of the first few blocks, and far ones.
std::vector<std::uint64_t> interesting_sizes(const Geometry& geometry) {
  std::vector<std::uint64_t> sizes;
  for (std::uint64_t block : {0ULL, 1ULL, 2ULL, 3ULL, 258ULL, 1ULL << 30, 1ULL << 49}) {
    const std::uint64_t edge = geometry.plain_offset_of(block);
    for (std::uint64_t delta = 0; delta <= 2; ++delta) {
      if (edge >= delta) sizes.push_back(edge - delta);
      sizes.push_back(edge + delta);
    }
  }
  return sizes;
}

class GeometryTest : public ::testing::TestWithParam<std::uint32_t> {
 protected:
  Geometry geometry_{GetParam()};
};
INSTANTIATE_TEST_SUITE_P(HeaderSizes, GeometryTest, ::testing::Values(1024, 1536, 3584));

TEST_P(GeometryTest, PlainAndBackingSizeFollowFromEachOther) {
  for (std::uint64_t size : interesting_sizes(geometry_)) {
    const auto back = geometry_.plain_size(geometry_.backing_size(size));
    ASSERT_TRUE(back.ok()) << size;
    EXPECT_EQ(*back, size);
  }
}

TEST_P(GeometryTest, ABackingSizeThatNoPlainSizeHasIsCorrupt) {
  std::vector<bool> possible(5 * kPageSize, false);
  for (std::uint64_t size = 0; geometry_.backing_size(size) < possible.size(); ++size) {
    possible[geometry_.backing_size(size)] = true;
  }
  for (std::uint64_t backing = 0; backing < possible.size(); ++backing) {
    const auto size = geometry_.plain_size(backing);
    ASSERT_EQ(size.ok(), possible[backing]) << backing;
    if (!size) {
      EXPECT_EQ(size.error().kind, Kind::kCorrupt);
    }
  }
}

TEST_P(GeometryTest, EveryByteIsInTheBlockThatSaysSo) {
  for (std::uint64_t offset = 0; offset < 5 * kPageSize; ++offset) {
    const std::uint64_t block = geometry_.block_of(offset);
    ASSERT_LE(geometry_.plain_offset_of(block), offset);
    ASSERT_LT(offset, geometry_.plain_offset_of(block) + geometry_.block_size(block));
    ASSERT_EQ(geometry_.block_count(offset + 1), block + 1);
  }
  EXPECT_EQ(geometry_.block_count(0), 1U);
}

TEST_P(GeometryTest, EverySealedBlockStaysWithinItsPage) {
  for (std::uint64_t block = 0; block < 4; ++block) {
    EXPECT_EQ(geometry_.sealed_offset(block) / kPageSize, block);
    EXPECT_EQ(geometry_.sealed_offset(block) + geometry_.sealed_size(block), (block + 1) * kPageSize);
  }
}

TEST_P(GeometryTest, ThePlainSizeWithinIsTheLargestThatFits) {
  for (std::uint64_t backing = kPageSize; backing < 4 * kPageSize; ++backing) {
    const std::uint64_t size = geometry_.plain_size_within(backing);
    ASSERT_LE(geometry_.backing_size(size), backing);
    ASSERT_GT(geometry_.backing_size(size + 1), backing);
  }
  EXPECT_EQ(geometry_.plain_size_within(0), 0U);
  EXPECT_LE(geometry_.backing_size(geometry_.max_plain_size()),
            static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max()));
}

TEST(Geometry, AHeaderIsWholeSectorsAndLeavesRoomForABlock) {
  EXPECT_TRUE(Geometry::is_header_size(1024));
  EXPECT_TRUE(Geometry::is_header_size(3584));
  for (std::uint32_t size : {0U, 512U, 1023U, 1025U, 4096U, 8192U})
    EXPECT_FALSE(Geometry::is_header_size(size)) << size;
}

FileHeader some_header(std::uint32_t header_size = kDefaultHeaderSize) {
  FileHeader header;
  header.header_size = header_size;
  header.volume_id = VolumeId::random();
  header.file_id = FileId::random();
  random_bytes(header.salt);
  random_bytes(header.commitment);
  random_bytes(header.mac);
  header.key_section.key_arn = "arn:aws:kms:local-1:111122223333:key/11111111-2222-3333-4444-555555555555";
  header.key_section.wrapped_key.resize(184, std::byte{7});
  header.state = {.sequence = 3, .clean = true, .sparse = true, .plain_size = 12345};
  random_bytes(header.state.mac);
  return header;
}

Bytes serialized(const FileHeader& header) {
  Bytes bytes(header.header_size);
  EXPECT_TRUE(header.serialize(bytes).ok());
  return bytes;
}

TEST(FileHeader, WhatIsWrittenIsParsed) {
  for (std::uint32_t size : {1024U, 3584U}) {
    const FileHeader header = some_header(size);
    const auto parsed = FileHeader::parse(serialized(header));
    ASSERT_TRUE(parsed.ok()) << parsed.error().text;
    EXPECT_EQ(parsed->header_size, size);
    EXPECT_EQ(parsed->volume_id, header.volume_id);
    EXPECT_EQ(parsed->file_id, header.file_id);
    EXPECT_EQ(parsed->salt, header.salt);
    EXPECT_EQ(parsed->commitment, header.commitment);
    EXPECT_EQ(parsed->mac, header.mac);
    EXPECT_EQ(parsed->key_section.key_arn, header.key_section.key_arn);
    EXPECT_EQ(parsed->key_section.wrapped_key, header.key_section.wrapped_key);
    EXPECT_EQ(parsed->state.sequence, 3U);
    EXPECT_TRUE(parsed->state.clean);
    EXPECT_TRUE(parsed->state.sparse);
    EXPECT_EQ(parsed->state.plain_size, 12345U);
    EXPECT_EQ(parsed->state.mac, header.state.mac);
  }
}

TEST(FileHeader, CutAtAnyByteIsRejected) {
  const Bytes bytes = serialized(some_header());
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    const auto parsed = FileHeader::parse(ByteView(bytes).first(size));
    ASSERT_FALSE(parsed.ok()) << size;
    EXPECT_EQ(parsed.error().kind, Kind::kCorrupt) << size;
  }
}

TEST(FileHeader, AChangedByteIsRejectedOrChangesWhatIsParsed) {
  const FileHeader header = some_header();
  Bytes bytes = serialized(header);
  for (std::size_t at = 0; at < bytes.size(); ++at) {
    bytes[at] ^= std::byte{0x20};
    if (const auto parsed = FileHeader::parse(bytes)) {
      EXPECT_EQ(serialized(*parsed), bytes) << at;
    }
    bytes[at] ^= std::byte{0x20};
  }
}

TEST(FileHeader, ANewerVersionSuiteFlagOrWayOfWrappingIsUnsupported) {
  const Bytes good = serialized(some_header());
  for (std::size_t at : {9U, 11U, 19U, 153U}) {
    Bytes bytes = good;
    bytes[at] ^= std::byte{4};
    const auto parsed = FileHeader::parse(bytes);
    ASSERT_FALSE(parsed.ok()) << at;
    EXPECT_EQ(parsed.error().kind, Kind::kUnsupported) << at;
  }
  Bytes bytes = good;
  bytes[kDefaultHeaderSize - kStateSlotSize + 11] ^= std::byte{4};  // a flag of the state slot
  EXPECT_EQ(FileHeader::parse(bytes).error().kind, Kind::kUnsupported);
}

TEST(FileHeader, ReservedBytesMustBeZero) {
  const Bytes good = serialized(some_header());
  const std::size_t slot = kDefaultHeaderSize - kStateSlotSize;
  for (std::size_t at : {std::size_t{20}, slot - 1, slot + 12, slot + 24, slot + 479}) {
    Bytes bytes = good;
    bytes[at] = std::byte{1};
    const auto parsed = FileHeader::parse(bytes);
    ASSERT_FALSE(parsed.ok()) << at;
    EXPECT_EQ(parsed.error().kind, Kind::kCorrupt) << at;
  }
}

TEST(FileHeader, AWrappedDataKeyTooLongForTheHeaderIsRefusedInWordsWithBothNumbers) {
  FileHeader header = some_header();
  header.key_section.wrapped_key.resize(354 - header.key_section.key_arn.size());
  Bytes bytes(header.header_size);
  ASSERT_TRUE(header.serialize(bytes).ok());
  ASSERT_TRUE(FileHeader::parse(bytes).ok());

  header.key_section.wrapped_key.push_back(std::byte{0});
  const auto refused = header.serialize(bytes);
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().kind, Kind::kUnsupported);
  EXPECT_NE(refused.error().text.find("355"), std::string::npos) << refused.error().text;
  EXPECT_NE(refused.error().text.find("354"), std::string::npos) << refused.error().text;
}

FileHeader some_header_under_a_branch_key(std::uint32_t header_size = kDefaultHeaderSize) {
  FileHeader header = some_header(header_size);
  SealedDataKey& sealed = header.key_section.sealed_data_key.emplace();
  sealed.branch = BranchId::random();
  random_bytes(sealed.salt);
  random_bytes(sealed.bytes);
  return header;
}

TEST(FileHeader, ADataKeyUnderABranchKeyIsParsedAsItWasWritten) {
  for (std::uint32_t size : {1024U, 3584U}) {
    const FileHeader header = some_header_under_a_branch_key(size);
    const Bytes bytes = serialized(header);
    const auto parsed = FileHeader::parse(bytes);
    ASSERT_TRUE(parsed.ok()) << parsed.error().text;
    EXPECT_EQ(parsed->key_section, header.key_section);
    for (std::size_t cut = 0; cut < bytes.size(); ++cut) {
      EXPECT_FALSE(FileHeader::parse(ByteView(bytes).first(cut)).ok()) << cut;
    }
    for (std::size_t at = 152; at < bytes.size(); ++at) {
      Bytes changed = bytes;
      changed[at] ^= std::byte{0x20};
      if (const auto other = FileHeader::parse(changed)) {
        EXPECT_EQ(serialized(*other), changed) << at;
      }
    }
  }
}

// In all partitions, an ARN of AWS has at most 86 bytes and a wrapped key 184.
TEST(FileHeader, WhatAwsGivesFitsBesideASealedDataKey) {
  FileHeader header = some_header_under_a_branch_key();
  header.key_section.key_arn =
      "arn:aws-us-gov:kms:us-gov-west-1:111122223333:key/11111111-2222-3333-4444-555555555555";
  header.key_section.wrapped_key.resize(184);
  Bytes bytes(header.header_size);
  EXPECT_TRUE(header.serialize(bytes).ok());
  header.key_section.wrapped_key.resize(274 - header.key_section.key_arn.size());
  EXPECT_TRUE(header.serialize(bytes).ok());
  header.key_section.wrapped_key.push_back(std::byte{0});
  const auto refused = header.serialize(bytes);
  ASSERT_FALSE(refused.ok());
  EXPECT_NE(refused.error().text.find("274"), std::string::npos) << refused.error().text;
}

TEST(FileHeader, RandomBytesNeverDoMoreThanFail) {
  std::mt19937 random(5);
  const Bytes good = serialized(some_header());
  for (int round = 0; round < 20000; ++round) {
    Bytes bytes = good;
    for (unsigned change = 0; change < 1 + random() % 4; ++change) {
      bytes[random() % 160] = static_cast<std::byte>(random());
    }
    bytes.resize(random() % (bytes.size() + 1));
    (void)FileHeader::parse(bytes);
  }
}

TEST(StateSlot, IsOneSector) {
  std::array<std::byte, kStateSlotSize> bytes;
  StateSlot{.sequence = 1, .clean = true, .sparse = false, .plain_size = 9}.serialize(bytes);
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    EXPECT_FALSE(StateSlot::parse(std::span(bytes).first(size)).ok()) << size;
  }
  EXPECT_TRUE(StateSlot::parse(bytes).ok());
}

TEST(FileKeys, DependOnEverythingTheyAreFor) {
  const std::array<std::byte, 32> data_key{std::byte{1}};
  const FileHeader header = some_header();
  const auto keys = FileKeys::derive(data_key, header);
  ASSERT_TRUE(keys.ok());
  const auto differ = [&](std::span<const std::byte, 32> key, const FileHeader& other) {
    const auto others = FileKeys::derive(key, other);
    ASSERT_TRUE(others.ok());
    EXPECT_NE(keys->commitment, others->commitment);
    EXPECT_FALSE(std::ranges::equal(keys->content.reveal(), others->content.reveal()));
    EXPECT_FALSE(std::ranges::equal(keys->header.reveal(), others->header.reveal()));
  };
  differ(std::array<std::byte, 32>{std::byte{2}}, header);
  FileHeader other = header;
  other.salt[31] ^= std::byte{1};
  differ(data_key, other);
  other = header;
  other.volume_id = VolumeId::random();
  differ(data_key, other);
  other = header;
  other.file_id = FileId::random();
  differ(data_key, other);
  other = header;
  other.suite = 2;
  differ(data_key, other);
  EXPECT_FALSE(std::ranges::equal(keys->content.reveal(), keys->header.reveal()));
  EXPECT_FALSE(std::ranges::equal(keys->content.reveal(), keys->commitment));
}

}  // namespace
}  // namespace kmsfs
