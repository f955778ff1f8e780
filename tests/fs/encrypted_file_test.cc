#include "fs/encrypted_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <random>

#include "fs/errno.h"
#include "tests/support/crypto_environment.h"
#include "tests/support/sample_files.h"

namespace kmsfs::testing {
namespace {

constexpr std::uint64_t kMebibyte = 1 << 20;

TEST_F(EncryptedFileTest, ANewFileIsEmptyAndOnePage) {
  auto file = create("new");
  EXPECT_EQ(file->size(), 0U);
  EXPECT_FALSE(file->clean());
  EXPECT_EQ(backing("new").size(), kPageSize);
  std::array<std::byte, 8> out;
  EXPECT_EQ(*file->read_at(0, out), 0U);
}

TEST_F(EncryptedFileTest, WhatWasWrittenIsReadAfterOpeningAgain) {
  for (std::size_t size : {1, 3031, 3032, 3033, 7087, 7088, 7089, 11144, 100000, 2100000}) {
    const Bytes content = some_bytes(size);
    make("file", content);
    const auto back = open_and_read("file");
    ASSERT_TRUE(back.ok()) << size << " " << back.error().text;
    EXPECT_EQ(*back, content) << size;
    EXPECT_EQ(backing("file").size(), geometry_.backing_size(size));
  }
}

TEST_F(EncryptedFileTest, NoPlainByteReachesTheBackingFile) {
  const Bytes content(20000, std::byte{'A'});
  make("file", content);
  const std::string stored = scratch_.read("file");
  EXPECT_EQ(stored.find("AAAA"), std::string::npos);
}

TEST_F(EncryptedFileTest, AReadAndAWriteOfOneMebibyteAreOneCallEach) {
  auto file = create("file");
  const Bytes content = some_bytes(3 * kMebibyte);
  ASSERT_TRUE(file->write_at(0, content).ok());
  ASSERT_TRUE(file->mark_clean().ok());
  Bytes out(kMebibyte);
  for (std::uint64_t offset : {0ULL, 3031ULL, 3032ULL, 1000000ULL}) {
    disk_.reset_counts();
    ASSERT_TRUE(file->read_at(offset, out).ok());
    EXPECT_EQ(disk_.count(FaultyDisk::Call::kRead), 1U) << offset;
    disk_.reset_counts();
    ASSERT_TRUE(file->write_at(offset, out).ok());
    EXPECT_EQ(disk_.count(FaultyDisk::Call::kWrite), 1U) << offset;
    EXPECT_EQ(disk_.count(FaultyDisk::Call::kAttribute), 0U) << "no stat for a write";
    EXPECT_LE(disk_.count(FaultyDisk::Call::kRead), 2U) << "only the edges are read";
  }
  EXPECT_EQ(*contents(*file), content);
}

TEST_F(EncryptedFileTest, AnOverwriteOfAPageIsOneReadAndOneWrite) {
  make("file", some_bytes(100000));
  auto file = *open("file");
  disk_.reset_counts();
  ASSERT_TRUE(file->write_at(40960, some_bytes(4096, 2)).ok());
  EXPECT_EQ(disk_.count(FaultyDisk::Call::kRead), 1U);
  EXPECT_EQ(disk_.count(FaultyDisk::Call::kWrite), 1U);
  EXPECT_TRUE(file->clean()) << "overwriting touches no header";
}

TEST_F(EncryptedFileTest, SmallAppendsReadNothing) {
  auto file = create("file");
  Bytes content;
  disk_.reset_counts();
  for (unsigned i = 0; i < 200; ++i) {
    const Bytes piece = some_bytes(100, i);
    ASSERT_TRUE(file->write_at(content.size(), piece).ok());
    content.insert(content.end(), piece.begin(), piece.end());
  }
  EXPECT_EQ(disk_.count(FaultyDisk::Call::kRead), 0U);
  EXPECT_EQ(*contents(*file), content);
}

TEST_F(EncryptedFileTest, TheSlotIsWrittenOncePerOpenAndClose) {
  make("file", some_bytes(10));
  auto file = *open("file");
  const auto sequence = [&] {
    return load_be64(backing("file").data() + kDefaultHeaderSize - kStateSlotSize);
  };
  const std::uint64_t before = sequence();
  for (std::uint64_t i = 0; i < 100; ++i) ASSERT_TRUE(file->write_at(10 + i, some_bytes(1)).ok());
  EXPECT_FALSE(file->clean());
  ASSERT_TRUE(file->mark_clean().ok());
  ASSERT_TRUE(file->mark_clean().ok());
  EXPECT_EQ(sequence(), before + 2);
}

TEST_F(EncryptedFileTest, AFileThatSaysCleanOpensWithItsSizeAndOneThatDoesNotWithTheBackingSize) {
  auto file = create("file");
  ASSERT_TRUE(file->write_at(0, some_bytes(5000)).ok());
  auto second = open("file");  // the first is still at work
  ASSERT_TRUE(second.ok());
  EXPECT_FALSE((*second)->clean());
  EXPECT_EQ((*second)->size(), 5000U);
  ASSERT_TRUE(file->sync(false).ok());
  EXPECT_TRUE((*open("file"))->clean());
}

TEST_F(EncryptedFileTest, ALargeGapIsAHoleAndASmallOneIsNot) {
  auto small = create("small");
  ASSERT_TRUE(small->write_at(0, some_bytes(10)).ok());
  ASSERT_TRUE(small->write_at(10 + kMebibyte - 1, some_bytes(10)).ok());
  EXPECT_FALSE(small->sparse());
  auto large = create("large");
  ASSERT_TRUE(large->write_at(0, some_bytes(10)).ok());
  disk_.reset_counts();
  ASSERT_TRUE(large->write_at(10 + kMebibyte, some_bytes(10)).ok());
  EXPECT_TRUE(large->sparse());
  EXPECT_EQ(disk_.count(FaultyDisk::Call::kSync), 1U) << "sparse is durable before the first hole";
  ASSERT_TRUE(large->write_at(5 * kMebibyte, some_bytes(10)).ok());
  EXPECT_EQ(disk_.count(FaultyDisk::Call::kSync), 1U) << "once in a file's life";
  for (auto* file : {&small, &large}) {
    const Bytes all = *contents(**file);
    EXPECT_TRUE(all_zero(std::span(all).subspan(10, kMebibyte - 1)));
  }
  ASSERT_TRUE(large->mark_clean().ok());
  EXPECT_TRUE((*open("large"))->sparse());
}

TEST_F(EncryptedFileTest, SeekFindsDataAndHoles) {
  auto file = create("file");
  ASSERT_TRUE(file->write_at(0, some_bytes(100)).ok());
  EXPECT_EQ(*file->seek(5, SEEK_DATA), 5U);
  EXPECT_EQ(*file->seek(5, SEEK_HOLE), 100U);
  EXPECT_EQ(file->seek(100, SEEK_DATA).error().system_errno, ENXIO);
  EXPECT_EQ(file->seek(100, SEEK_HOLE).error().system_errno, ENXIO);

  ASSERT_TRUE(file->write_at(4 * kMebibyte, some_bytes(100)).ok());
  EXPECT_EQ(*file->seek(0, SEEK_DATA), 0U);
  const std::uint64_t hole = *file->seek(0, SEEK_HOLE);
  EXPECT_EQ(hole, geometry_.first_block_size());
  EXPECT_EQ(*file->seek(hole + 5, SEEK_HOLE), hole + 5);
  const std::uint64_t data = *file->seek(hole, SEEK_DATA);
  EXPECT_EQ(data, geometry_.plain_offset_of(geometry_.block_of(4 * kMebibyte)));
  EXPECT_EQ(*file->seek(data, SEEK_HOLE), file->size());
  ASSERT_TRUE(file->truncate(16 * kMebibyte).ok());
  EXPECT_EQ(file->seek(10 * kMebibyte, SEEK_DATA).error().system_errno, ENXIO);
}

TEST_F(EncryptedFileTest, AllocateReservesWithoutMakingUnreadablePages) {
  for (bool keep_size : {true, false}) {
    auto file = create("file");
    const Bytes content = some_bytes(5000);
    ASSERT_TRUE(file->write_at(0, content).ok());
    ASSERT_TRUE(file->allocate(1000, 100000, keep_size).ok());
    EXPECT_EQ(file->size(), keep_size ? 5000U : 101000U);
    Bytes wanted = content;
    wanted.resize(file->size());
    EXPECT_EQ(*contents(*file), wanted);
    ASSERT_TRUE(file->truncate(60000).ok());
    ASSERT_TRUE(file->mark_clean().ok());
    wanted.resize(60000);
    EXPECT_EQ(*open_and_read("file"), wanted);
  }
}

TEST_F(EncryptedFileTest, APunchGivesSpaceBack) {
  make("file", some_bytes(4 * kMebibyte));
  auto file = *open("file");
  const auto before = real_.stat(file->fd())->st_blocks;
  ASSERT_TRUE(file->punch(1000, 3 * kMebibyte).ok());
  EXPECT_LT(real_.stat(file->fd())->st_blocks, before / 2);
  EXPECT_EQ(file->size(), 4 * kMebibyte);
  Bytes wanted = some_bytes(4 * kMebibyte);
  std::fill_n(wanted.begin() + 1000, 3 * kMebibyte, std::byte{0});
  EXPECT_EQ(*contents(*file), wanted);
}

TEST_F(EncryptedFileTest, BytesCutOffDoNotComeBackWhenTheFileGrows) {
  for (std::uint64_t cut : {0, 1, 3000, 3032, 3033, 7000, 7088, 9000}) {
    for (std::uint64_t grown :
         {cut + 1, std::uint64_t{3032}, std::uint64_t{10000}, std::uint64_t{3 * kMebibyte}}) {
      if (grown <= cut) continue;
      make("file", some_bytes(20000));
      auto file = *open("file");
      ASSERT_TRUE(file->truncate(cut).ok());
      ASSERT_TRUE(file->truncate(grown).ok());
      Bytes wanted = some_bytes(20000);
      wanted.resize(cut);
      wanted.resize(grown);
      const auto got = contents(*file);
      ASSERT_TRUE(got.ok()) << cut << " " << grown << " " << got.error().text;
      EXPECT_EQ(*got, wanted) << cut << " " << grown;
    }
  }
}

TEST_F(EncryptedFileTest, WithoutKeysNothingIsReadOrWrittenUntilTheSameKeyIsBack) {
  auto file = create("file");
  const Bytes content = some_bytes(9000);
  ASSERT_TRUE(file->write_at(0, content).ok());
  file->drop_keys();
  EXPECT_FALSE(file->has_keys());
  std::array<std::byte, 10> out;
  EXPECT_EQ(file->read_at(0, out).error().kind, Kind::kExpired);
  EXPECT_EQ(file->write_at(0, out).error().kind, Kind::kExpired);
  EXPECT_EQ(file->truncate(1).error().kind, Kind::kExpired);
  EXPECT_EQ(file->allocate(0, 1, false).error().kind, Kind::kExpired);
  EXPECT_EQ(file->zero(0, 1, false).error().kind, Kind::kExpired);
  EXPECT_EQ(file->punch(0, 1).error().kind, Kind::kExpired);
  EXPECT_EQ(to_errno(file->read_at(0, out).error()), EKEYEXPIRED);
  EXPECT_EQ(file->size(), 9000U);
  EXPECT_TRUE(file->mark_clean().ok()) << "closing a file needs no content key";

  auto other_key = data_key_;
  other_key[0] ^= std::byte{1};
  EXPECT_EQ(file->rekey(other_key).error().kind, Kind::kCorrupt);
  EXPECT_FALSE(file->has_keys());
  ASSERT_TRUE(file->rekey(data_key_).ok());
  EXPECT_EQ(*contents(*file), content);
}

TEST_F(EncryptedFileTest, AFileCutWhileItsKeysAreGoneStaysNotClean) {
  make("file", some_bytes(9000));
  auto file = *open("file");
  ASSERT_TRUE(file->truncate(5000).ok());
  file->drop_keys();
  EXPECT_TRUE(file->sync(false).ok());
  EXPECT_FALSE((*open("file"))->clean());
}

TEST_F(EncryptedFileTest, NoCallThatFailsLosesSizeOrData) {
  const Bytes old = some_bytes(9000);
  struct Growth {
    std::uint64_t offset;
    std::size_t size;
  };
  for (const Growth& growth :
       {Growth{9000, 100}, Growth{8000, 5000}, Growth{9000, 50000}, Growth{20000, 10},
        Growth{3 * kMebibyte, 5000}, Growth{9000, 3 * kMebibyte}, Growth{9500, 1000}}) {
    for (int nth = 1;; ++nth) {
      make("file", old);
      auto file = *open("file");
      if (nth % 2 == 0) {  // with bytes past the end that mean nothing
        ASSERT_TRUE(file->truncate(12000).ok());
        ASSERT_TRUE(file->write_at(9000, some_bytes(3000, 5)).ok());
        ASSERT_TRUE(file->truncate(9000).ok());
      }
      disk_.fail_change(nth, ENOSPC);
      const Bytes data = some_bytes(growth.size, 9);
      const auto result = file->write_at(growth.offset, data);
      const bool failed = disk_.has_failed();
      disk_.heal();
      if (!failed) break;
      ASSERT_FALSE(result.ok());
      EXPECT_EQ(to_errno(result.error()), ENOSPC);
      EXPECT_EQ(file->size(), old.size());
      const Bytes now = *contents(*file);
      const std::size_t overwritten = std::min<std::uint64_t>(growth.offset, old.size());
      EXPECT_TRUE(std::equal(now.begin(), now.begin() + overwritten, old.begin())) << nth;
      ASSERT_TRUE(file->truncate(15000).ok());  // and what it wrote past the end does not show
      const Bytes grown = *contents(*file);
      EXPECT_TRUE(all_zero(std::span(grown).subspan(9000))) << nth << " " << growth.offset;
      ASSERT_TRUE(file->mark_clean().ok());
      EXPECT_EQ(*open_and_read("file"), grown);
    }
  }
}

TEST_F(EncryptedFileTest, AWriteCutShortByAFullDiskIsUndone) {
  for (std::size_t pages = 1; pages < 12; ++pages) {
    make("file", some_bytes(9000));
    auto file = *open("file");
    disk_.cut_write(2, pages * kPageSize, ENOSPC);  // the first write is the state slot's
    ASSERT_FALSE(file->write_at(9000, some_bytes(50000, 2)).ok());
    disk_.heal();
    EXPECT_EQ(*contents(*file), some_bytes(9000));
    ASSERT_TRUE(file->truncate(40000).ok());
    const Bytes grown = *contents(*file);
    EXPECT_TRUE(all_zero(std::span(grown).subspan(9000)));
  }
}

TEST_F(EncryptedFileTest, WhenUndoingFailsTooTheNextCallPutsItRight) {
  make("file", some_bytes(9000));
  auto file = *open("file");
  disk_.fail(FaultyDisk::Call::kWrite, 2, ENOSPC);
  disk_.fail(FaultyDisk::Call::kResize, 2, EIO);
  const auto result = file->write_at(9000, some_bytes(50000, 2));
  ASSERT_FALSE(result.ok());
  EXPECT_EQ(to_errno(result.error()), ENOSPC);
  ASSERT_TRUE(disk_.has_failed());
  disk_.heal();
  EXPECT_EQ(file->size(), 9000U);
  ASSERT_TRUE(file->sync(false).ok());
  EXPECT_EQ(*open_and_read("file"), some_bytes(9000));
}

TEST_F(EncryptedFileTest, TooLargeIsEfbigAndChangesNothing) {
  auto file = create("file");
  const Bytes one = some_bytes(1);
  const std::uint64_t most = geometry_.max_plain_size();
  for (std::uint64_t offset : {most, std::uint64_t{1} << 63, ~std::uint64_t{0}}) {
    EXPECT_EQ(file->write_at(offset, one).error().system_errno, EFBIG);
    EXPECT_EQ(file->allocate(offset, ~std::uint64_t{0}, true).error().system_errno, EFBIG);
  }
  EXPECT_EQ(file->truncate(most + 1).error().system_errno, EFBIG);
  EXPECT_EQ(file->size(), 0U);
}

TEST_F(EncryptedFileTest, AWrappedDataKeyThatDoesNotFitIsRefusedBeforeAnythingIsWritten) {
  wrapped_.resize(400);
  auto fd = disk_.open_at(directory_.get(), "file", O_RDWR | O_CREAT, 0600);
  const auto refused = EncryptedFile::create(disk_, std::move(*fd), geometry_, volume_id_, FileId::random(),
                                             data_key_, kArn, wrapped_);
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().kind, Kind::kUnsupported);
  EXPECT_TRUE(backing("file").empty());
}

TEST_F(EncryptedFileTest, AFileOpenForReadingOnlyIsClosedWithoutError) {
  auto writer = create("file");
  ASSERT_TRUE(writer->write_at(0, some_bytes(10)).ok());
  writer.reset();  // as if killed: not clean
  auto reader = open("file", Recovery::kRefuse, O_RDONLY);
  ASSERT_TRUE(reader.ok());
  EXPECT_EQ(*contents(**reader), some_bytes(10));
  EXPECT_TRUE((*reader)->sync(false).ok());
  EXPECT_TRUE((*reader)->mark_clean().ok());
}

// A plain vector beside the file: whatever is done to both, they stay the same.
class ModelTest : public EncryptedFileTest, public ::testing::WithParamInterface<std::uint32_t> {
 protected:
  ModelTest() { geometry_ = Geometry(GetParam()); }

  std::uint64_t pick_offset() {
    switch (random_() % 6) {
      case 0:
        return random_() % 100;
      case 1:
        return model_.size();
      case 2:
        return model_.empty() ? 0 : random_() % model_.size();
      case 3:
        return model_.size() + random_() % 9000;
      case 4: {  // around the edge of a block
        const std::uint64_t edge = geometry_.plain_offset_of(1 + random_() % 8);
        return edge - 2 + random_() % 5;
      }
      default:
        return random_() % 30000;
    }
  }
  std::size_t pick_size() {
    switch (random_() % 5) {
      case 0:
        return 1 + random_() % 10;
      case 1:
        return kBlockSize;
      case 2:
        return 1 + random_() % 20000;
      case 3:
        return 4096;
      default:
        return 1 + random_() % 5000;
    }
  }
  void clear(std::uint64_t from, std::uint64_t to) {
    to = std::min<std::uint64_t>(to, model_.size());
    if (from < to)
      std::fill(model_.begin() + static_cast<long>(from), model_.begin() + static_cast<long>(to),
                std::byte{0});
  }

  Result<void> step() {
    const std::uint64_t offset = pick_offset();
    const std::size_t size = pick_size();
    switch (random_() % 16) {
      case 0:
      case 1:
      case 2:
      case 3:
      case 4: {
        const Bytes data = some_bytes(size, random_());
        if (model_.size() < offset + size) model_.resize(offset + size);
        std::copy(data.begin(), data.end(), model_.begin() + static_cast<long>(offset));
        return file_->write_at(offset, data);
      }
      case 5: {
        const Bytes data = some_bytes(size, random_());
        model_.insert(model_.end(), data.begin(), data.end());
        return file_->write_at(model_.size() - size, data);
      }
      case 6:
        model_.resize(offset);
        return file_->truncate(offset);
      case 7:
        clear(offset, offset + size);
        return file_->punch(offset, size);
      case 8: {
        const bool keep = random_() % 2 == 0;
        if (!keep && model_.size() < offset + size) model_.resize(offset + size);
        clear(offset, offset + size);
        return file_->zero(offset, size, keep);
      }
      case 9: {
        const bool keep = random_() % 2 == 0;
        if (!keep && model_.size() < offset + size) model_.resize(offset + size);
        return file_->allocate(offset, size, keep);
      }
      case 10:
        return file_->sync(random_() % 2 == 0);
      case 11:
        if (random_() % 8 != 0 || model_.size() > 4 * kMebibyte) return {};
        model_.resize(model_.size() + kMebibyte + random_() % 5000);
        return file_->truncate(model_.size());
      case 12: {
        KMSFS_TRY(file_->mark_clean());
        file_.reset();
        auto again = open("model");
        if (!again) return std::move(again).error();
        file_ = std::move(*again);
        return {};
      }
      case 13: {
        file_->drop_keys();
        return file_->rekey(data_key_);
      }
      case 14:
        model_.resize(std::min<std::uint64_t>(model_.size(), 20000));
        return file_->truncate(model_.size());
      default:
        return compare_part(offset, size);
    }
  }
  Result<void> compare_part(std::uint64_t offset, std::size_t size) {
    Bytes out(size, std::byte{0xaa});
    auto got = file_->read_at(offset, out);
    if (!got) return std::move(got).error();
    const std::size_t there =
        offset >= model_.size() ? 0 : std::min<std::uint64_t>(size, model_.size() - offset);
    EXPECT_EQ(*got, there);
    EXPECT_TRUE(std::equal(out.begin(), out.begin() + static_cast<long>(there),
                           model_.begin() + static_cast<long>(offset)));
    return {};
  }
  // All that SEEK_HOLE calls a hole reads as zeros.
  void check_holes() {
    for (std::uint64_t at = 0; at < model_.size();) {
      const std::uint64_t hole = *file_->seek(at, SEEK_HOLE);
      ASSERT_LE(hole, model_.size());
      const auto data = file_->seek(std::min<std::uint64_t>(hole, model_.size() - 1), SEEK_DATA);
      const std::uint64_t end = hole == model_.size() ? hole : data ? *data : model_.size();
      ASSERT_GE(end, hole);
      ASSERT_TRUE(all_zero(std::span(model_).subspan(hole, end - hole))) << hole << " to " << end;
      at = std::max(end, at + 1);
    }
  }

  std::mt19937 random_;
  Bytes model_;
  std::unique_ptr<EncryptedFile> file_;
};
INSTANTIATE_TEST_SUITE_P(HeaderSizes, ModelTest, ::testing::Values(1024, 3584));

TEST_P(ModelTest, AFileAndAVectorCannotBeToldApart) {
  for (unsigned seed = 0; seed < 40; ++seed) {
    random_.seed(seed);
    model_.clear();
    file_ = create("model");
    for (int i = 0; i < 150; ++i) {
      const auto done = step();
      ASSERT_TRUE(done.ok()) << "seed " << seed << " step " << i << ": " << done.error().text << " "
                             << std::strerror(done.error().system_errno);
      ASSERT_EQ(file_->size(), model_.size()) << "seed " << seed << " step " << i;
      ASSERT_EQ(static_cast<std::uint64_t>(real_.stat(file_->fd())->st_size),
                geometry_.backing_size(model_.size()));
      if (i % 10 != 9) continue;
      const auto all = contents(*file_);
      ASSERT_TRUE(all.ok()) << "seed " << seed << " step " << i << ": " << all.error().text;
      ASSERT_TRUE(*all == model_) << "seed " << seed << " step " << i;
      check_holes();
      ASSERT_FALSE(HasFatalFailure()) << "seed " << seed << " step " << i;
    }
    ASSERT_TRUE(file_->mark_clean().ok());
    ASSERT_TRUE(*open_and_read("model") == model_) << "seed " << seed;
  }
}

}  // namespace
}  // namespace kmsfs::testing
