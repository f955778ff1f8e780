// Volumes of every format that was ever released are opened as they are: their names, contents, links and
// attributes are what was put into them.
#include <fcntl.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <set>
#include <sstream>

#include "fs/encrypted_file.h"
#include "fs/file_key.h"
#include "fs/volume.h"
#include "tests/golden/golden.h"
#include "tests/support/crypto_environment.h"

namespace kmsfs::golden {
namespace {

namespace fs = std::filesystem;

// In both modes.
class GoldenFormat1 : public ::testing::TestWithParam<const char*> {
 protected:
  GoldenFormat1() {
    add_golden_key(server_);
    const UniqueFd root(::open(root_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    auto volume = Volume::open(disk_, root.get(), kms_);
    EXPECT_TRUE(volume.ok()) << volume.error().text;
    if (volume) volume_ = std::move(*volume);
  }
  void SetUp() override { ASSERT_NE(volume_, nullptr); }

  static std::string read(const fs::path& path) {
    std::ifstream in(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
  }
  DirectoryId id_of(const fs::path& directory) const {
    return *volume_->open_directory_id(fs::read_symlink(directory / kDirectoryIdLink).string());
  }
  // Plain name -> entry, of all entries of users.
  std::map<std::string, fs::path> list(const fs::path& directory) const {
    std::map<std::string, fs::path> entries;
    for (const auto& found : fs::directory_iterator(directory)) {
      const std::string entry = found.path().filename().string();
      if (Volume::is_internal(entry)) continue;
      const std::string side =
          Volume::is_long(entry) ? fs::read_symlink(directory / Volume::side_link_of(entry)).string() : "";
      const auto name = volume_->decrypt_name(id_of(directory), entry, side);
      EXPECT_TRUE(name.ok()) << entry << ": " << name.error().text;
      if (name) entries[*name] = found.path();
    }
    return entries;
  }
  Result<DataKey> data_key(const FileHeader& header) {
    const VolumeId& volume = volume_->parameters().id;
    const KeySection& section = header.key_section;
    const auto& sealed = section.sealed_data_key;
    EXPECT_EQ(sealed.has_value(), volume_->parameters().mode == KeyMode::kBranch);
    auto key =
        kms_.decrypt(section.key_arn, section.wrapped_key,
                     sealed ? branch_context(volume, sealed->branch) : file_context(volume, header.file_id));
    if (!key || !sealed) return key;
    return open_data_key(*key, *sealed, {header.suite, volume, header.file_id});
  }
  Result<std::unique_ptr<EncryptedFile>> open(const fs::path& path) {
    UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    auto header = read_file_header(disk_, fd.get(), volume_->geometry());
    if (!header) return std::move(header).error();
    EXPECT_TRUE(header->has_value());
    EXPECT_TRUE(volume_->allows((*header)->key_section.key_arn));
    auto key = data_key(**header);
    if (!key) return std::move(key).error();
    return EncryptedFile::open(disk_, std::move(fd), volume_->geometry(), volume_->parameters().id, **header,
                               key->reveal(), Recovery::kRefuse, make_null_logger());
  }
  void expect_content(const fs::path& path, const File& file) {
    auto opened = open(path);
    ASSERT_TRUE(opened.ok()) << file.name << ": " << opened.error().text;
    EXPECT_EQ((*opened)->size(), file.size);
    EXPECT_TRUE((*opened)->clean());
    EXPECT_EQ((*opened)->sparse(), file.name == "sparse");
    Bytes content(file.size + 1);
    const auto got = (*opened)->read_at(0, content);
    ASSERT_TRUE(got.ok()) << file.name << ": " << got.error().text;
    content.resize(*got);
    EXPECT_EQ(content, content_of(file)) << file.name;
  }

  const fs::path root_ = fs::path(KMSFS_GOLDEN_DIRECTORY) / GetParam();
  testing::FakeKmsServer server_;
  testing::FakeKms kms_{server_};
  RealDisk disk_;
  std::unique_ptr<Volume> volume_;
};

TEST_P(GoldenFormat1, SaysWhatItIs) {
  const VolumeParameters& parameters = volume_->parameters();
  EXPECT_EQ(parameters.format_version, 1);
  EXPECT_EQ(parameters.suite, 1);
  EXPECT_EQ(parameters.header_size, 1024U);
  EXPECT_EQ(parameters.allowed_keys, std::vector<std::string>{kKeyArn});
  EXPECT_EQ(parameters.kms_uri, "local:/golden");
  EXPECT_EQ(parameters.mode, root_.filename() == "format-1" ? KeyMode::kPerFile : KeyMode::kBranch);
}

TEST_P(GoldenFormat1, ItsNamesAreThoseThatWerePutIntoIt) {
  std::set<std::string> expected = {kLinkName, kDirectoryName};
  for (const File& file : files()) expected.insert(file.name);
  std::set<std::string> found;
  for (const auto& [name, path] : list(root_)) {
    found.insert(name);
    EXPECT_EQ(volume_->encrypt_name(id_of(root_), name)->entry, path.filename().string());
  }
  EXPECT_EQ(found, expected);
}

TEST_P(GoldenFormat1, ItsFilesHoldWhatWasPutIntoThem) {
  const auto entries = list(root_);
  for (const File& file : files()) {
    ASSERT_TRUE(entries.contains(file.name)) << file.name;
    expect_content(entries.at(file.name), file);
  }
  const auto inner = list(entries.at(kDirectoryName));
  ASSERT_EQ(inner.size(), 1U);
  expect_content(inner.at(inner_file().name), inner_file());
}

TEST_P(GoldenFormat1, ItsLinkPointsWhereItDid) {
  const std::string stored = fs::read_symlink(list(root_).at(kLinkName)).string();
  const auto target = volume_->open_target(stored);
  ASSERT_TRUE(target.ok()) << target.error().text;
  EXPECT_EQ(*target, kLinkTarget);
  EXPECT_EQ(Volume::plain_target_size(stored.size()), target->size());
}

TEST_P(GoldenFormat1, ItsAttributesAreThoseOfItsFiles) {
  std::ifstream in(root_.string() + ".attributes");
  std::size_t seen = 0;
  for (std::string entry, name, value; in >> entry >> name >> value; ++seen) {
    const bool is_inner = !fs::exists(root_ / entry);
    const fs::path directory = is_inner ? list(root_).at(kDirectoryName) : root_;
    const auto file = open(directory / entry);
    ASSERT_TRUE(file.ok());
    const ByteView owner = (*file)->file_id().view();
    const auto plain_name = volume_->open_xattr_name(owner, name);
    ASSERT_TRUE(plain_name.ok()) << plain_name.error().text;
    EXPECT_EQ(*plain_name, kAttributeName);
    const auto plain_value = volume_->open_xattr_value(owner, *plain_name, *from_hex(value));
    ASSERT_TRUE(plain_value.ok()) << plain_value.error().text;
    EXPECT_EQ(as_text(*plain_value), kAttributeValue);
  }
  EXPECT_EQ(seen, files().size() + 1);
}

INSTANTIATE_TEST_SUITE_P(Modes, GoldenFormat1, ::testing::Values("format-1", "format-1-branch"),
                         [](const auto& volume) { return volume.index == 0 ? "PerFile" : "Branch"; });

}  // namespace
}  // namespace kmsfs::golden
