#include "fs/encrypted_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <thread>

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

TEST_F(EncryptedFileTest, ReadersRunTogether) {
  const Bytes content = some_bytes(3 * kMebibyte);
  make("file", content);
  auto opened = open("file");
  const EncryptedFile& file = **opened;
  std::vector<std::thread> readers;
  std::atomic<int> wrong{0};
  for (std::uint64_t reader = 0; reader < 4; ++reader) {
    readers.emplace_back([&, reader] {
      Bytes out(100000);
      for (std::uint64_t i = 0; i < 50; ++i) {
        const std::uint64_t offset = (reader * 7919 + i * 104729) % (content.size() - out.size());
        const auto got = file.read_at(offset, out);
        if (!got || !std::equal(out.begin(), out.end(), content.begin() + static_cast<long>(offset))) ++wrong;
      }
    });
  }
  for (std::thread& reader : readers) reader.join();
  EXPECT_EQ(wrong, 0);
}

TEST_F(EncryptedFileTest, ABlockCutOffIsNotRememberedWhenAHoleTakesItsPlace) {
  auto file = create("file");
  ASSERT_TRUE(
      file->write_at(2 * kMebibyte, some_bytes(100)).ok());  // its last block is kept for the next append
  ASSERT_TRUE(file->truncate(geometry_.first_block_size()).ok());
  ASSERT_TRUE(file->truncate(4 * kMebibyte).ok());
  ASSERT_TRUE(file->write_at(2 * kMebibyte + 200, some_bytes(1)).ok());
  Bytes wanted(4 * kMebibyte);
  wanted[2 * kMebibyte + 200] = some_bytes(1)[0];
  EXPECT_TRUE(*contents(*file) == wanted);
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

TEST_F(EncryptedFileTest, ATruncateThatFailsToClearTheTailIsFinishedByTheNextCall) {
  auto file = create("file");
  ASSERT_TRUE(file->write_at(2 * kMebibyte, some_bytes(100)).ok());  // sparse
  ASSERT_TRUE(file->write_at(0, some_bytes(20000)).ok());
  disk_.fail(FaultyDisk::Call::kAllocate, 1, EIO);
  EXPECT_FALSE(file->truncate(5000).ok());
  disk_.heal();
  EXPECT_EQ(file->size(), 5000U);
  ASSERT_TRUE(file->truncate(4 * kMebibyte).ok());
  Bytes wanted = some_bytes(20000);
  wanted.resize(5000);
  wanted.resize(4 * kMebibyte);
  const auto got = contents(*file);
  ASSERT_TRUE(got.ok()) << got.error().text;
  EXPECT_TRUE(*got == wanted);
}

TEST_F(EncryptedFileTest, WherePunchingDoesNotExistTheTailIsOverwrittenAndSynced) {
  auto file = create("file");
  ASSERT_TRUE(file->write_at(0, some_bytes(20000)).ok());
  disk_.fail(FaultyDisk::Call::kAllocate, 1, EOPNOTSUPP);
  disk_.reset_counts();
  ASSERT_TRUE(file->truncate(5000).ok());
  EXPECT_EQ(disk_.count(FaultyDisk::Call::kSync), 1U);
  const Bytes stored = backing("file");
  EXPECT_TRUE(all_zero(std::span(stored).subspan(2 * kPageSize)));
}

TEST_F(EncryptedFileTest, NoHoleIsMadeUntilSparseIsDurable) {
  auto file = create("file");
  ASSERT_TRUE(file->write_at(0, some_bytes(10)).ok());
  for (int i = 0; i < 2; ++i) {
    disk_.fail(FaultyDisk::Call::kSync, 1, EIO);
    EXPECT_FALSE(file->write_at(2 * kMebibyte, some_bytes(10)).ok());
    EXPECT_EQ(file->size(), 10U);
  }
  disk_.heal();
  disk_.reset_counts();
  ASSERT_TRUE(file->write_at(2 * kMebibyte, some_bytes(10)).ok());
  EXPECT_EQ(disk_.count(FaultyDisk::Call::kSync), 1U);
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
                                             data_key_, {kArn, wrapped_});
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

}  // namespace
}  // namespace kmsfs::testing
