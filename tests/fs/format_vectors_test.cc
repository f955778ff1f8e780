// Files made by a second implementation (tests/vectors/make_file_vectors.py): each says how it should end.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>

#include "core/log.h"
#include "fs/encrypted_file.h"
#include "fs/file_key.h"
#include "tests/support/temporary_directory.h"

namespace kmsfs::testing {
namespace {

struct Vector {
  std::map<std::string, std::string> fields;
  Bytes backing;

  static Vector load(const std::filesystem::path& path) {
    Vector vector;
    std::ifstream in(path);
    for (std::string line; std::getline(in, line);) {
      const std::size_t equals = line.find(" = ");
      if (line.starts_with("#") || equals == std::string::npos) continue;
      const std::string name = line.substr(0, equals);
      const std::string value = line.substr(equals + 3);
      if (!name.starts_with("at ")) {
        vector.fields[name] = value;
        if (name == "backing_size") vector.backing.resize(std::stoul(value));
        continue;
      }
      const Bytes bytes = *from_hex(value);
      std::copy(bytes.begin(), bytes.end(), vector.backing.begin() + std::stol(name.substr(3)));
    }
    return vector;
  }
  Bytes hex(const std::string& name) const { return *from_hex(fields.at(name)); }
  DataKey key(const std::string& name) const {
    auto key = DataKey::make();
    EXPECT_TRUE(key.ok());
    const Bytes bytes = hex(name);
    std::copy_n(bytes.begin(), DataKey::kSize, key->fill().begin());
    return std::move(*key);
  }
  // As it is given, or as it is sealed by the branch key that is given.
  Result<DataKey> data_key(const FileHeader& header) const {
    if (!fields.contains("branch_key")) return key("data_key");
    const auto& sealed = header.key_section.sealed_data_key;
    if (!sealed) return error(Kind::kInternal, "no branch key seals this one");
    return open_data_key(key("branch_key"), *sealed, {header.suite, header.volume_id, header.file_id});
  }
};

const std::filesystem::path kVectors =
    std::filesystem::path(__FILE__).parent_path().parent_path() / "vectors";

class FormatVectors : public ::testing::Test {
 protected:
  Result<Bytes> read(const Vector& vector) {
    directory_.write("file", std::string(as_text(vector.backing)));
    const Geometry geometry(static_cast<std::uint32_t>(std::stoul(vector.fields.at("header_size"))));
    auto fd = disk_.open_at(backing_.get(), "file", O_RDWR, 0);
    if (!fd) return std::move(fd).error();
    auto header = read_file_header(disk_, fd->get(), geometry);
    if (!header) return std::move(header).error();
    if (!*header) return error(Kind::kCorrupt, "no header");
    auto data_key = vector.data_key(**header);
    if (!data_key) return std::move(data_key).error();
    auto file = EncryptedFile::open(disk_, std::move(*fd), geometry,
                                    *VolumeId::parse_hex(vector.fields.at("volume_id")), **header,
                                    data_key->reveal(), Recovery::kRefuse, make_null_logger());
    if (!file) return std::move(file).error();
    Bytes content((*file)->size());
    auto got = (*file)->read_at(0, content);
    if (!got) return std::move(got).error();
    return content;
  }

  TemporaryDirectory directory_;
  UniqueFd backing_ = directory_.open();
  RealDisk disk_;
};

TEST_F(FormatVectors, EachEndsAsItSays) {
  std::size_t seen = 0;
  for (const auto& entry : std::filesystem::directory_iterator(kVectors)) {
    const std::string name = entry.path().filename();
    if (!name.starts_with("file_") || entry.path().extension() != ".txt") continue;
    SCOPED_TRACE(name);
    ++seen;
    const Vector vector = Vector::load(entry.path());
    const std::string& expected = vector.fields.at("expect");
    const auto content = read(vector);
    if (expected == "ok") {
      ASSERT_TRUE(content.ok()) << content.error().text;
      EXPECT_EQ(std::to_string(content->size()), vector.fields.at("plain_size"));
      EXPECT_EQ(to_hex(sha256(*content)), vector.fields.at("plain_sha256"));
    } else {
      ASSERT_FALSE(content.ok());
      EXPECT_EQ(to_string(content.error().kind), expected) << content.error().text;
    }
  }
  EXPECT_GE(seen, 19U);
}

// The sample of docs/FORMAT.md: every byte of it comes out of our own code as well.
TEST_F(FormatVectors, TheSampleIsWhatWeWrite) {
  const Vector vector = Vector::load(kVectors / "file_one_block.txt");
  const auto parsed = FileHeader::parse(vector.backing);
  ASSERT_TRUE(parsed.ok()) << parsed.error().text;
  auto keys = FileKeys::derive(vector.key("data_key").reveal(), *parsed);
  ASSERT_TRUE(keys.ok());
  EXPECT_EQ(to_hex(keys->content.reveal()), vector.fields.at("content_key"));
  EXPECT_EQ(to_hex(keys->header.reveal()), vector.fields.at("header_key"));
  EXPECT_EQ(to_hex(keys->commitment), vector.fields.at("commitment"));

  FileHeader header = *parsed;
  header.mac = header_mac(keys->header, header);
  header.state = {.sequence = 2, .clean = true, .sparse = false, .plain_size = 16};
  header.state.mac = state_mac(keys->header, header.state);
  Bytes written(kPageSize + 16);
  ASSERT_TRUE(header.serialize(std::span(written).first(kDefaultHeaderSize)).ok());

  const Geometry geometry(kDefaultHeaderSize);
  const auto cipher = Xaes256Gcm::make(keys->content);
  ASSERT_TRUE(cipher.ok());
  std::array<std::byte, 24> nonce;
  std::copy_n(vector.backing.begin() + kDefaultHeaderSize, nonce.size(), nonce.begin());
  Bytes additional{std::byte{0}, std::byte{1}};
  for (ByteView id : {header.volume_id.view(), header.file_id.view()}) {
    additional.insert(additional.end(), id.begin(), id.end());
  }
  additional.resize(additional.size() + 8);  // block 0
  Bytes plain(geometry.first_block_size());
  for (std::size_t i = 0; i < 16; ++i) plain[i] = static_cast<std::byte>(7 * i);
  ASSERT_TRUE(cipher
                  ->seal_with_nonce(nonce, additional, plain,
                                    std::span(written).subspan(kDefaultHeaderSize, geometry.sealed_size(0)))
                  .ok());
  EXPECT_TRUE(written == vector.backing);
}

}  // namespace
}  // namespace kmsfs::testing
