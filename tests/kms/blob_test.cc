#include "kms/blob.h"

#include <gtest/gtest.h>

#include <map>
#include <random>
#include <set>

#include "core/kdf.h"

namespace kmsfs::kms {
namespace {

TEST(EncryptionContextEncoding, IsTheOneThatTheFormatTextShows) {
  EXPECT_EQ(to_hex(*encode_context({})), "00000000");
  EXPECT_EQ(to_hex(*encode_context({{"b", "2"}, {"a", "1"}})),
            "00000002"
            "00000001"
            "61"
            "00000001"
            "31"
            "00000001"
            "62"
            "00000001"
            "32");
}

TEST(EncryptionContextEncoding, NoTwoContextsGiveTheSameBytes) {
  std::mt19937 random(7);
  const auto word = [&] {
    std::string text(random() % 3, ' ');
    for (char& c : text) c = "ab"[random() % 2];
    return text;
  };
  std::map<std::string, EncryptionContext> seen;
  for (int n = 0; n < 5000; ++n) {
    EncryptionContext context;
    for (auto pairs = random() % 3; pairs > 0; --pairs) context[word()] = word();
    const std::string encoded = to_hex(*encode_context(context));
    const auto [at, fresh] = seen.emplace(encoded, context);
    EXPECT_TRUE(fresh || at->second == context) << encoded;
  }
  EXPECT_GT(seen.size(), 100U);
}

TEST(Blob, OpensUnderItsMaterialOnly) {
  auto material = Material::random();
  auto other = Material::random();
  ASSERT_TRUE(material && other);
  const BlobHeader header{new_key_id(), MaterialId::random()};
  auto blob = seal_blob(header, *material, {{"a", "b"}}, as_bytes("hello"));
  ASSERT_TRUE(blob);
  EXPECT_EQ(blob->size(), 5 + kBlobOverhead);
  auto parsed = parse_blob_header(*blob);
  ASSERT_TRUE(parsed);
  EXPECT_EQ(parsed->key, header.key);
  EXPECT_EQ(parsed->material, header.material);
  EXPECT_EQ(as_text(open_blob(*blob, *material, {{"a", "b"}})->reveal()), "hello");
  EXPECT_FALSE(open_blob(*blob, *other, {{"a", "b"}}));
}

TEST(Blob, TheSameMessageNeverGivesTheSameBlob) {
  auto material = Material::random();
  const BlobHeader header{new_key_id(), MaterialId::random()};
  std::set<std::string> seen;
  for (int n = 0; n < 1000; ++n) {
    auto blob = seal_blob(header, *material, {}, as_bytes("hello"));
    ASSERT_TRUE(blob);
    EXPECT_TRUE(seen.insert(to_hex(ByteView(*blob).subspan(34, 16))).second);
  }
}

// The bytes of docs/KMS.md: material 00 01 … 1f, made with the format text and another implementation of it.
TEST(Blob, TheSampleOfTheFormatTextOpens) {
  auto material = Material::make();
  ASSERT_TRUE(material);
  for (std::size_t i = 0; i < Material::kSize; ++i) material->fill()[i] = static_cast<std::byte>(i);
  auto sample = from_hex(
      "010112345678123442348234123456789abc00112233445566778899aabbccdd"
      "eefff0f1f2f3f4f5f6f7f8f9fafbfcfdfeff3de0e5be90a4d81a1139286a35ef"
      "705ca3238445fee561a21cd4225eafd687c88dba24dc6542cea2b87753aa7752"
      "a26145bfd4dadabdc72507fb4766d452bd209bb66939ac6fb60a2a059b56da36"
      "040e");
  ASSERT_TRUE(sample);
  auto plain = open_blob(*sample, *material, {{"kmsfs:file", "f"}, {"kmsfs:volume", "v"}});
  ASSERT_TRUE(plain);
  EXPECT_EQ(as_text(plain->reveal()), "a data key of thirty-two bytes!!");
}

}  // namespace
}  // namespace kmsfs::kms
