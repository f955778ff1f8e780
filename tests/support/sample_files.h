// Makes, opens and damages encrypted files in a directory of their own: what the tests of EncryptedFile
// share.
#pragma once

#include <gtest/gtest.h>

#include <fstream>
#include <memory>
#include <random>
#include <string>

#include "core/log.h"
#include "fs/encrypted_file.h"
#include "tests/support/faulty_disk.h"
#include "tests/support/temporary_directory.h"

namespace kmsfs::testing {

inline Bytes some_bytes(std::size_t size, std::uint64_t seed = 1) {
  std::mt19937_64 random(seed);
  Bytes bytes(size);
  for (std::byte& b : bytes) b = static_cast<std::byte>(random() | 1);  // never zero: zeros are told apart
  return bytes;
}

class EncryptedFileTest : public ::testing::Test {
 protected:
  static constexpr const char* kArn =
      "arn:aws:kms:local-1:111122223333:key/11111111-2222-3333-4444-555555555555";

  EncryptedFileTest() { disk_.skip_syncs(); }

  std::unique_ptr<EncryptedFile> create(const std::string& name) {
    return create(name, FileId::random(), volume_id_);
  }
  std::unique_ptr<EncryptedFile> create(const std::string& name, const FileId& file_id,
                                        const VolumeId& volume_id) {
    auto fd = disk_.open_at(directory_.get(), name, O_RDWR | O_CREAT | O_TRUNC, 0600);
    EXPECT_TRUE(fd.ok());
    auto file = EncryptedFile::create(disk_, std::move(*fd), geometry_, volume_id, file_id, data_key_,
                                      {kArn, wrapped_});
    EXPECT_TRUE(file.ok()) << file.error().text;
    return std::move(*file);
  }
  // A clean file with this content.
  FileId make(const std::string& name, ByteView content) {
    auto file = create(name);
    EXPECT_TRUE(file->write_at(0, content).ok());
    EXPECT_TRUE(file->mark_clean().ok());
    return file->file_id();
  }

  Result<std::unique_ptr<EncryptedFile>> open(const std::string& name, Recovery recovery = Recovery::kRefuse,
                                              int flags = O_RDWR) {
    auto fd = disk_.open_at(directory_.get(), name, flags, 0);
    if (!fd) return std::move(fd).error();
    auto header = read_file_header(disk_, fd->get(), geometry_);
    if (!header) return std::move(header).error();
    if (!*header) return error(Kind::kCorrupt, "page 0 was never written");
    return EncryptedFile::open(disk_, std::move(*fd), geometry_, volume_id_, **header, data_key_, recovery,
                               logger_);
  }
  static Result<Bytes> contents(const EncryptedFile& file) {
    Bytes all(file.size());
    auto got = file.read_at(0, all);
    if (!got) return std::move(got).error();
    EXPECT_EQ(*got, all.size());
    return all;
  }
  Result<Bytes> open_and_read(const std::string& name, Recovery recovery = Recovery::kRefuse) {
    auto file = open(name, recovery);
    if (!file) return std::move(file).error();
    return contents(**file);
  }

  Bytes backing(const std::string& name) const {
    const std::string text = scratch_.read(name);
    const ByteView bytes = as_bytes(text);
    return {bytes.begin(), bytes.end()};
  }
  // In place: a file that is emptied first is written out by the file system when it is closed, which takes
  // long.
  void set_backing(const std::string& name, ByteView bytes) {
    auto fd = real_.open_at(directory_.get(), name, O_WRONLY | O_CREAT, 0600);
    ASSERT_TRUE(fd.ok());
    ASSERT_TRUE(real_.write_at(fd->get(), 0, bytes).ok());
    ASSERT_TRUE(real_.resize(fd->get(), bytes.size()).ok());
  }

  TemporaryDirectory scratch_;
  UniqueFd directory_ = scratch_.open();
  RealDisk real_;
  FaultyDisk disk_{real_};
  Geometry geometry_{kDefaultHeaderSize};
  VolumeId volume_id_ = VolumeId::random();
  std::array<std::byte, 32> data_key_ = [] {  // not a secret: a test's
    std::array<std::byte, 32> key;
    random_bytes(key);
    return key;
  }();
  Bytes wrapped_ = some_bytes(184, 7);
  Logger logger_ = make_null_logger();
};

}  // namespace kmsfs::testing
