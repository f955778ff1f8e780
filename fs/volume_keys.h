// The keys that hang on the volume key: docs/FORMAT.md, section "Volume file", "Keys".
//
// HKDF-SHA256 without salt (the volume key is random already); info = label ‖ suite ‖ volume id. No label is
// the beginning of another, so no two keys share an info. Threads: pure functions.
#pragma once

#include <span>
#include <string_view>

#include "core/ids.h"
#include "core/kdf.h"
#include "core/secret.h"

namespace kmsfs {

namespace label {
inline constexpr std::string_view kVolumeFile = "kmsfs volume file";
inline constexpr std::string_view kNames = "kmsfs names";
inline constexpr std::string_view kDirectoryIds = "kmsfs directory ids";
inline constexpr std::string_view kLinkTargets = "kmsfs link targets";
inline constexpr std::string_view kAttributeNames = "kmsfs attribute names";
inline constexpr std::string_view kAttributeValues = "kmsfs attribute values";
}  // namespace label

template <typename Key>
Result<Key> derive_from_volume_key(std::span<const std::byte, 32> volume_key, std::string_view label,
                                   std::uint16_t suite, const VolumeId& volume) {
  auto key = Key::make();
  if (!key) return key;
  std::array<std::byte, 64> info;
  ByteWriter out(info);
  out.bytes(as_bytes(label));
  out.u16(suite);
  out.bytes(volume.view());
  assert(out.ok() && "labels are short");
  hkdf_sha256(volume_key, {}, std::span(info).first(out.written()), key->fill());
  return key;
}

}  // namespace kmsfs
