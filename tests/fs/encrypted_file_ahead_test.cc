// What was sealed before a write: it takes part in that write, and in nothing else.
#include <random>

#include "fs/encrypted_file.h"
#include "tests/support/crypto_environment.h"
#include "tests/support/sample_files.h"

namespace kmsfs::testing {
namespace {

class SealedAheadTest : public EncryptedFileTest {
 protected:
  static constexpr std::size_t kSize = 100'000;

  static Bytes read(const EncryptedFile& file, std::uint64_t offset, std::size_t size = kSize) {
    Bytes back(size);
    auto got = file.read_at(offset, back);
    EXPECT_TRUE(got.ok());
    EXPECT_EQ(got ? *got : 0, size);
    return back;
  }
  // Writes `data` after something else was sealed ahead: what of that is then in the file was sealed ahead.
  std::uint64_t blocks_taken_from_ahead(EncryptedFile& file, std::uint64_t offset, const Bytes& data) {
    const Bytes other = some_bytes(data.size(), 99);
    const SealedAhead ahead = file.seal_ahead(offset, other);
    EXPECT_TRUE(file.write_at(offset, data, ahead).ok());
    const Bytes back = read(file, offset, data.size());
    std::uint64_t taken = 0, end = offset + data.size();
    for (std::uint64_t index = geometry_.block_of(offset); index <= geometry_.block_of(end - 1); ++index) {
      const std::uint64_t from = std::max(offset, geometry_.plain_offset_of(index));
      const std::uint64_t to = std::min(end, geometry_.plain_offset_of(index + 1));
      const auto part = [&](const Bytes& bytes) { return ByteView(bytes).subspan(from - offset, to - from); };
      if (std::ranges::equal(part(back), part(other))) {
        EXPECT_EQ(to - from, geometry_.block_size(index)) << "a block given in part is merged when written";
        ++taken;
      } else {
        EXPECT_TRUE(std::ranges::equal(part(back), part(data))) << index;
      }
    }
    return taken;
  }
};

TEST_F(SealedAheadTest, WholeBlocksAreTakenAndEdgesSealedAnew) {
  for (const std::uint64_t offset : {0ULL, 1ULL, 3032ULL, 5000ULL, 7088ULL, 50'000ULL, 100'000ULL}) {
    auto file = create("file");
    ASSERT_TRUE(file->write_at(0, some_bytes(kSize, 3)).ok());
    const std::uint64_t end = offset + kSize;
    std::uint64_t whole = 0;
    for (std::uint64_t index = geometry_.block_of(offset); geometry_.plain_offset_of(index + 1) <= end;
         ++index) {
      if (geometry_.plain_offset_of(index) >= offset) ++whole;
    }
    EXPECT_EQ(blocks_taken_from_ahead(*file, offset, some_bytes(kSize)), whole) << offset;
  }
}

TEST_F(SealedAheadTest, ItServesOneWrite) {
  auto file = create("file");
  const SealedAhead ahead = file->seal_ahead(0, some_bytes(kSize, 99));
  ASSERT_TRUE(file->write_at(0, some_bytes(kSize, 99), ahead).ok());
  ASSERT_TRUE(file->write_at(0, some_bytes(kSize, 2), ahead).ok());
  EXPECT_EQ(*contents(*file), some_bytes(kSize, 2));
}

TEST_F(SealedAheadTest, ItServesItsOwnPlaceOnly) {
  const Bytes other = some_bytes(kSize, 99), data = some_bytes(kSize);
  for (const std::uint64_t offset : {1ULL, 4056ULL}) {
    auto file = create("file");
    ASSERT_TRUE(file->write_at(offset, data, file->seal_ahead(0, other)).ok());
    EXPECT_EQ(read(*file, offset), data);
  }
  auto file = create("file");
  ASSERT_TRUE(file->write_at(0, ByteView(data).first(50'000), file->seal_ahead(0, other)).ok());
  EXPECT_EQ(*contents(*file), Bytes(data.begin(), data.begin() + 50'000));
}

TEST_F(SealedAheadTest, WhateverTheThreadReadsOrWritesBetweenMakesItWorthless) {
  auto other_file = create("other");
  ASSERT_TRUE(other_file->write_at(0, some_bytes(kSize, 5)).ok());
  const std::vector<std::function<void(EncryptedFile&)>> uses = {
      [&](EncryptedFile&) { EXPECT_TRUE(contents(*other_file).ok()); },
      [&](EncryptedFile&) { EXPECT_TRUE(other_file->write_at(10, some_bytes(kSize, 6)).ok()); },
      [&](EncryptedFile& file) { EXPECT_TRUE(file.truncate(300'000).ok()); },  // writes zeros
      [&](EncryptedFile& file) { file.seal_ahead(0, some_bytes(kSize, 7)); },
  };
  for (const auto& use : uses) {
    auto file = create("file");
    const SealedAhead ahead = file->seal_ahead(0, some_bytes(kSize, 99));
    use(*file);
    ASSERT_TRUE(file->write_at(0, some_bytes(kSize), ahead).ok());
    EXPECT_EQ(read(*file, 0), some_bytes(kSize));
  }
}

TEST_F(SealedAheadTest, AGapBeforeItIsFilledAllTheSame) {
  auto file = create("file");
  ASSERT_TRUE(file->write_at(0, some_bytes(100)).ok());
  const Bytes data = some_bytes(kSize, 2);
  ASSERT_TRUE(file->write_at(500'000, data, file->seal_ahead(500'000, data)).ok());
  EXPECT_EQ(read(*file, 500'000), data);
  EXPECT_TRUE(all_zero(read(*file, 100, 499'900)));
}

TEST_F(SealedAheadTest, WithoutKeysNothingIsSealedAndTheWriteSaysWhy) {
  auto file = create("file");
  file->drop_keys();
  const SealedAhead ahead = file->seal_ahead(0, some_bytes(kSize));
  EXPECT_EQ(ahead.size, 0U);
  EXPECT_EQ(file->write_at(0, some_bytes(kSize), ahead).error().kind, Kind::kExpired);
}

TEST_F(SealedAheadTest, PlacesAndSizesOfAllKindsReadBackAsWritten) {
  std::mt19937 random(1);
  auto file = create("file");
  Bytes expected;
  for (unsigned i = 0; i < 300; ++i) {
    const std::uint64_t offset = random() % 2'500'000;
    const Bytes data = some_bytes(1 + random() % (i % 10 == 0 ? 2'300'000 : 70'000), i);
    ASSERT_TRUE(file->write_at(offset, data, file->seal_ahead(offset, data)).ok());
    expected.resize(std::max(expected.size(), offset + data.size()));
    std::ranges::copy(data, expected.begin() + static_cast<std::ptrdiff_t>(offset));
  }
  EXPECT_EQ(*contents(*file), expected);
  ASSERT_TRUE(file->mark_clean().ok());
  EXPECT_EQ(*open_and_read("file"), expected);
}

}  // namespace
}  // namespace kmsfs::testing
