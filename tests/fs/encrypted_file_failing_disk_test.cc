// What a failing disk leaves of a file that is closed, and what the next one who opens it finds.
#include "fs/errno.h"
#include "tests/support/sample_files.h"

namespace kmsfs::testing {
namespace {

using Call = FaultyDisk::Call;

class FailingDiskTest : public EncryptedFileTest {
 protected:
  // From now on the disk takes no change.
  void fail_all(int error_number) {
    for (const Call call : {Call::kWrite, Call::kResize, Call::kAllocate}) {
      for (int i = 0; i < 100; ++i) disk_.fail(call, 1, error_number);
    }
  }
  Result<std::unique_ptr<EncryptedFile>> open_knowing(std::uint64_t size) {
    auto fd = disk_.open_at(directory_.get(), "file", O_RDWR, 0);
    auto header = read_file_header(disk_, fd->get(), geometry_);
    return EncryptedFile::open(disk_, std::move(*fd), geometry_, volume_id_, **header, data_key_,
                               Recovery::kRefuse, logger_, size);
  }
};

TEST_F(FailingDiskTest, AGrowthThatCannotBeUndoneIsUndoneByTheNextWhoOpensTheFile) {
  make("file", some_bytes(9000));
  {
    auto file = *open("file");
    disk_.cut_write(2, 2 * kPageSize, EDQUOT);  // the first is the state slot's
    disk_.fail(Call::kResize, 2, EDQUOT);       // undoing it
    disk_.fail(Call::kResize, 2, EDQUOT);       // and at the close
    EXPECT_EQ(to_errno(file->write_at(9000, some_bytes(50000, 2)).error()), EDQUOT);
    EXPECT_EQ(to_errno(file->mark_clean().error()), EDQUOT);
    EXPECT_TRUE(file->unfinished());
  }
  disk_.heal();
  auto file = *open_knowing(9000);
  EXPECT_EQ(file->size(), 9000U);
  EXPECT_EQ(*contents(*file), some_bytes(9000));
  ASSERT_TRUE(file->write_at(9000, some_bytes(20000, 3)).ok());
  ASSERT_TRUE(file->mark_clean().ok());
  EXPECT_FALSE(file->unfinished());
  Bytes wanted = some_bytes(9000);
  const Bytes more = some_bytes(20000, 3);
  wanted.insert(wanted.end(), more.begin(), more.end());
  EXPECT_EQ(*open_and_read("file"), wanted);
}

TEST_F(FailingDiskTest, AKnownSizeDoesNotCountOnceTheFileIsClean) {
  make("file", some_bytes(9000));
  EXPECT_EQ((*open_knowing(100))->size(), 9000U);
}

TEST_F(FailingDiskTest, ASlotThatReachedTheDiskThoughItsWriteFailedDoesNotContradictTheSize) {
  make("file", some_bytes(9000));
  auto file = *open("file");
  ASSERT_TRUE(file->write_at(9000, some_bytes(100)).ok());
  disk_.cut_write(1, kStateSlotSize, EIO);
  ASSERT_FALSE(file->sync(false).ok());
  EXPECT_FALSE(file->clean());
  ASSERT_TRUE(file->write_at(9100, some_bytes(30000)).ok());
  fail_all(EIO);
  EXPECT_FALSE(file->mark_clean().ok());
  disk_.heal();
  auto found = open_and_read("file");
  ASSERT_TRUE(found.ok()) << found.error().text;
  EXPECT_EQ(found->size(), 39100U);
}

TEST_F(FailingDiskTest, AfterASyncThatFailedTheSlotIsWrittenAgain) {
  auto file = create("file");
  ASSERT_TRUE(file->write_at(0, some_bytes(5000)).ok());
  disk_.fail(Call::kSync, 1, EIO);
  ASSERT_FALSE(file->sync(false).ok());
  disk_.heal();
  disk_.reset_counts();
  ASSERT_TRUE(file->sync(false).ok());
  EXPECT_EQ(disk_.count(Call::kWrite), 1U) << "the kernel may have thrown the first one away";
  EXPECT_TRUE(file->clean());
}

TEST_F(FailingDiskTest, ARepairThatFailedIsNotMarkedCleanUntilItIsMade) {
  {
    auto file = create("file");
    ASSERT_TRUE(file->write_at(0, some_bytes(40000)).ok());
  }
  {  // a crash came between
    const UniqueFd fd = *real_.open_at(directory_.get(), "file", O_RDWR, 0);
    ASSERT_TRUE(
        real_.allocate(fd.get(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 3 * kPageSize, 2 * kPageSize)
            .ok());
  }
  const Bytes wanted = [&] {
    Bytes bytes = some_bytes(40000);
    std::fill_n(bytes.begin() + static_cast<std::ptrdiff_t>(geometry_.plain_offset_of(3)), 2 * kBlockSize,
                std::byte{0});
    return bytes;
  }();
  fail_all(ENOSPC);
  {
    auto file = *open("file", Recovery::kRepair);
    EXPECT_TRUE(file->unrepaired());
    EXPECT_EQ(*contents(*file), wanted);
    EXPECT_FALSE(file->mark_clean().ok() && file->clean());
    disk_.heal();
    ASSERT_TRUE(file->write_at(0, some_bytes(10)).ok());
    ASSERT_TRUE(file->mark_clean().ok());
    EXPECT_FALSE(file->unrepaired());
  }
  auto found = open_and_read("file");
  ASSERT_TRUE(found.ok()) << found.error().text;
  EXPECT_TRUE(*found == wanted);
}

}  // namespace
}  // namespace kmsfs::testing
