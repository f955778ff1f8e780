// What stands between the quotes of a JSON string, byte by byte. Private to the reader.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>

namespace kmsfs::kms {

// Yields the bytes that a string means. Escapes must have been checked.
class JsonTextReader {
 public:
  explicit JsonTextReader(std::string_view raw) : raw_(raw) {}

  bool next(char& out) {
    if (pending_ < pending_size_) {
      out = buffer_[pending_++];
      return true;
    }
    if (at_ >= raw_.size()) return false;
    out = raw_[at_++];
    if (out == '\\') out = unescape();
    return true;
  }

  // The value of four hexadecimal digits at `at`; nothing if they are none.
  static std::optional<std::uint32_t> code_unit(std::string_view raw, std::size_t at) {
    if (at + 4 > raw.size()) return std::nullopt;
    std::uint32_t value = 0;
    for (const char c : raw.substr(at, 4)) {
      const int digit = c >= '0' && c <= '9'   ? c - '0'
                        : c >= 'a' && c <= 'f' ? c - 'a' + 10
                        : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                               : -1;
      if (digit < 0) return std::nullopt;
      value = value * 16 + static_cast<std::uint32_t>(digit);
    }
    return value;
  }
  static bool is_high_surrogate(std::uint32_t unit) { return unit >= 0xd800 && unit <= 0xdbff; }
  static bool is_low_surrogate(std::uint32_t unit) { return unit >= 0xdc00 && unit <= 0xdfff; }

 private:
  char unescape() {
    const char kind = raw_[at_++];
    switch (kind) {
      case 'b':
        return '\b';
      case 'f':
        return '\f';
      case 'n':
        return '\n';
      case 'r':
        return '\r';
      case 't':
        return '\t';
      case 'u':
        break;
      default:
        return kind;
    }
    std::uint32_t point = code_unit(raw_, at_).value_or(0xfffd);
    at_ += 4;
    if (is_high_surrogate(point)) {
      const std::uint32_t low = code_unit(raw_, at_ + 2).value_or(0xdc00);
      at_ += 6;
      point = 0x10000 + ((point - 0xd800) << 10) + (low - 0xdc00);
    }
    return encode(point);
  }

  // The first byte; the rest waits in buffer_.
  char encode(std::uint32_t point) {
    pending_ = 0;
    pending_size_ = 0;
    const auto tail = [&](int shift) {
      buffer_[pending_size_++] = static_cast<char>(0x80 | ((point >> shift) & 0x3f));
    };
    if (point < 0x80) return static_cast<char>(point);
    if (point < 0x800) {
      tail(0);
      return static_cast<char>(0xc0 | (point >> 6));
    }
    if (point < 0x10000) {
      tail(6);
      tail(0);
      return static_cast<char>(0xe0 | (point >> 12));
    }
    tail(12);
    tail(6);
    tail(0);
    return static_cast<char>(0xf0 | (point >> 18));
  }

  std::string_view raw_;
  std::size_t at_ = 0;
  std::array<char, 3> buffer_{};
  std::size_t pending_ = 0, pending_size_ = 0;
};

}  // namespace kmsfs::kms
