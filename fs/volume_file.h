// The bytes of .kmsfs/volume: docs/FORMAT.md, section "Volume file", in code.
//
// Parsing is strict: every member once, none that is unknown, all sizes within bounds. What it returns is not
// authenticated: that takes the volume key (volume_file_mac). Threads: pure functions.
#pragma once

#include <array>
#include <string>
#include <string_view>

#include "core/kdf.h"
#include "fs/volume.h"

namespace kmsfs {

inline constexpr std::size_t kMaxVolumeFile = std::size_t{256} * 1024;  // bytes; more is not read

struct VolumeFile {
  VolumeParameters parameters;
  Sha256 mac{};
};

// kInvalid for parameters that no volume can have.
Result<std::string> write_volume_file(const VolumeFile& file);
// kCorrupt: damaged; kUnsupported: a format version, suite or mode that this version does not know.
Result<VolumeFile> parse_volume_file(std::string_view text);

// Over everything but the wrapped volume key itself, which only needs to open to the key that the MAC is made
// with: so a rotator that may only re-encrypt can put a new wrap in its place.
Sha256 volume_file_mac(const MacKey& key, const VolumeParameters& parameters);

}  // namespace kmsfs
