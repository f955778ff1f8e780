#include "fs/file_key.h"

#include <gtest/gtest.h>

namespace kmsfs {
namespace {

class SealedDataKeys : public ::testing::Test {
 protected:
  static std::string plain(const Result<DataKey>& key) { return key ? to_hex(key->reveal()) : "none"; }
  SealedDataKey seal() const {
    auto sealed = seal_data_key(branch_key_, branch_, what_, data_key_);
    EXPECT_TRUE(sealed.ok());
    return *sealed;
  }
  static void expect_refused(const Result<DataKey>& opened, const char* what) {
    ASSERT_FALSE(opened.ok()) << what;
    EXPECT_EQ(opened.error().kind, Kind::kCorrupt) << what;
  }

  const DataKey branch_key_ = *DataKey::random();
  const DataKey data_key_ = *DataKey::random();
  const BranchId branch_ = BranchId::random();
  const SealedFor what_{kSuiteXaes256Gcm, VolumeId::random(), FileId::random()};
};

TEST_F(SealedDataKeys, OpenToWhatWasSealed) {
  const SealedDataKey sealed = seal();
  EXPECT_EQ(sealed.branch, branch_);
  EXPECT_EQ(plain(open_data_key(branch_key_, sealed, what_)), to_hex(data_key_.reveal()));
}

TEST_F(SealedDataKeys, OfOneKeyTwiceHaveNothingInCommon) {
  const SealedDataKey one = seal();
  const SealedDataKey two = seal();
  EXPECT_NE(one.salt, two.salt);
  for (std::size_t at = 0; at + 8 <= one.bytes.size(); ++at) {
    EXPECT_FALSE(std::equal(one.bytes.begin() + at, one.bytes.begin() + at + 8, two.bytes.begin() + at))
        << at;
  }
}

TEST_F(SealedDataKeys, DoNotOpenForAnotherSuiteVolumeFileOrBranch) {
  const SealedDataKey sealed = seal();
  expect_refused(open_data_key(branch_key_, sealed, {2, what_.volume, what_.file}), "suite");
  expect_refused(open_data_key(branch_key_, sealed, {what_.suite, VolumeId::random(), what_.file}), "volume");
  expect_refused(open_data_key(branch_key_, sealed, {what_.suite, what_.volume, FileId::random()}), "file");
  SealedDataKey moved = sealed;
  moved.branch = BranchId::random();
  expect_refused(open_data_key(branch_key_, moved, what_), "branch");
  const DataKey another = *DataKey::random();
  expect_refused(open_data_key(another, sealed, what_), "branch key");
}

TEST_F(SealedDataKeys, DoNotOpenWithAnyBitChanged) {
  const SealedDataKey good = seal();
  const auto flip_each = [&](auto member) {
    SealedDataKey bad = good;
    for (std::byte& byte : bad.*member) {
      for (unsigned bit = 1; bit < 256; bit <<= 1) {
        byte ^= static_cast<std::byte>(bit);
        expect_refused(open_data_key(branch_key_, bad, what_), "a changed bit");
        byte ^= static_cast<std::byte>(bit);
      }
    }
  };
  flip_each(&SealedDataKey::salt);
  flip_each(&SealedDataKey::bytes);
}

}  // namespace
}  // namespace kmsfs
