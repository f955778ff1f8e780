// SHA-256 by OpenSSL's older interface: it keeps its state where we put it, allocates nothing and looks
// nothing up. The EVP interface does all three for each message, and so does the one-shot SHA256() since
// OpenSSL 3.
#define OPENSSL_SUPPRESS_DEPRECATED
#include "core/kdf.h"

#include <openssl/crypto.h>
#include <openssl/sha.h>

#include <algorithm>
#include <cassert>
#include <cstring>

namespace kmsfs {

namespace {

constexpr std::size_t kBlock = 64;  // of SHA-256
constexpr std::size_t kHash = 32;

unsigned char* raw(std::byte* bytes) { return reinterpret_cast<unsigned char*>(bytes); }

void hash(ByteView data, unsigned char* out) {
  SHA256_CTX state;
  SHA256_Init(&state);
  if (!data.empty()) SHA256_Update(&state, data.data(), data.size());
  SHA256_Final(out, &state);
  OPENSSL_cleanse(&state, sizeof state);
}

// HMAC-SHA256 (RFC 2104) as a running sum; wiped when it dies.
class Hmac {
 public:
  explicit Hmac(ByteView key) {
    std::array<std::byte, kBlock> pad{};
    if (key.size() > kBlock) {
      hash(key, raw(pad.data()));
    } else if (!key.empty()) {
      std::memcpy(pad.data(), key.data(), key.size());
    }
    for (std::byte& b : pad) b ^= std::byte{0x36};
    SHA256_Init(&inner_);
    SHA256_Update(&inner_, pad.data(), pad.size());
    for (std::byte& b : pad) b ^= std::byte{0x36 ^ 0x5c};
    SHA256_Init(&outer_);
    SHA256_Update(&outer_, pad.data(), pad.size());
    OPENSSL_cleanse(pad.data(), pad.size());
  }
  Hmac(const Hmac&) = default;  // a keyed start is copied for each message
  Hmac& operator=(const Hmac&) = delete;
  ~Hmac() {
    OPENSSL_cleanse(&inner_, sizeof inner_);
    OPENSSL_cleanse(&outer_, sizeof outer_);
  }

  void update(ByteView data) {
    if (!data.empty()) SHA256_Update(&inner_, data.data(), data.size());
  }
  void finish(std::span<std::byte, kHash> out) {
    SHA256_Final(raw(out.data()), &inner_);
    SHA256_Update(&outer_, out.data(), out.size());
    SHA256_Final(raw(out.data()), &outer_);
  }

 private:
  SHA256_CTX inner_{};
  SHA256_CTX outer_{};
};

// A hash on the stack that may be key material.
struct WipedHash {
  std::array<std::byte, kHash> bytes{};
  ~WipedHash() { OPENSSL_cleanse(bytes.data(), bytes.size()); }
};

}  // namespace

Sha256 sha256(ByteView data) {
  Sha256 out{};
  hash(data, raw(out.data()));
  return out;
}

void hmac_sha256(std::span<const std::byte> key, ByteView data, std::span<std::byte, 32> out) {
  Hmac hmac(key);
  hmac.update(data);
  hmac.finish(out);
}

Sha256 hmac_sha256(std::span<const std::byte> key, ByteView data) {
  Sha256 out{};
  hmac_sha256(key, data, out);
  return out;
}

bool equal_in_constant_time(ByteView a, ByteView b) {
  return a.size() == b.size() && CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

void hkdf_sha256(std::span<const std::byte> key, ByteView salt, ByteView info, ByteSpan out) {
  assert(out.size() <= 255 * kHash && "RFC 5869 allows no more than 255 blocks");
  WipedHash pseudo_random_key;
  {
    Hmac extract(salt);
    extract.update(key);
    extract.finish(pseudo_random_key.bytes);
  }
  const Hmac keyed(pseudo_random_key.bytes);
  WipedHash block;
  std::byte counter{0};
  for (std::size_t done = 0; done < out.size();) {
    Hmac expand(keyed);
    if (done > 0) expand.update(block.bytes);
    expand.update(info);
    counter = static_cast<std::byte>(std::to_integer<unsigned>(counter) + 1);
    expand.update(std::span(&counter, 1));
    expand.finish(block.bytes);
    const std::size_t take = std::min(kHash, out.size() - done);
    std::memcpy(out.data() + done, block.bytes.data(), take);
    done += take;
  }
}

void kbkdf_hmac_sha256(std::span<const std::byte> key, ByteView label, ByteView context, ByteSpan out) {
  assert(out.size() <= (std::size_t{1} << 20) && "far below the limits of SP 800-108");
  const Hmac keyed(key);
  std::array<std::byte, 4> bits{};
  store_be32(bits.data(), static_cast<std::uint32_t>(out.size() * 8));
  const std::byte separator{0};
  WipedHash block;
  std::uint32_t index = 0;
  for (std::size_t done = 0; done < out.size();) {
    std::array<std::byte, 4> counter{};
    store_be32(counter.data(), ++index);
    Hmac sum(keyed);
    sum.update(counter);
    sum.update(label);
    sum.update(std::span(&separator, 1));
    sum.update(context);
    sum.update(bits);
    sum.finish(block.bytes);
    const std::size_t take = std::min(kHash, out.size() - done);
    std::memcpy(out.data() + done, block.bytes.data(), take);
    done += take;
  }
}

}  // namespace kmsfs
