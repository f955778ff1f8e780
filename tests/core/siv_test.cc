#include "core/siv.h"

#include <gtest/gtest.h>
#include <openssl/evp.h>

#include "core/siv_engine.h"

namespace kmsfs {
namespace {

Bytes bytes_of(std::string_view hex) { return from_hex(hex).value(); }

class Siv : public ::testing::TestWithParam<AeadBackend> {
 protected:
  void SetUp() override {
    if (auto started = start_crypto(GetParam()); !started) FAIL() << started.error().text;
  }
  void TearDown() override { ASSERT_TRUE(start_crypto().ok()); }
};

TEST_P(Siv, GivesTheAnswersOfRfc5297) {
  // Appendix A.1.
  auto engine = SivEngine::make(bytes_of("fffefdfcfbfaf9f8f7f6f5f4f3f2f1f0f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff"));
  const Bytes data = bytes_of("101112131415161718191a1b1c1d1e1f2021222324252627");
  const Bytes plain = bytes_of("112233445566778899aabbccddee");
  const ByteView one[] = {data};
  Bytes sealed(plain.size() + 16);
  ASSERT_TRUE(engine->seal(one, plain, sealed).ok());
  EXPECT_EQ(to_hex(sealed), "85632d07c6e8f37f950acd320a2ecc9340c02b9690c4dc04daef7f6afe5c");
  // Appendix A.2: three strings, the last a nonce.
  auto other = SivEngine::make(bytes_of("7f7e7d7c7b7a79787776757473727170404142434445464748494a4b4c4d4e4f"));
  const Bytes first =
      bytes_of("00112233445566778899aabbccddeeffdeaddadadeaddadaffeeddccbbaa99887766554433221100");
  const Bytes second = bytes_of("102030405060708090a0"), nonce = bytes_of("09f911029d74e35bd84156c5635688c0");
  const ByteView three[] = {first, second, nonce};
  const Bytes text = bytes_of(
      "7468697320697320736f6d6520706c61696e7465787420746f20656e6372797074207573696e67205349562d414553");
  Bytes result(text.size() + 16);
  ASSERT_TRUE(other->seal(three, text, result).ok());
  EXPECT_EQ(to_hex(result),
            "7bdb6e3b432667eb06f4d14bff2fbd0fcb900f2fddbe404326601965c889bf17dba77ceb094fa663b7a3f748ba8af829"
            "ea64ad544a"
            "272e9c485b62a3fd5c0d");
}

Bytes sealed_by_openssl(ByteView key, ByteView data, ByteView plain) {
  EVP_CIPHER* cipher = EVP_CIPHER_fetch(nullptr, "AES-256-SIV", nullptr);
  EVP_CIPHER_CTX* context = EVP_CIPHER_CTX_new();
  const auto raw = [](ByteView v) { return reinterpret_cast<const unsigned char*>(v.data()); };
  Bytes out(plain.size() + 16);
  int size = 0;
  EXPECT_EQ(EVP_EncryptInit_ex2(context, cipher, raw(key), nullptr, nullptr), 1);
  EXPECT_EQ(EVP_EncryptUpdate(context, nullptr, &size, raw(data), static_cast<int>(data.size())), 1);
  EXPECT_EQ(EVP_EncryptUpdate(context, reinterpret_cast<unsigned char*>(out.data() + 16), &size, raw(plain),
                              static_cast<int>(plain.size())),
            1);
  EXPECT_EQ(EVP_EncryptFinal_ex(context, reinterpret_cast<unsigned char*>(out.data() + 16), &size), 1);
  EXPECT_EQ(EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_GET_TAG, 16, out.data()), 1);
  EVP_CIPHER_CTX_free(context);
  EVP_CIPHER_free(cipher);
  return out;
}

TEST_P(Siv, With64ByteKeysAgreesWithOpenSslAtEveryLengthOfAName) {
  auto key = SivKey::random();
  auto siv = AesSiv::make(*key);
  for (std::size_t size = 1; size <= 255; ++size) {
    Bytes directory(16), name(size), sealed(size + 16), opened(size);
    random_bytes(directory);
    random_bytes(name);
    ASSERT_TRUE(siv->seal(ByteView(directory), name, sealed).ok());
    EXPECT_EQ(sealed, sealed_by_openssl(key->reveal(), directory, name)) << size;
    ASSERT_TRUE(siv->open(directory, sealed, opened).ok());
    EXPECT_EQ(opened, name);
  }
}

TEST_P(Siv, EmptyTextComesBackAndIsAuthenticated) {
  auto key = SivKey::random();
  auto siv = AesSiv::make(*key);
  Bytes sealed(16);
  ASSERT_TRUE(siv->seal(as_bytes("a"), {}, sealed).ok());
  EXPECT_TRUE(siv->open(as_bytes("a"), sealed, {}).ok());
  EXPECT_EQ(siv->open(as_bytes("b"), sealed, {}).error().kind, Kind::kCorrupt);
}

TEST_P(Siv, AnyFlippedBitIsCorruptAndLeavesNothingBehind) {
  auto key = SivKey::random();
  auto siv = AesSiv::make(*key);
  const Bytes plain(40, std::byte{0x5a});
  Bytes sealed(plain.size() + 16);
  ASSERT_TRUE(siv->seal(as_bytes("directory"), plain, sealed).ok());
  for (std::size_t bit = 0; bit < sealed.size() * 8; ++bit) {
    Bytes changed = sealed, opened(plain.size(), std::byte{0xee});
    changed[bit / 8] ^= static_cast<std::byte>(1U << bit % 8);
    EXPECT_EQ(siv->open(as_bytes("directory"), changed, opened).error().kind, Kind::kCorrupt);
    EXPECT_TRUE(all_zero(opened));
  }
}

INSTANTIATE_TEST_SUITE_P(Backends, Siv, ::testing::Values(AeadBackend::kAutomatic, AeadBackend::kOpenSsl),
                         [](const auto& backend) {
                           return std::string(to_string(backend.param) == "ipsec-mb"
                                                  ? "ipsec_mb"
                                                  : to_string(backend.param));
                         });

}  // namespace
}  // namespace kmsfs
