// Values of conditions that are more than text: addresses and dates.
#include <arpa/inet.h>

#include <charconv>
#include <cstring>
#include <ctime>

#include "kms/decision/condition.h"

namespace kmsfs::kms {

namespace {

std::optional<unsigned> parse_unsigned(std::string_view text, unsigned limit) {
  unsigned value = 0;
  const auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (failed != std::errc() || end != text.data() + text.size() || value > limit) return std::nullopt;
  return value;
}

bool parse_address(std::string_view text, AddressRange& range) {
  std::array<char, INET6_ADDRSTRLEN> name{};
  if (text.empty() || text.size() >= name.size()) return false;
  std::memcpy(name.data(), text.data(), text.size());
  range.is_v6 = text.find(':') != std::string_view::npos;
  if (::inet_pton(range.is_v6 ? AF_INET6 : AF_INET, name.data(), range.address.data()) != 1) return false;
  // A v4 caller on a v6 socket is still a v4 caller.
  constexpr std::array<std::uint8_t, 12> kMapped{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
  if (range.is_v6 && std::memcmp(range.address.data(), kMapped.data(), kMapped.size()) == 0) {
    std::memmove(range.address.data(), range.address.data() + kMapped.size(), 4);
    range.is_v6 = false;
  }
  return true;
}

// Two digits, or four, at `at`; advances.
std::optional<int> digits(std::string_view text, std::size_t& at, std::size_t count) {
  if (at + count > text.size()) return std::nullopt;
  const auto value = parse_unsigned(text.substr(at, count), 9999);
  if (!value) return std::nullopt;
  at += count;
  return static_cast<int>(*value);
}

bool skip(std::string_view text, std::size_t& at, char c) {
  if (at >= text.size() || text[at] != c) return false;
  ++at;
  return true;
}

bool read_time(std::string_view text, std::size_t& at, std::tm& utc, int& milliseconds) {
  const auto hour = digits(text, at, 2);
  if (!hour || !skip(text, at, ':')) return false;
  const auto minute = digits(text, at, 2);
  if (!minute || *hour > 23 || *minute > 59) return false;
  utc.tm_hour = *hour;
  utc.tm_min = *minute;
  if (!skip(text, at, ':')) return true;
  const auto second = digits(text, at, 2);
  if (!second || *second > 60) return false;
  utc.tm_sec = *second;
  if (skip(text, at, '.')) {
    int scale = 100;
    const std::size_t first = at;
    for (; at < text.size() && text[at] >= '0' && text[at] <= '9'; ++at, scale /= 10) {
      milliseconds += (text[at] - '0') * scale;
    }
    if (at == first) return false;
  }
  return true;
}

// "Z", "+01:00", "-0330" or nothing; in seconds.
std::optional<int> read_zone(std::string_view text, std::size_t& at) {
  if (at == text.size() || skip(text, at, 'Z')) return 0;
  const int sign = text[at] == '-' ? -1 : 1;
  if (text[at] != '-' && text[at] != '+') return std::nullopt;
  ++at;
  const auto hours = digits(text, at, 2);
  skip(text, at, ':');
  const auto minutes = digits(text, at, 2);
  if (!hours || !minutes || *hours > 23 || *minutes > 59) return std::nullopt;
  return sign * (*hours * 3600 + *minutes * 60);
}

std::optional<std::int64_t> parse_iso_date(std::string_view text) {
  std::size_t at = 0;
  std::tm utc{};
  int milliseconds = 0;
  const auto year = digits(text, at, 4);
  if (!year || !skip(text, at, '-')) return std::nullopt;
  const auto month = digits(text, at, 2);
  if (!month || *month < 1 || *month > 12) return std::nullopt;
  utc.tm_year = *year - 1900;
  utc.tm_mon = *month - 1;
  utc.tm_mday = 1;
  if (skip(text, at, '-')) {
    const auto day = digits(text, at, 2);
    if (!day || *day < 1 || *day > 31) return std::nullopt;
    utc.tm_mday = *day;
  }
  const int day_asked = utc.tm_mday;
  if (skip(text, at, 'T') && !read_time(text, at, utc, milliseconds)) return std::nullopt;
  const auto zone = read_zone(text, at);
  if (!zone || at != text.size()) return std::nullopt;
  const std::int64_t seconds = ::timegm(&utc);
  // timegm turns 31 February into a day of March.
  if (utc.tm_mon != *month - 1 && day_asked > 28) return std::nullopt;
  return (seconds - *zone) * 1000 + milliseconds;
}

}  // namespace

Result<AddressRange> parse_address_range(std::string_view text) {
  const std::string shown(text);
  AddressRange range;
  const std::size_t slash = text.find('/');
  if (!parse_address(text.substr(0, slash), range)) {
    return error(Kind::kInvalid, "'" + shown + "' is not an IP address or a CIDR range");
  }
  const unsigned all = range.is_v6 ? 128 : 32;
  range.prefix = all;
  if (slash != std::string_view::npos) {
    const auto prefix = parse_unsigned(text.substr(slash + 1), all);
    if (!prefix) {
      return error(Kind::kInvalid,
                   "'" + shown + "' has a prefix that is not a number of bits of its address");
    }
    range.prefix = *prefix;
  }
  return range;
}

bool contains(const AddressRange& range, std::string_view address) {
  AddressRange host;
  if (!parse_address(address, host) || host.is_v6 != range.is_v6) return false;
  const unsigned bytes = range.prefix / 8;
  const unsigned bits = range.prefix % 8;
  if (std::memcmp(range.address.data(), host.address.data(), bytes) != 0) return false;
  if (bits == 0) return true;
  return ((range.address[bytes] ^ host.address[bytes]) >> (8 - bits)) == 0;
}

Result<std::int64_t> parse_date(std::string_view text) {
  if (text.size() > 4 && text[4] == '-') {
    if (const auto date = parse_iso_date(text)) return *date;
  } else {
    double seconds = 0;
    const auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), seconds);
    constexpr double kLastSecond = 253402300800;  // the year 10000
    if (failed == std::errc() && end == text.data() + text.size() && seconds >= 0 && seconds < kLastSecond) {
      return static_cast<std::int64_t>(seconds * 1000);
    }
  }
  return error(Kind::kInvalid, "'" + std::string(text) + "' is not a date (ISO 8601, or seconds since 1970)");
}

}  // namespace kmsfs::kms
