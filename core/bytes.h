// Byte spans, bounded cursors over them, and their text forms.
//
// Everything multi-byte is big-endian, on disk and on the wire.
// ByteReader never reads past the end: a read that does not fit yields zeros and is remembered, so a parser
// reads like its format text and asks once, at the end, whether the bytes were all there (complete()).
// Threads: plain values.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/result.h"

namespace kmsfs {

using Bytes = std::vector<std::byte>;  // never for secrets: see core/secret.h
using ByteView = std::span<const std::byte>;
using ByteSpan = std::span<std::byte>;

inline ByteView as_bytes(std::string_view text) {
  return std::as_bytes(std::span<const char>(text.data(), text.size()));
}
inline std::string_view as_text(ByteView bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};  // NOLINT
}

inline void store_be16(std::byte* out, std::uint16_t value) {
  out[0] = static_cast<std::byte>(value >> 8);
  out[1] = static_cast<std::byte>(value & 0xff);
}
inline void store_be32(std::byte* out, std::uint32_t value) {
  value = __builtin_bswap32(value);
  std::memcpy(out, &value, sizeof value);
}
inline void store_be64(std::byte* out, std::uint64_t value) {
  value = __builtin_bswap64(value);
  std::memcpy(out, &value, sizeof value);
}
inline std::uint16_t load_be16(const std::byte* in) {
  return static_cast<std::uint16_t>(std::to_integer<unsigned>(in[0]) << 8 | std::to_integer<unsigned>(in[1]));
}
inline std::uint32_t load_be32(const std::byte* in) {
  std::uint32_t value = 0;
  std::memcpy(&value, in, sizeof value);
  return __builtin_bswap32(value);
}
inline std::uint64_t load_be64(const std::byte* in) {
  std::uint64_t value = 0;
  std::memcpy(&value, in, sizeof value);
  return __builtin_bswap64(value);
}

class ByteReader {
 public:
  explicit ByteReader(ByteView bytes) : rest_(bytes) {}

  std::uint8_t u8() { return std::to_integer<std::uint8_t>(take<1>()[0]); }
  std::uint16_t u16() { return load_be16(take<2>().data()); }
  std::uint32_t u32() { return load_be32(take<4>().data()); }
  std::uint64_t u64() { return load_be64(take<8>().data()); }

  template <std::size_t N>
  std::array<std::byte, N> take() {
    std::array<std::byte, N> out{};
    if (ByteView in = bytes(N); in.size() == N) std::memcpy(out.data(), in.data(), N);
    return out;
  }
  // A view into the input; empty if it does not fit.
  ByteView bytes(std::size_t size) {
    if (failed_ || size > rest_.size()) {
      failed_ = true;
      return {};
    }
    ByteView out = rest_.first(size);
    rest_ = rest_.subspan(size);
    return out;
  }
  // Skips bytes that must all be zero; anything else counts as malformed.
  void zeros(std::size_t size) {
    for (std::byte b : bytes(size)) failed_ |= b != std::byte{0};
  }

  std::size_t remaining() const { return rest_.size(); }
  bool ok() const { return !failed_; }                         // everything asked for was there
  bool complete() const { return !failed_ && rest_.empty(); }  // and nothing is left over

 private:
  ByteView rest_;
  bool failed_ = false;
};

// Writes into a caller's buffer, never past its end; overflow is remembered.
class ByteWriter {
 public:
  explicit ByteWriter(ByteSpan out) : out_(out) {}

  void u8(std::uint8_t value) {
    if (std::byte* at = reserve(1)) *at = std::byte{value};
  }
  void u16(std::uint16_t value) {
    if (std::byte* at = reserve(2)) store_be16(at, value);
  }
  void u32(std::uint32_t value) {
    if (std::byte* at = reserve(4)) store_be32(at, value);
  }
  void u64(std::uint64_t value) {
    if (std::byte* at = reserve(8)) store_be64(at, value);
  }
  void bytes(ByteView value) {
    if (value.empty()) return;
    if (std::byte* at = reserve(value.size())) std::memcpy(at, value.data(), value.size());
  }
  void zeros(std::size_t size) {
    if (size == 0) return;
    if (std::byte* at = reserve(size)) std::memset(at, 0, size);
  }

  std::size_t written() const { return used_; }
  bool ok() const { return !failed_; }

 private:
  std::byte* reserve(std::size_t size) {
    if (failed_ || size > out_.size() - used_) {
      failed_ = true;
      return nullptr;
    }
    std::byte* at = out_.data() + used_;
    used_ += size;
    return at;
  }

  ByteSpan out_;
  std::size_t used_ = 0;
  bool failed_ = false;
};

bool all_zero(ByteView bytes);

std::string to_hex(ByteView bytes);
Result<Bytes> from_hex(std::string_view text);

// RFC 4648 sections 4 and 5. Decoders refuse what an encoder would not have written (padding, stray bits,
// white space).
std::string to_base64(ByteView bytes);
Result<Bytes> from_base64(std::string_view text);
std::string to_base64url(ByteView bytes);  // without padding
Result<Bytes> from_base64url(std::string_view text);
constexpr std::size_t base64url_size(std::size_t bytes) { return (bytes * 4 + 2) / 3; }

}  // namespace kmsfs
