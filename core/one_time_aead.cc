#include "core/one_time_aead.h"

#include <array>
#include <cassert>
#include <cstring>

#include "core/cipher_backend.h"

namespace kmsfs {

namespace {

constexpr std::array<std::byte, 12> kZeroNonce{};

}  // namespace

Result<void> seal_one_time(std::span<const std::byte, 32> key, ByteView aad, ByteView plain,
                           ByteSpan sealed) {
  assert(sealed.size() == plain.size() + kOneTimeOverhead && "a sealed text is 16 bytes longer");
  auto cipher = cipher_backend().gcm_key(key);
  if (!cipher) return std::move(cipher).error();
  return (*cipher)->seal(kZeroNonce.data(), aad, plain, sealed.data(), sealed.data() + plain.size());
}

Result<void> open_one_time(std::span<const std::byte, 32> key, ByteView aad, ByteView sealed,
                           ByteSpan plain) {
  if (sealed.size() < kOneTimeOverhead || plain.size() != sealed.size() - kOneTimeOverhead) {
    return error(Kind::kCorrupt, "too short to be a sealed text");
  }
  auto cipher = cipher_backend().gcm_key(key);
  if (!cipher) return std::move(cipher).error();
  auto opened = (*cipher)->open(kZeroNonce.data(), aad, sealed.first(plain.size()),
                                sealed.data() + plain.size(), plain.data());
  if (!opened) ::explicit_bzero(plain.data(), plain.size());
  return opened;
}

}  // namespace kmsfs
