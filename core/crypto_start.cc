// Choosing the back end, and known answers before anything is trusted to it.
#include <array>
#include <atomic>
#include <memory>

#include "core/cipher_backend.h"
#include "core/kdf.h"
#include "core/openssl_memory.h"

namespace kmsfs {

namespace {

// Chosen once, before threads; what was made with an earlier choice (tests switch) goes on working.
struct Backends {
  std::unique_ptr<CipherBackend> ipsec_mb, openssl;
  std::atomic<const CipherBackend*> chosen{nullptr};
};

Backends& backends() {
  static Backends instance;
  return instance;
}

Error wrong(std::string_view what) {
  return error(Kind::kInternal, std::string(what) + " gives a wrong answer on this machine; do not use it");
}

Result<void> test_gcm(const CipherBackend& backend) {
  // NIST GCM test case 13: AES-256, all zeros, nothing sealed.
  const std::array<std::byte, 32> key{};
  const std::array<std::byte, 12> nonce{};
  auto gcm = backend.gcm_key(key);
  if (!gcm) return std::move(gcm).error();
  std::array<std::byte, 16> sealed{}, tag{}, opened{};
  const std::array<std::byte, 16> plain{};
  // Test case 14: one block of zeros.
  KMSFS_TRY((*gcm)->seal(nonce.data(), {}, plain, sealed.data(), tag.data()));
  if (to_hex(sealed) != "cea7403d4d606b6e074ec5d3baf39d18" ||
      to_hex(tag) != "d0d1c8a799996bf0265b98b5d48ab919") {
    return wrong("AES-256-GCM");
  }
  KMSFS_TRY((*gcm)->open(nonce.data(), {}, sealed, tag.data(), opened.data()));
  tag[15] ^= std::byte{1};
  if (opened != plain || (*gcm)->open(nonce.data(), {}, sealed, tag.data(), opened.data()).ok()) {
    return wrong("AES-256-GCM");
  }
  return {};
}

Result<void> test_aes(const CipherBackend& backend) {
  // FIPS 197, appendices C.1 and C.3.
  auto key = from_hex("000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f");
  AesBlock plain;
  for (std::size_t i = 0; i < plain.size(); ++i) plain[i] = static_cast<std::byte>(i * 0x11);
  for (auto [size, expected] : {std::pair{16U, "69c4e0d86a7b0430d8cdb78070b4c55a"},
                                std::pair{32U, "8ea2b7ca516745bfeafc49904b496089"}}) {
    auto cipher = backend.block_cipher(ByteView(*key).first(size));
    if (!cipher) return std::move(cipher).error();
    AesBlock out{};
    KMSFS_TRY((*cipher)->encrypt(plain, out));
    if (to_hex(out) != expected) return wrong("AES");
  }
  return {};
}

Result<void> test_kdf() {
  // RFC 4231 test case 2; RFC 5869 test case 1; SP 800-108 in counter mode, computed with OpenSSL's KBKDF.
  if (to_hex(hmac_sha256(as_bytes("Jefe"), as_bytes("what do ya want for nothing?"))) !=
      "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843") {
    return wrong("HMAC-SHA256");
  }
  const std::array<std::byte, 22> key = [] {
    std::array<std::byte, 22> bytes{};
    bytes.fill(std::byte{0x0b});
    return bytes;
  }();
  std::array<std::byte, 42> out{};
  hkdf_sha256(key, *from_hex("000102030405060708090a0b0c"), *from_hex("f0f1f2f3f4f5f6f7f8f9"), out);
  if (to_hex(out) != "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865") {
    return wrong("HKDF-SHA256");
  }
  return {};
}

}  // namespace

Result<void> test_known_answers(const CipherBackend& backend) {
  KMSFS_TRY(test_aes(backend));
  KMSFS_TRY(test_gcm(backend));
  return test_kdf();
}

const CipherBackend& cipher_backend() {
  const CipherBackend* chosen = backends().chosen.load(std::memory_order_acquire);
  assert(chosen != nullptr && "start_crypto comes before any cryptography");
  return *chosen;
}

Result<void> start_crypto(AeadBackend backend) {
  Backends& all = backends();
  if (all.openssl == nullptr) {
    KMSFS_TRY(route_openssl_memory());
    all.openssl = make_openssl_backend();
    all.ipsec_mb = make_ipsec_mb_backend();
  }
  const CipherBackend* chosen = all.openssl.get();
  if (backend != AeadBackend::kOpenSsl && all.ipsec_mb != nullptr) chosen = all.ipsec_mb.get();
  if (chosen == nullptr) return error(Kind::kUnsupported, "OpenSSL has no AES-256-GCM here");
  if (backend == AeadBackend::kIpsecMb && chosen->name() != AeadBackend::kIpsecMb) {
    return error(Kind::kUnsupported, "intel-ipsec-mb cannot run on this processor; use the OpenSSL back end");
  }
  KMSFS_TRY(test_known_answers(*chosen));
  all.chosen.store(chosen, std::memory_order_release);
  return {};
}

AeadBackend aead_backend() { return cipher_backend().name(); }

std::string_view to_string(AeadBackend backend) {
  switch (backend) {
    case AeadBackend::kAutomatic:
      return "automatic";
    case AeadBackend::kIpsecMb:
      return "ipsec-mb";
    case AeadBackend::kOpenSsl:
      return "openssl";
  }
  return "unknown";
}

}  // namespace kmsfs
