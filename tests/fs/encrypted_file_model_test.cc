#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <random>

#include "tests/support/sample_files.h"

namespace kmsfs::testing {
namespace {

constexpr std::uint64_t kMebibyte = 1 << 20;

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
