#include "core/bytes.h"

#include <algorithm>

namespace kmsfs {

namespace {

constexpr std::string_view kStandard = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
constexpr std::string_view kUrl = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

std::string encode(ByteView in, std::string_view alphabet, bool pad) {
  std::string out;
  out.reserve((in.size() + 2) / 3 * 4);
  std::uint32_t bits = 0;
  unsigned have = 0;
  for (std::byte b : in) {
    bits = bits << 8 | std::to_integer<std::uint32_t>(b);
    have += 8;
    while (have >= 6) {
      have -= 6;
      out.push_back(alphabet[bits >> have & 63]);
    }
  }
  if (have > 0) out.push_back(alphabet[bits << (6 - have) & 63]);
  while (pad && out.size() % 4 != 0) out.push_back('=');
  return out;
}

constexpr std::array<std::int8_t, 256> reverse_of(std::string_view alphabet) {
  std::array<std::int8_t, 256> table{};
  table.fill(-1);
  for (std::size_t i = 0; i < alphabet.size(); ++i) {
    table[static_cast<unsigned char>(alphabet[i])] = static_cast<std::int8_t>(i);
  }
  return table;
}

Result<Bytes> decode(std::string_view text, const std::array<std::int8_t, 256>& reverse) {
  Bytes out;
  out.reserve(text.size() * 3 / 4);
  std::uint32_t bits = 0;
  unsigned have = 0;
  for (char c : text) {
    const int value = reverse[static_cast<unsigned char>(c)];
    if (value < 0) return error(Kind::kInvalid, "not base64: stray character");
    bits = bits << 6 | static_cast<std::uint32_t>(value);
    have += 6;
    if (have >= 8) {
      have -= 8;
      out.push_back(static_cast<std::byte>(bits >> have & 0xff));
    }
  }
  if (have == 6 || (bits & ((1U << have) - 1)) != 0) return error(Kind::kInvalid, "not base64: stray bits");
  return out;
}

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

}  // namespace

bool all_zero(ByteView bytes) {
  return std::all_of(bytes.begin(), bytes.end(), [](std::byte b) { return b == std::byte{0}; });
}

std::string to_hex(ByteView bytes) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string out;
  out.reserve(bytes.size() * 2);
  for (std::byte b : bytes) {
    out.push_back(kDigits[std::to_integer<unsigned>(b) >> 4]);
    out.push_back(kDigits[std::to_integer<unsigned>(b) & 15]);
  }
  return out;
}

Result<Bytes> from_hex(std::string_view text) {
  if (text.size() % 2 != 0) return error(Kind::kInvalid, "not hexadecimal: odd length");
  Bytes out;
  out.reserve(text.size() / 2);
  for (std::size_t i = 0; i < text.size(); i += 2) {
    const int high = hex_digit(text[i]);
    const int low = hex_digit(text[i + 1]);
    if (high < 0 || low < 0) return error(Kind::kInvalid, "not hexadecimal: stray character");
    out.push_back(static_cast<std::byte>(high * 16 + low));
  }
  return out;
}

std::string to_base64(ByteView bytes) { return encode(bytes, kStandard, true); }

Result<Bytes> from_base64(std::string_view text) {
  static constexpr auto kReverse = reverse_of(kStandard);
  if (text.size() % 4 != 0) return error(Kind::kInvalid, "not base64: length is no multiple of four");
  std::size_t padding = 0;
  while (padding < 2 && padding < text.size() && text[text.size() - 1 - padding] == '=') ++padding;
  text.remove_suffix(padding);
  return decode(text, kReverse);
}

std::string to_base64url(ByteView bytes) { return encode(bytes, kUrl, false); }

Result<Bytes> from_base64url(std::string_view text) {
  static constexpr auto kReverse = reverse_of(kUrl);
  return decode(text, kReverse);
}

}  // namespace kmsfs
