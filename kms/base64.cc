#include "kms/base64.h"

#include <algorithm>
#include <cassert>
#include <cstdint>
#include <string_view>

namespace kmsfs::kms {

namespace {

constexpr std::string_view kDigits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

}  // namespace

void write_base64(std::span<const std::byte> bytes, std::span<std::byte> out) {
  assert(out.size() == base64_size(bytes.size()));
  std::size_t at = 0;
  for (std::size_t i = 0; i < bytes.size(); i += 3) {
    const std::size_t have = std::min<std::size_t>(3, bytes.size() - i);
    std::uint32_t bits = 0;
    for (std::size_t j = 0; j < 3; ++j) {
      bits = bits << 8 | (j < have ? std::to_integer<std::uint32_t>(bytes[i + j]) : 0);
    }
    for (std::size_t j = 0; j < 4; ++j) {
      const char digit = j <= have ? kDigits[bits >> (18 - 6 * j) & 63] : '=';
      out[at++] = static_cast<std::byte>(digit);
    }
  }
}

}  // namespace kmsfs::kms
