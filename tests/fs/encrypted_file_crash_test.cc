// Power is cut at every point of a few sequences of work, with everything that a disk may then hold; and each
// time the file must open under recovery, with all that was synced in it.
#include <algorithm>
#include <functional>
#include <random>
#include <set>

#include "tests/support/crash_states.h"
#include "tests/support/sample_files.h"

namespace kmsfs::testing {
namespace {

constexpr std::uint64_t kMebibyte = 1 << 20;

class CrashTest : public EncryptedFileTest {
 protected:
  struct Moment {
    std::size_t changes = 0;  // recorded when it was reached
    Bytes content;
    bool synced = false;
  };

  // Work is a sequence of steps, each of which leaves the content it says.
  void begin() {
    disk_.record(true);
    file_ = create("file");
    moments_ = {{0, {}, false}};
    moment({});
  }
  void moment(Bytes content, bool synced = false) {
    moments_.push_back({disk_.changes().size(), std::move(content), synced});
  }
  void write(std::uint64_t offset, ByteView data) {
    ASSERT_TRUE(file_->write_at(offset, data).ok());
    Bytes content = moments_.back().content;
    if (content.size() < offset + data.size()) content.resize(offset + data.size());
    std::copy(data.begin(), data.end(), content.begin() + static_cast<long>(offset));
    moment(std::move(content));
  }
  void truncate(std::uint64_t size) {
    ASSERT_TRUE(file_->truncate(size).ok());
    Bytes content = moments_.back().content;
    content.resize(size);
    moment(std::move(content));
  }
  void clear(std::uint64_t offset, std::uint64_t size, bool punch) {
    ASSERT_TRUE((punch ? file_->punch(offset, size) : file_->zero(offset, size, true)).ok());
    Bytes content = moments_.back().content;
    const std::uint64_t end = std::min<std::uint64_t>(offset + size, content.size());
    for (std::uint64_t at = offset; at < end; ++at) content[at] = std::byte{0};
    moment(std::move(content));
  }
  void sync() {
    ASSERT_TRUE(file_->sync(false).ok());
    moment(moments_.back().content, true);
  }
  void close_and_open() {
    ASSERT_TRUE(file_->mark_clean().ok());
    auto again = open("file");
    ASSERT_TRUE(again.ok());
    file_ = std::move(*again);
  }

  void check_all_crashes(std::size_t limit = 24) {
    disk_.record(false);
    file_.reset();
    CrashStates states(disk_.changes());
    for (std::size_t point = 0; point <= states.changes().size(); ++point) {
      states.at(point, limit, [&](const CrashStates::Image& image) {
        if (HasFailure()) return;  // one is enough to look at
        SCOPED_TRACE("crash before change " + std::to_string(point) + " of " +
                     std::to_string(states.changes().size()) + ", backing size " +
                     std::to_string(image.size));
        ++images_;
        check(image, point, states.synced_before(point));
      });
    }
    EXPECT_GT(images_, 10U);
  }

  void check(const CrashStates::Image& image, std::size_t point, std::size_t synced_changes) {
    // The moments that the disk may show: from the last sync on, up to the step that was going on.
    std::size_t first = 0;
    std::size_t last = 0;
    for (std::size_t i = 0; i < moments_.size(); ++i) {
      if (moments_[i].synced && moments_[i].changes <= synced_changes) first = i;
      if (moments_[i].changes < point || i == 0) last = std::min(i + 1, moments_.size() - 1);
      if (moments_[i].changes <= point) last = std::max(last, i);
    }
    const bool ever_synced = moments_[first].synced;
    put(image);
    auto fd = disk_.open_at(directory_.get(), "crashed", O_RDWR, 0);
    ASSERT_TRUE(fd.ok());
    auto header = read_file_header(disk_, fd->get(), geometry_);
    if (!header || !*header) {
      EXPECT_TRUE(header.ok()) << header.error().text;
      EXPECT_FALSE(ever_synced) << "a header that was synced is there";
      return;
    }
    auto file = EncryptedFile::open(disk_, std::move(*fd), geometry_, volume_id_, **header, data_key_,
                                    Recovery::kRepair, logger_);
    ASSERT_TRUE(file.ok()) << file.error().text;
    const auto got = contents(**file);
    ASSERT_TRUE(got.ok()) << got.error().text;
    check_content(*got, first, last);

    // The repair holds: closed, the file opens as any other; and it grows with zeros.
    ASSERT_TRUE((*file)->mark_clean().ok());
    file->reset();
    auto again = open("crashed");
    ASSERT_TRUE(again.ok()) << again.error().text;
    const auto same = contents(**again);
    ASSERT_TRUE(same.ok()) << same.error().text;
    EXPECT_TRUE(*same == *got);
    ASSERT_TRUE((*again)->truncate(got->size() + 9000).ok());
    const auto grown = contents(**again);
    ASSERT_TRUE(grown.ok()) << grown.error().text;
    EXPECT_TRUE(std::equal(got->begin(), got->end(), grown->begin()));
    EXPECT_TRUE(all_zero(std::span(*grown).subspan(got->size()))) << "old bytes past the end";
  }

  void check_content(const Bytes& got, std::size_t first, std::size_t last) {
    std::set<std::size_t> sizes;
    for (std::size_t i = first; i <= last; ++i) sizes.insert(moments_[i].content.size());
    EXPECT_TRUE(sizes.contains(got.size())) << "a size that never was: " << got.size();
    for (std::uint64_t block = 0; block < geometry_.block_count(got.size()); ++block) {
      const std::uint64_t start = geometry_.plain_offset_of(block);
      const std::uint64_t size = std::min<std::uint64_t>(geometry_.block_size(block), got.size() - start);
      const ByteView mine = std::span(got).subspan(start, size);
      bool known = moments_[first].content.size() <= start && all_zero(mine);  // never written, never synced
      for (std::size_t i = first; i <= last && !known; ++i) {
        known = is_version(mine, start, moments_[i].content);
      }
      EXPECT_TRUE(known) << "block " << block << " is neither old nor new";
    }
  }

  // `block` as it was in `content`, with zeros past its end.
  static bool is_version(ByteView block, std::uint64_t start, ByteView content) {
    const ByteView old = content.subspan(std::min<std::uint64_t>(start, content.size()));
    const std::size_t there = std::min(old.size(), block.size());
    return std::ranges::equal(block.first(there), old.first(there)) && all_zero(block.subspan(there));
  }

  void put(const CrashStates::Image& image) {
    auto fd = real_.open_at(directory_.get(), "crashed", O_RDWR | O_CREAT | O_TRUNC, 0600);
    ASSERT_TRUE(fd.ok());
    for (const auto& [index, page] : image.pages) {
      if (all_zero(page)) continue;  // as the hole that it is
      ASSERT_TRUE(real_.write_at(fd->get(), index * kPageSize, page).ok());
    }
    ASSERT_TRUE(real_.resize(fd->get(), image.size).ok());
  }

  std::unique_ptr<EncryptedFile> file_;
  std::vector<Moment> moments_;
  std::size_t images_ = 0;
};

TEST_F(CrashTest, DuringCreateAndFirstWrites) {
  begin();
  write(0, some_bytes(100, 1));
  write(100, some_bytes(10000, 2));
  sync();
  check_all_crashes(200);
}

TEST_F(CrashTest, DuringAppends) {
  begin();
  write(0, some_bytes(3000, 1));
  sync();
  write(3000, some_bytes(32, 2));
  write(3032, some_bytes(100, 3));
  sync();
  write(3132, some_bytes(9000, 4));
  write(12132, some_bytes(100, 5));
  close_and_open();
  write(12232, some_bytes(5000, 6));
  sync();
  check_all_crashes();
}

TEST_F(CrashTest, DuringOverwrites) {
  begin();
  write(0, some_bytes(20000, 1));
  sync();
  write(5000, some_bytes(4096, 2));
  write(100, some_bytes(10, 3));
  write(19000, some_bytes(1000, 4));
  sync();
  write(0, some_bytes(20000, 5));
  check_all_crashes();
}

TEST_F(CrashTest, DuringTruncates) {
  begin();
  write(0, some_bytes(20000, 1));
  sync();
  truncate(8000);
  truncate(100);
  sync();
  write(100, some_bytes(9000, 2));
  truncate(7000);
  truncate(15000);
  sync();
  truncate(3032);
  write(3032, some_bytes(50, 3));
  check_all_crashes();
}

TEST_F(CrashTest, WhenAFileIsEmptiedAndWrittenAnewNoSyncedEmptinessShowsOldBytes) {
  begin();
  write(0, some_bytes(2000, 1));
  sync();
  truncate(0);
  sync();
  write(0, some_bytes(1000, 2));  // a crash here shows nothing or this, never the 2000 bytes
  sync();
  check_all_crashes(200);
}

TEST_F(CrashTest, DuringGrowthOverAnOldTail) {
  begin();
  write(0, some_bytes(12000, 1));
  sync();
  truncate(3500);  // the third page becomes the tail
  write(3500, some_bytes(8000, 2));
  sync();
  truncate(7500);
  truncate(11500);
  sync();
  check_all_crashes(64);
}

TEST_F(CrashTest, DuringGapsHolesAndPunches) {
  begin();
  write(0, some_bytes(100, 1));
  sync();
  write(20000, some_bytes(100, 2));
  sync();
  write(2 * kMebibyte, some_bytes(5000, 3));
  sync();
  clear(5000, 20000, true);
  clear(100, 50000, false);
  sync();
  truncate(30000);
  truncate(4 * kMebibyte);
  check_all_crashes(8);
}

TEST_F(CrashTest, DuringRandomWork) {
  for (unsigned seed = 0; seed < 10 && !HasFailure(); ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    disk_.forget_changes();
    std::mt19937 random(seed);
    begin();
    for (int i = 0; i < 14; ++i) {
      const std::uint64_t size = moments_.back().content.size();
      switch (random() % 7) {
        case 0:
          write(random() % (size + 1), some_bytes(1 + random() % 9000, random()));
          break;
        case 1:
          write(size, some_bytes(1 + random() % 5000, random()));
          break;
        case 2:
          truncate(random() % (size + 1));
          break;
        case 3:
          truncate(size + random() % 9000);
          break;
        case 4:
          clear(random() % (size + 1), 1 + random() % 9000, random() % 4 == 0);
          break;
        case 5:
          close_and_open();
          break;
        default:
          sync();
      }
      ASSERT_FALSE(HasFatalFailure());
    }
    check_all_crashes(6);
  }
}

// By hand, what the states above hold among others.
TEST_F(CrashTest, RecoveryIsNotForFilesOfHostsThatDidNotCrash) {
  make("file", some_bytes(9000));
  ASSERT_EQ(::truncate((scratch_.path() / "file").c_str(), 2 * kPageSize), 0);
  EXPECT_EQ(open("file").error().kind, Kind::kCorrupt);
  auto repaired = open("file", Recovery::kRepair);
  ASSERT_TRUE(repaired.ok());
  EXPECT_TRUE((*repaired)->repaired());
  EXPECT_EQ((*repaired)->size(), geometry_.plain_size_within(2 * kPageSize));
  ASSERT_TRUE((*repaired)->mark_clean().ok());
  EXPECT_TRUE(open("file").ok());
}

TEST_F(CrashTest, ARepairThroughAReadOnlyDescriptorLastsAsLongAsTheObject) {
  make("file", some_bytes(9000));
  ASSERT_EQ(::truncate((scratch_.path() / "file").c_str(), 2 * kPageSize), 0);
  {
    auto file = open("file", Recovery::kRepair, O_RDONLY);
    ASSERT_TRUE(file.ok()) << file.error().text;
    EXPECT_TRUE((*file)->repaired());
    const Bytes wanted = some_bytes(9000);
    const Bytes got = *contents(**file);
    EXPECT_TRUE(std::equal(got.begin(), got.end(), wanted.begin()));
    EXPECT_TRUE((*file)->mark_clean().ok());
  }
  EXPECT_EQ(open("file").error().kind, Kind::kCorrupt);
  auto file = open("file", Recovery::kRepair, O_RDONLY);
  auto writable = disk_.open_at(directory_.get(), "file", O_RDWR, 0);
  (*file)->replace_fd(std::move(*writable));  // and with one for writing it is made good at the close
  ASSERT_TRUE((*file)->mark_clean().ok());
  EXPECT_TRUE(open("file").ok());
}

TEST_F(CrashTest, ManyUnwrittenBlocksMakeTheFileSparseAndFewDoNot) {
  for (std::uint64_t size : {20000ULL, 3ULL * kMebibyte}) {
    make("file", some_bytes(100));
    ASSERT_EQ(
        ::truncate((scratch_.path() / "file").c_str(), static_cast<off_t>(geometry_.backing_size(size))), 0);
    auto file = *open("file", Recovery::kRepair);
    EXPECT_EQ(file->size(), size);
    EXPECT_EQ(file->sparse(), size > kMebibyte);
    Bytes wanted = some_bytes(100);
    wanted.resize(size);
    EXPECT_TRUE(*contents(*file) == wanted);
    ASSERT_TRUE(file->mark_clean().ok());
    EXPECT_TRUE(*open_and_read("file") == wanted);
  }
}

TEST_F(CrashTest, AFileWhosePageZeroWasNeverWrittenIsTold) {
  for (std::size_t size : {std::size_t{0}, std::size_t{512}, std::size_t{4096}, std::size_t{9000}}) {
    set_backing("file", Bytes(size));
    auto fd = disk_.open_at(directory_.get(), "file", O_RDWR, 0);
    const auto header = read_file_header(disk_, fd->get(), geometry_);
    ASSERT_TRUE(header.ok());
    EXPECT_FALSE(header->has_value());
  }
}

}  // namespace
}  // namespace kmsfs::testing
