// Identifiers of 16 random bytes, each its own type so that one cannot stand for another.
// Ids are public: they stand in headers, in encryption contexts and in logs.
// Threads: plain values.
#pragma once

#include <algorithm>
#include <array>
#include <compare>
#include <cstring>
#include <functional>

#include "core/bytes.h"
#include "core/random.h"

namespace kmsfs {

template <typename Tag>
struct Id {
  static constexpr std::size_t kSize = 16;
  std::array<std::byte, kSize> bytes{};

  static Id random() {
    Id id;
    random_bytes(id.bytes);
    return id;
  }
  static Result<Id> parse_hex(std::string_view text) {
    auto raw = from_hex(text);
    if (!raw) return std::move(raw).error();
    if (raw->size() != kSize) return kmsfs::error(Kind::kInvalid, "an id has 32 hexadecimal digits");
    Id id;
    std::copy(raw->begin(), raw->end(), id.bytes.begin());
    return id;
  }
  std::string hex() const { return to_hex(bytes); }
  ByteView view() const { return bytes; }
  auto operator<=>(const Id&) const = default;
};

using VolumeId = Id<struct VolumeIdTag>;
using FileId = Id<struct FileIdTag>;
using DirectoryId = Id<struct DirectoryIdTag>;
using BranchId = Id<struct BranchIdTag>;  // of a key that seals data keys

}  // namespace kmsfs

template <typename Tag>
struct std::hash<kmsfs::Id<Tag>> {
  std::size_t operator()(const kmsfs::Id<Tag>& id) const noexcept {
    std::size_t value = 0;  // the bytes are random already
    std::memcpy(&value, id.bytes.data(), sizeof value);
    return value;
  }
};
