// What Mallory can do to a backing file, and what comes of it: an error, and never other data.
#include <fcntl.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <functional>

#include "fs/errno.h"
#include "tests/support/sample_files.h"

namespace kmsfs::testing {
namespace {

constexpr std::uint64_t kMebibyte = 1 << 20;
constexpr std::size_t kSlot = kDefaultHeaderSize - kStateSlotSize;

class CorruptionTest : public EncryptedFileTest {
 protected:
  // Opened as it is, and under recovery, the file gives an error, or exactly `content` if that is allowed.
  void expect_refused(const std::string& what, bool same_is_fine = false) {
    const auto got = open_and_read("file");
    if (got) {
      EXPECT_TRUE(same_is_fine) << what << " went unnoticed";
      EXPECT_TRUE(*got == content_) << what << " gave other data";
      return;
    }
    EXPECT_TRUE(got.error().kind == Kind::kCorrupt || got.error().kind == Kind::kUnsupported)
        << what << ": " << got.error().text;
    EXPECT_TRUE(to_errno(got.error()) == EIO || to_errno(got.error()) == EOPNOTSUPP) << what;
  }

  const Bytes content_ = some_bytes(3032 + 4056 + 1000);  // three blocks
};

TEST_F(CorruptionTest, FlippingAnyByteOfAThreeBlockFileNeverGivesOtherData) {
  make("file", content_);
  Bytes bytes = backing("file");
  ASSERT_EQ(bytes.size(), 3 * kPageSize + 1000);
  const std::size_t key_section_end = kFixedFieldsSize + 6 + std::strlen(kArn) + wrapped_.size();
  for (std::size_t at = 0; at < bytes.size(); ++at) {
    bytes[at] ^= static_cast<std::byte>(1 << at % 8);
    set_backing("file", bytes);
    // The key section is the KMS's to check, and the tail past the last page belongs to no block.
    const bool elsewhere = (at >= kFixedFieldsSize && at < key_section_end) || at >= 3 * kPageSize;
    expect_refused("byte " + std::to_string(at), elsewhere);
    bytes[at] ^= static_cast<std::byte>(1 << at % 8);
  }
}

TEST_F(CorruptionTest, SwappingAnyTwoBlocksIsCorrupt) {
  make("file", some_bytes(3032 + 4 * 4056));
  const Bytes good = backing("file");
  for (std::size_t a = 0; a < 5; ++a) {
    for (std::size_t b = a + 1; b < 5; ++b) {
      Bytes bytes = good;
      const std::size_t within = a == 0 ? kDefaultHeaderSize : 0;
      std::swap_ranges(bytes.begin() + static_cast<long>(a * kPageSize + within),
                       bytes.begin() + static_cast<long>((a + 1) * kPageSize),
                       bytes.begin() + static_cast<long>(b * kPageSize));
      set_backing("file", bytes);
      expect_refused("swap of " + std::to_string(a) + " and " + std::to_string(b));
    }
  }
}

TEST_F(CorruptionTest, ABlockOfAnotherFileOrVolumeIsCorruptEvenUnderTheSameKey) {
  make("file", content_);
  make("other", content_);
  auto foreign = create("foreign", FileId::random(), VolumeId::random());
  ASSERT_TRUE(foreign->write_at(0, content_).ok());
  ASSERT_TRUE(foreign->mark_clean().ok());
  for (const char* from : {"other", "foreign"}) {
    const Bytes theirs = backing(from);
    for (std::size_t page = 0; page < 3; ++page) {
      make("file", content_);
      Bytes bytes = backing("file");
      const std::size_t start = page == 0 ? kDefaultHeaderSize : page * kPageSize;
      std::copy(theirs.begin() + static_cast<long>(start),
                theirs.begin() + static_cast<long>((page + 1) * kPageSize),
                bytes.begin() + static_cast<long>(start));
      set_backing("file", bytes);
      expect_refused(std::string("block from ") + from);
    }
  }
}

TEST_F(CorruptionTest, AFileOfAnotherVolumeIsRefused) {
  auto foreign = create("file", FileId::random(), VolumeId::random());
  ASSERT_TRUE(foreign->write_at(0, content_).ok());
  ASSERT_TRUE(foreign->mark_clean().ok());
  expect_refused("a foreign file");
}

TEST_F(CorruptionTest, ACleanFileOfAnyOtherLengthIsRefused) {
  make("file", content_);
  const Bytes good = backing("file");
  for (std::size_t size = 0; size < good.size() + 2 * kPageSize; ++size) {
    const std::size_t to_sector = std::min(size % kSectorSize, kSectorSize - size % kSectorSize);
    const std::size_t to_end = size > good.size() ? size - good.size() : good.size() - size;
    const bool interesting = to_sector <= 1 || to_end <= 3 || size % 61 == 0;
    if (!interesting || size == good.size()) continue;
    Bytes bytes = good;
    bytes.resize(size);
    set_backing("file", bytes);
    expect_refused("length " + std::to_string(size));
  }
}

TEST_F(CorruptionTest, APageOfZerosIsCorruptUnlessTheFileIsSparse) {
  make("file", content_);
  const Bytes good = backing("file");
  for (std::size_t page = 0; page < 3; ++page) {
    Bytes bytes = good;
    const std::size_t start = page == 0 ? kDefaultHeaderSize : page * kPageSize;
    std::fill(bytes.begin() + static_cast<long>(start),
              bytes.begin() + static_cast<long>((page + 1) * kPageSize), std::byte{0});
    set_backing("file", bytes);
    expect_refused("zeroed page " + std::to_string(page));
    auto file = *open("file");  // neither does a write take the zeros for data
    EXPECT_EQ(file->write_at(geometry_.plain_offset_of(page) + 1, some_bytes(1)).error().kind,
              Kind::kCorrupt);
  }
}

TEST_F(CorruptionTest, AHolePunchedBehindOurBackIsCorrupt) {
  make("file", content_);
  auto fd = real_.open_at(directory_.get(), "file", O_RDWR, 0);
  ASSERT_TRUE(
      real_.allocate(fd->get(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, kPageSize, kPageSize).ok());
  expect_refused("a punched page");
}

TEST_F(CorruptionTest, ASparseFileStillRefusesEverythingButZeros) {
  auto file = create("file");
  ASSERT_TRUE(file->write_at(2 * kMebibyte, some_bytes(10)).ok());
  ASSERT_TRUE(file->mark_clean().ok());
  Bytes bytes = backing("file");
  bytes[10 * kPageSize] = std::byte{1};  // no longer all zero
  set_backing("file", bytes);
  EXPECT_EQ(open_and_read("file").error().kind, Kind::kCorrupt);
}

TEST_F(CorruptionTest, TheHeaderOfAnotherFileOpensNothing) {
  make("file", content_);
  make("other", content_);
  const Bytes mine = backing("file");
  const Bytes theirs = backing("other");
  const auto surgery = [&](std::size_t from, std::size_t to) {
    Bytes bytes = mine;
    std::copy(theirs.begin() + static_cast<long>(from), theirs.begin() + static_cast<long>(to),
              bytes.begin() + static_cast<long>(from));
    set_backing("file", bytes);
  };
  surgery(0, kDefaultHeaderSize);
  expect_refused("the whole header");
  surgery(0, kFixedFieldsSize);
  expect_refused("the fixed fields");
  surgery(40, 56);
  expect_refused("the file id");
  surgery(56, 88);
  expect_refused("the salt");
  surgery(88, 120);
  expect_refused("the commitment");
  surgery(88, 152);
  expect_refused("commitment and MAC");
  surgery(kSlot, kDefaultHeaderSize);
  expect_refused("the state slot");
}

TEST_F(CorruptionTest, AnotherDataKeyIsRefusedByTheCommitmentBeforeAnyBlockIsRead) {
  make("file", content_);
  data_key_[5] ^= std::byte{1};
  disk_.reset_counts();
  const auto refused = open("file");
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().kind, Kind::kCorrupt);
  EXPECT_EQ(disk_.count(FaultyDisk::Call::kRead), 1U) << "the header's";
}

TEST_F(CorruptionTest, AnotherKeySectionIsNotOurs) {
  make("file", content_);
  auto fd = disk_.open_at(directory_.get(), "file", O_RDWR, 0);
  auto header = **read_file_header(disk_, fd->get(), geometry_);
  header.key_section.key_arn = "arn:aws:kms:eu-west-1:444455556666:key/99999999-2222-3333-4444-555555555555";
  header.key_section.wrapped_key = some_bytes(200, 9);
  Bytes bytes(kDefaultHeaderSize);
  ASSERT_TRUE(header.serialize(bytes).ok());
  ASSERT_TRUE(disk_.write_at(fd->get(), 0, bytes).ok());
  EXPECT_EQ(*open_and_read("file"), content_) << "a rotator may rewrap";
}

TEST_F(CorruptionTest, ADamagedBlockHurtsOnlyItself) {
  make("file", some_bytes(3032 + 4 * 4056));
  Bytes bytes = backing("file");
  bytes[2 * kPageSize + 100] ^= std::byte{1};
  set_backing("file", bytes);
  auto file = *open("file");
  const std::uint64_t bad = geometry_.plain_offset_of(2);
  Bytes before(bad);
  Bytes after(2 * kBlockSize);
  EXPECT_TRUE(file->read_at(0, before).ok());
  EXPECT_TRUE(file->read_at(bad + kBlockSize, after).ok());
  Bytes over(bad + 1, std::byte{0});
  EXPECT_EQ(file->read_at(0, over).error().kind, Kind::kCorrupt);
  EXPECT_TRUE(all_zero(over)) << "no byte of a run that failed is left";
  EXPECT_EQ(file->write_at(bad + 1, some_bytes(1)).error().kind, Kind::kCorrupt) << "no damage is sealed in";
  EXPECT_TRUE(file->write_at(bad, some_bytes(kBlockSize)).ok()) << "a whole new block cures it";
  EXPECT_TRUE(contents(*file).ok());
}

TEST_F(CorruptionTest, ABackingFileCutUnderAnOpenFileIsCorruptNotShort) {
  make("file", content_);
  auto file = *open("file");
  ASSERT_EQ(::truncate((scratch_.path() / "file").c_str(), 2 * kPageSize), 0);
  EXPECT_EQ(contents(*file).error().kind, Kind::kCorrupt);
}

}  // namespace
}  // namespace kmsfs::testing
