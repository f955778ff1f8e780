// AES-256-GCM under a key that serves one message and is derived for it.
//
// Always: the nonce is zero, so a key that seals twice gives both messages away. Only for keys that come out
// of a KDF over at least 128 fresh random bits (kms/blob.cc). Everything else uses Xaes256Gcm. Threads: any.
#pragma once

#include <span>

#include "core/bytes.h"

namespace kmsfs {

inline constexpr std::size_t kOneTimeOverhead = 16;  // the tag

// `sealed` has plain.size() + kOneTimeOverhead bytes and does not overlap `plain`.
Result<void> seal_one_time(std::span<const std::byte, 32> key, ByteView aad, ByteView plain, ByteSpan sealed);
// kCorrupt if the tag is wrong: then `plain` is wiped.
Result<void> open_one_time(std::span<const std::byte, 32> key, ByteView aad, ByteView sealed, ByteSpan plain);

}  // namespace kmsfs
