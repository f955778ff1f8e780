#include "core/kdf.h"

#include <gtest/gtest.h>
#include <openssl/core_names.h>
#include <openssl/kdf.h>
#include <openssl/params.h>

#include "tests/support/crypto_environment.h"

namespace kmsfs {
namespace {

Bytes bytes_of(std::string_view hex) { return from_hex(hex).value(); }

TEST(Hmac, GivesTheAnswersOfRfc4231) {
  EXPECT_EQ(to_hex(hmac_sha256(Bytes(20, std::byte{0x0b}), as_bytes("Hi There"))),
            "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");
  EXPECT_EQ(to_hex(hmac_sha256(Bytes(131, std::byte{0xaa}),
                               as_bytes("Test Using Larger Than Block-Size Key - Hash Key First"))),
            "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
}

TEST(Hkdf, GivesTheAnswersOfRfc5869) {
  std::array<std::byte, 42> out{};
  hkdf_sha256(Bytes(22, std::byte{0x0b}), bytes_of("000102030405060708090a0b0c"),
              bytes_of("f0f1f2f3f4f5f6f7f8f9"), out);
  EXPECT_EQ(to_hex(out),
            "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865");
  hkdf_sha256(Bytes(22, std::byte{0x0b}), {}, {}, out);
  EXPECT_EQ(to_hex(out),
            "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8");
}

// OpenSSL's KBKDF is the peer: the same formula by other hands.
Bytes kbkdf_by_openssl(Bytes key, Bytes label, Bytes context, std::size_t size) {
  EVP_KDF* kdf = EVP_KDF_fetch(nullptr, "KBKDF", nullptr);
  EVP_KDF_CTX* derivation = EVP_KDF_CTX_new(kdf);
  std::string mode = "counter", mac = "HMAC", digest = "SHA256";
  const OSSL_PARAM parameters[] = {
      OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_MODE, mode.data(), 0),
      OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_MAC, mac.data(), 0),
      OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, digest.data(), 0),
      OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_KEY, key.data(), key.size()),
      OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_SALT, label.data(), label.size()),
      OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_INFO, context.data(), context.size()),
      OSSL_PARAM_construct_end()};
  Bytes out(size);
  EXPECT_EQ(EVP_KDF_derive(derivation, reinterpret_cast<unsigned char*>(out.data()), size, parameters), 1);
  EVP_KDF_CTX_free(derivation);
  EVP_KDF_free(kdf);
  return out;
}

TEST(Kbkdf, AgreesWithOpenSsl) {
  for (std::size_t size : {1U, 16U, 32U, 33U, 64U, 100U}) {
    Bytes key(32), label(7), context(size);
    random_bytes(key);
    random_bytes(label);
    random_bytes(context);
    Bytes out(size);
    kbkdf_hmac_sha256(key, label, context, out);
    EXPECT_EQ(out, kbkdf_by_openssl(key, label, context, size)) << size;
  }
}

TEST(ConstantTimeComparison, SeesEveryBitAndTheLength) {
  const Bytes bytes(33, std::byte{7});
  EXPECT_TRUE(equal_in_constant_time(bytes, bytes));
  EXPECT_FALSE(equal_in_constant_time(bytes, ByteView(bytes).first(32)));
  for (std::size_t bit = 0; bit < bytes.size() * 8; ++bit) {
    Bytes other = bytes;
    other[bit / 8] ^= static_cast<std::byte>(1U << bit % 8);
    EXPECT_FALSE(equal_in_constant_time(bytes, other));
  }
}

}  // namespace
}  // namespace kmsfs
