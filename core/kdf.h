// Key derivation and hashing: HKDF-SHA256 (RFC 5869), KBKDF in counter mode with HMAC-SHA256 (NIST SP
// 800-108r1), HMAC, SHA-256.
//
// Secrets in, secrets out: intermediate values live in locked memory and are wiped.
// Threads: any.
#pragma once

#include <array>
#include <span>

#include "core/bytes.h"
#include "core/secret.h"

namespace kmsfs {

using Sha256 = std::array<std::byte, 32>;

Sha256 sha256(ByteView data);
Sha256 hmac_sha256(std::span<const std::byte> key, ByteView data);
// Where the result is a key itself: `out` is locked memory, and may be the key's.
void hmac_sha256(std::span<const std::byte> key, ByteView data, std::span<std::byte, 32> out);
template <std::size_t N, typename Tag>
Sha256 hmac_sha256(const Secret<N, Tag>& key, ByteView data) {
  return hmac_sha256(key.reveal(), data);
}

// True if the two are the same, in time that depends on their size only.
bool equal_in_constant_time(ByteView a, ByteView b);

// HKDF-SHA256, extract then expand; out is at most 255 * 32 bytes and may be locked memory or (for public
// values such as a commitment) ordinary.
void hkdf_sha256(std::span<const std::byte> key, ByteView salt, ByteView info, ByteSpan out);

// SP 800-108r1 section 4.1: K(i) = HMAC(key, [i]_32 ‖ label ‖ 0x00 ‖ context ‖ [bits of out]_32).
void kbkdf_hmac_sha256(std::span<const std::byte> key, ByteView label, ByteView context, ByteSpan out);

}  // namespace kmsfs
