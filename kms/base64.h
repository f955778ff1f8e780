// Base64 (RFC 4648, section 4) of secrets, into memory that the caller has locked.
//
// Core's to_base64() is for what everybody may read; the way back is JsonValue::secret(). Always: nothing is
// kept elsewhere, not even on the way. Threads: pure functions.
#pragma once

#include <cstddef>
#include <span>

namespace kmsfs::kms {

constexpr std::size_t base64_size(std::size_t bytes) { return (bytes + 2) / 3 * 4; }

// `out` has base64_size(bytes.size()) bytes.
void write_base64(std::span<const std::byte> bytes, std::span<std::byte> out);

}  // namespace kmsfs::kms
