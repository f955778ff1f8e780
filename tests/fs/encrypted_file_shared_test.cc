// A file that several mounts change in turn, each with its lock held, as the inode does it on shared volumes;
// and what the next one finds when one of them dies in the middle.
#include <functional>

#include "fs/shared_lock.h"
#include "tests/support/sample_files.h"

namespace kmsfs::testing {
namespace {

using Step = std::function<Result<void>(EncryptedFile&)>;

class SharedFileTest : public EncryptedFileTest {
 protected:
  // What a mount does with the lock held.
  static Result<void> change(EncryptedFile& file, const Step& step) {
    KMSFS_TRY(file.refresh(true));
    KMSFS_TRY(step(file));
    return file.mark_clean();
  }
  void die_at(int nth_change) {
    for (int i = nth_change; i < nth_change + 40; ++i) disk_.fail_change(i, EIO);
  }
  Bytes after(ByteView before, const Step& step) {
    make("model", before);
    const auto file = *open("model");
    EXPECT_TRUE(change(*file, step).ok());
    return *contents(*file);
  }
  static void expect_old_new_or_zero(const Bytes& found, const Bytes& before, const Bytes& wanted) {
    ASSERT_TRUE(found.size() == before.size() || found.size() == wanted.size()) << found.size();
    for (std::size_t i = 0; i < found.size(); ++i) {
      const bool known = found[i] == std::byte{0} || (i < before.size() && found[i] == before[i]) ||
                         (i < wanted.size() && found[i] == wanted[i]);
      ASSERT_TRUE(known) << "byte " << i;
    }
  }
};

TEST_F(SharedFileTest, EachSeesWhatTheOtherChangedOnceItLooksAgain) {
  make("file", some_bytes(9000));
  const auto one = *open("file");
  const auto other = *open("file");
  ASSERT_TRUE(
      change(*one, [](EncryptedFile& file) { return file.write_at(20000, some_bytes(7000, 2)); }).ok());
  EXPECT_FALSE(*other->is_current());
  ASSERT_TRUE(change(*other, [](EncryptedFile& file) {
                return file.write_at(file.size(), some_bytes(100, 3));
              }).ok());
  EXPECT_EQ(other->size(), 27100U);
  EXPECT_FALSE(*one->is_current());
  ASSERT_TRUE(one->refresh(true).ok());
  EXPECT_TRUE(*one->is_current());
  EXPECT_EQ(*contents(*one), *contents(*other));
}

// Block 0 was zeros for a moment, which nobody has written, at a size that looks as it was.
TEST_F(SharedFileTest, AFileThatWasEmptiedAndGrewToTheSameSizeIsSeenToHaveChanged) {
  make("file", some_bytes(5000));
  const auto one = *open("file");
  const auto other = *open("file");
  ASSERT_TRUE(change(*other, [](EncryptedFile& file) { return file.write_at(10, some_bytes(10, 2)); }).ok());
  EXPECT_TRUE(*one->is_still_current()) << "an overwrite changes no size";
  ASSERT_TRUE(change(*other, [](EncryptedFile& file) { return file.truncate(0); }).ok());
  ASSERT_TRUE(change(*other, [](EncryptedFile& file) { return file.write_at(0, some_bytes(5000, 3)); }).ok());
  EXPECT_TRUE(*one->is_current()) << "the size is the same";
  EXPECT_FALSE(*one->is_still_current());
  ASSERT_TRUE(one->refresh(true).ok());
  EXPECT_TRUE(*one->is_still_current());
}

TEST_F(SharedFileTest, BytesOfOneBlockThatTwoWriteInTurnAreBothKept) {
  make("file", some_bytes(9000));
  const auto one = *open("file");
  const auto other = *open("file");
  Bytes wanted = some_bytes(9000);
  for (std::size_t i = 0; i < 40; ++i) {
    const Bytes piece = some_bytes(50, i + 10);
    const std::size_t at = 4000 + i * 50;
    ASSERT_TRUE(change(i % 2 == 0 ? *one : *other, [&](EncryptedFile& file) {
                  return file.write_at(at, piece);
                }).ok());
    std::copy(piece.begin(), piece.end(), wanted.begin() + static_cast<std::ptrdiff_t>(at));
  }
  EXPECT_EQ(*open_and_read("file"), wanted);
}

TEST_F(SharedFileTest, AnOverwriteTouchesNoHeader) {
  make("file", some_bytes(9000));
  const auto file = *open("file");
  disk_.reset_counts();
  ASSERT_TRUE(change(*file, [](EncryptedFile& it) { return it.write_at(3032, some_bytes(4056, 2)); }).ok());
  EXPECT_EQ(disk_.count(FaultyDisk::Call::kWrite), 1U);
}

// Whichever call of whichever change is the last of a mount.
TEST_F(SharedFileTest, WhereverAMountDiesTheNextOneRepairsWhatItLeft) {
  const std::pair<const char*, Step> steps[] = {
      {"append", [](EncryptedFile& file) { return file.write_at(file.size(), some_bytes(100, 2)); }},
      {"append blocks", [](EncryptedFile& file) { return file.write_at(file.size(), some_bytes(30000, 3)); }},
      {"write past a gap", [](EncryptedFile& file) { return file.write_at(60000, some_bytes(3000, 4)); }},
      {"write past a large gap",
       [](EncryptedFile& file) { return file.write_at(3 << 20, some_bytes(3000, 5)); }},
      {"overwrite",
       [](EncryptedFile& file) {
         return file.write_at(file.size() / 2, some_bytes(file.size() - file.size() / 2, 6));
       }},
      {"cut", [](EncryptedFile& file) { return file.truncate(file.size() / 3); }},
      {"cut all", [](EncryptedFile& file) { return file.truncate(0); }},
      {"grow", [](EncryptedFile& file) { return file.truncate(file.size() + 20000); }},
      {"punch", [](EncryptedFile& file) { return file.punch(100, 30000); }},
      {"zero", [](EncryptedFile& file) { return file.zero(100, 30000, false); }},
  };
  for (const std::size_t size : {0U, 1000U, 9000U, 50000U}) {
    const Bytes before = some_bytes(size);
    for (const auto& [name, step] : steps) {
      const Bytes wanted = after(before, step);
      int deaths = 0;
      for (bool died = true; died; ++deaths) {
        SCOPED_TRACE(std::string(name) + " of " + std::to_string(size) + " bytes, dead at change " +
                     std::to_string(deaths + 1));
        ASSERT_LT(deaths, 60);
        make("file", before);
        const auto survivor = *open("file");
        {
          const auto victim = *open("file");
          die_at(deaths + 1);
          died = !change(*victim, step).ok();
        }
        disk_.heal();
        const auto repaired = survivor->refresh(true);
        ASSERT_TRUE(repaired.ok()) << repaired.error().text;
        EXPECT_TRUE(survivor->clean());
        const auto found = contents(*survivor);
        ASSERT_TRUE(found.ok()) << found.error().text;
        expect_old_new_or_zero(*found, before, wanted);
        if (!died) {
          EXPECT_EQ(*found, wanted);
        }
        EXPECT_EQ(*open_and_read("file"), *found);
        ASSERT_TRUE(change(*survivor, [](EncryptedFile& file) {
                      return file.write_at(file.size() + 5000, some_bytes(10, 7));
                    }).ok());
        ASSERT_TRUE(open_and_read("file").ok());
      }
    }
  }
}

TEST_F(SharedFileTest, WhoMayNotWriteReadsWhatAMountThatDiedLeft) {
  make("file", some_bytes(9000));
  {
    const auto victim = *open("file");
    die_at(3);
    ASSERT_FALSE(
        change(*victim, [](EncryptedFile& it) { return it.write_at(9000, some_bytes(30000)); }).ok());
  }
  disk_.heal();
  auto reader = open("file", Recovery::kRepair, O_RDONLY);
  ASSERT_TRUE(reader.ok());
  ASSERT_TRUE((*reader)->refresh(false).ok());
  auto found = contents(**reader);
  ASSERT_TRUE(found.ok()) << found.error().text;
  found->resize(9000);
  EXPECT_EQ(*found, some_bytes(9000));
}

// A slot that says clean is believed, and nothing is repaired that it does not explain.
TEST_F(SharedFileTest, AFileAtRestThatWasCutFromBelowIsCorruptUnderTheLockToo) {
  make("file", some_bytes(50000));
  const auto file = *open("file");
  const UniqueFd fd = *real_.open_at(directory_.get(), "file", O_RDWR, 0);
  ASSERT_TRUE(real_.resize(fd.get(), 3 * kPageSize).ok());
  const auto refreshed = file->refresh(true);
  ASSERT_FALSE(refreshed.ok());
  EXPECT_EQ(refreshed.error().kind, Kind::kCorrupt);
}

TEST_F(SharedFileTest, ALockHeldAloneKeepsOutEveryOtherDescriptionAndGoesWithItsOwn) {
  make("file", some_bytes(10));
  UniqueFd one = *real_.open_at(directory_.get(), "file", O_RDWR, 0);
  const UniqueFd other = *real_.open_at(directory_.get(), "file", O_RDWR, 0);
  {
    const auto alone = SharedLock::take(one.get(), SharedLock::Kind::kAlone);
    ASSERT_TRUE(alone.ok());
    EXPECT_FALSE(*try_lock(other.get(), F_RDLCK, kContentLock, 1));
    EXPECT_TRUE(*try_lock(other.get(), F_WRLCK, 0, kLocksOfMounts)) << "programs lock below";
  }
  EXPECT_TRUE(*try_lock(other.get(), F_WRLCK, kContentLock, 1));
  EXPECT_TRUE(*try_lock(other.get(), F_UNLCK, kContentLock, 1));
  EXPECT_TRUE(*try_lock(one.get(), F_WRLCK, kContentLock, 1));
  one.reset();
  EXPECT_TRUE(*try_lock(other.get(), F_WRLCK, kContentLock, 1));
}

}  // namespace
}  // namespace kmsfs::testing
