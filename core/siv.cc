// RFC 5297 over single AES blocks. OpenSSL's own AES-SIV allocates two CMAC contexts on the heap for each
// message, which is slow for names and leaves key schedules outside locked memory; this file is checked
// against it in the tests.
#include "core/siv.h"

#include <openssl/crypto.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "core/cipher_backend.h"
#include "core/kdf.h"
#include "core/siv_engine.h"

namespace kmsfs {

namespace {

void exclusive_or(AesBlock& block, ByteView other) {
  for (std::size_t i = 0; i < other.size(); ++i) block[i] ^= other[i];
}

// dbl() of RFC 5297, section 2.3.
AesBlock doubled(const AesBlock& in) {
  AesBlock out;
  for (std::size_t i = 0; i < in.size(); ++i) {
    const unsigned carry = i + 1 < in.size() ? std::to_integer<unsigned>(in[i + 1]) >> 7 : 0;
    out[i] = static_cast<std::byte>((std::to_integer<unsigned>(in[i]) << 1 | carry) & 0xff);
  }
  out[15] ^= static_cast<std::byte>((std::to_integer<unsigned>(in[0]) >> 7) * 0x87);
  return out;
}

// AES-CMAC (RFC 4493) of data whose last 16 bytes are first xored with `mask` (S2V's xorend); an empty mask
// is none.
Result<AesBlock> cmac(const BlockCipher& cipher, ByteView data, const AesBlock* mask) {
  AesBlock subkey{};
  KMSFS_TRY(cipher.encrypt(subkey, subkey));
  subkey = doubled(subkey);
  const std::size_t full = data.empty() ? 0 : (data.size() - 1) / 16;  // blocks before the last
  const std::size_t masked_from = mask != nullptr ? data.size() - 16 : data.size();
  AesBlock sum{};
  for (std::size_t i = 0; i <= full; ++i) {
    const std::size_t start = i * 16;
    const std::size_t size = std::min<std::size_t>(16, data.size() - start);
    AesBlock block{};
    if (size > 0) std::memcpy(block.data(), data.data() + start, size);
    for (std::size_t k = 0; k < size; ++k) {
      if (start + k >= masked_from) block[k] ^= (*mask)[start + k - masked_from];
    }
    if (i == full) {
      if (size < 16) {
        block[size] = std::byte{0x80};
        subkey = doubled(subkey);
      }
      exclusive_or(block, subkey);
    }
    exclusive_or(sum, block);
    OPENSSL_cleanse(block.data(), block.size());
    KMSFS_TRY(cipher.encrypt(sum, sum));
  }
  OPENSSL_cleanse(subkey.data(), subkey.size());
  return sum;
}

}  // namespace

Result<SivEngine> SivEngine::make(ByteView key) {
  auto mac = cipher_backend().block_cipher(key.first(key.size() / 2));
  if (!mac) return std::move(mac).error();
  auto counter = cipher_backend().block_cipher(key.subspan(key.size() / 2));
  if (!counter) return std::move(counter).error();
  return SivEngine(std::move(*mac), std::move(*counter));
}

// S2V of RFC 5297, section 2.4, for at least one string: the plain text.
Result<AesBlock> SivEngine::synthetic_iv(std::span<const ByteView> associated_data, ByteView plain) const {
  const AesBlock zero{};
  auto sum = cmac(*mac_, zero, nullptr);
  if (!sum) return sum;
  for (ByteView data : associated_data) {
    auto part = cmac(*mac_, data, nullptr);
    if (!part) return part;
    *sum = doubled(*sum);
    exclusive_or(*sum, *part);
  }
  if (plain.size() >= 16) return cmac(*mac_, plain, &*sum);
  AesBlock last = doubled(*sum);
  exclusive_or(last, plain);
  last[plain.size()] ^= std::byte{0x80};
  return cmac(*mac_, last, nullptr);
}

Result<void> SivEngine::apply_counter_mode(const AesBlock& iv, ByteView in, ByteSpan out) const {
  AesBlock counter = iv;
  counter[8] &= std::byte{0x7f};  // so that the counter's low halves never carry out of 31 bits (section 2.6)
  counter[12] &= std::byte{0x7f};
  for (std::size_t start = 0; start < in.size(); start += 16) {
    AesBlock stream;
    KMSFS_TRY(counter_->encrypt(counter, stream));
    const std::size_t size = std::min<std::size_t>(16, in.size() - start);
    for (std::size_t i = 0; i < size; ++i) out[start + i] = in[start + i] ^ stream[i];
    OPENSSL_cleanse(stream.data(), stream.size());
    store_be64(counter.data() + 8, load_be64(counter.data() + 8) + 1);
  }
  return {};
}

Result<void> SivEngine::seal(std::span<const ByteView> associated_data, ByteView plain,
                             ByteSpan sealed) const {
  assert(sealed.size() == plain.size() + AesSiv::kOverhead && "a sealed text is 16 bytes longer");
  auto iv = synthetic_iv(associated_data, plain);
  if (!iv) return std::move(iv).error();
  std::copy(iv->begin(), iv->end(), sealed.begin());
  return apply_counter_mode(*iv, plain, sealed.subspan(AesSiv::kOverhead));
}

Result<void> SivEngine::open(std::span<const ByteView> associated_data, ByteView sealed,
                             ByteSpan plain) const {
  if (sealed.size() < AesSiv::kOverhead || plain.size() != sealed.size() - AesSiv::kOverhead) {
    return error(Kind::kCorrupt, "too short to be a sealed text");
  }
  AesBlock iv;
  std::copy_n(sealed.begin(), iv.size(), iv.begin());
  KMSFS_TRY(apply_counter_mode(iv, sealed.subspan(AesSiv::kOverhead), plain));
  auto expected = synthetic_iv(associated_data, plain);
  if (!expected || !equal_in_constant_time(*expected, iv)) {
    OPENSSL_cleanse(plain.data(), plain.size());
    if (!expected) return std::move(expected).error();
    return error(Kind::kCorrupt, "does not authenticate");
  }
  return {};
}

struct AesSiv::State {
  SivEngine engine;
};

AesSiv::AesSiv(std::unique_ptr<State> state) : state_(std::move(state)) {}
AesSiv::AesSiv(AesSiv&&) noexcept = default;
AesSiv& AesSiv::operator=(AesSiv&&) noexcept = default;
AesSiv::~AesSiv() = default;

Result<AesSiv> AesSiv::make(const SivKey& key) {
  auto engine = SivEngine::make(key.reveal());
  if (!engine) return std::move(engine).error();
  return AesSiv(std::make_unique<State>(State{std::move(*engine)}));
}

Result<void> AesSiv::seal(ByteView associated_data, ByteView plain, ByteSpan sealed) const {
  return state_->engine.seal(std::span(&associated_data, 1), plain, sealed);
}

Result<void> AesSiv::open(ByteView associated_data, ByteView sealed, ByteSpan plain) const {
  return state_->engine.open(std::span(&associated_data, 1), sealed, plain);
}

Result<void> AesSiv::seal(std::span<const ByteView> associated_data, ByteView plain, ByteSpan sealed) const {
  return state_->engine.seal(associated_data, plain, sealed);
}

}  // namespace kmsfs
