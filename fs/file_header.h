// The header of a file: docs/FORMAT.md, sections "Header", "Key section", "State slot" and "Keys", in code.
//
// parse() looks at shape only and trusts nothing. The fixed fields and the state slot are trusted after their
// MACs were checked with keys of a data key that matches the commitment (FileKeys). The key section is under
// no MAC of ours: the KMS binds it, and the commitment checks what comes out of it. Threads: plain values and
// pure functions.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>

#include "core/bytes.h"
#include "core/ids.h"
#include "core/kdf.h"
#include "core/secret.h"
#include "fs/disk.h"
#include "fs/format.h"

namespace kmsfs {

inline constexpr std::size_t kFixedFieldsSize = 152;  // the key section follows

// The state slot as it stands in the header.
struct StateSlot {
  std::uint64_t sequence = 0;  // grows by one with each write of the slot
  bool clean = false;          // the size below is the file's size; otherwise the backing size tells
  bool sparse = false;         // pages of zeros are holes
  std::uint64_t plain_size = 0;
  Sha256 mac{};

  // kCorrupt: malformed; kUnsupported: flags of a newer version.
  static Result<StateSlot> parse(ByteView slot);
  void serialize(std::span<std::byte, kStateSlotSize> out) const;
};

// A data key under a branch key (fs/file_key.h).
struct SealedDataKey {
  BranchId branch;
  std::array<std::byte, 16> salt{};
  std::array<std::byte, 48> bytes{};
  bool operator==(const SealedDataKey&) const = default;
};

// How the file's data key is wrapped.
struct KeySection {
  std::string key_arn;                                // the master key
  Bytes wrapped_key;                                  // by it: the data key, or the branch key that seals it
  std::optional<SealedDataKey> sealed_data_key = {};  // with a branch key
  bool operator==(const KeySection&) const = default;
};

// What stands before the key section, and stays as it is while the file exists.
struct FixedFields {
  std::uint16_t format_version = kFormatVersion;
  std::uint16_t suite = kSuiteXaes256Gcm;
  std::uint32_t header_size = kDefaultHeaderSize;
  VolumeId volume_id;
  FileId file_id;
  std::array<std::byte, 32> salt{};
  Sha256 commitment{};
  Sha256 mac{};
};

struct FileHeader : FixedFields {
  KeySection key_section;
  StateSlot state;

  // `header`: the first header_size bytes of the file, state slot included; what follows is not looked at.
  // kCorrupt: malformed, or shorter than it says; kUnsupported: a newer version, another suite or unknown
  // flags.
  static Result<FileHeader> parse(ByteView header);
  // kUnsupported if master key ARN and wrapped key do not fit between the fixed fields and the state slot.
  Result<void> serialize(ByteSpan out) const;  // header_size bytes
};

// The header of an open file; nullopt if page 0 was never written: a file that was created and lost its first
// write in a crash. It is corrupt unless this host crashed; then it is an empty file that needs a new data
// key: resize it to 0 and create() it.
Result<std::optional<FileHeader>> read_file_header(Disk& disk, int fd, const Geometry& geometry);

// What is derived from a file's data key, under its salt and for its suite, volume id and file id.
struct FileKeys {
  ContentKey content;
  MacKey header;      // of the fixed fields and the state slot
  Sha256 commitment;  // public

  static Result<FileKeys> derive(std::span<const std::byte, 32> data_key, const FixedFields& header);
};

Sha256 header_mac(const MacKey& key, const FixedFields& header);
Sha256 state_mac(const MacKey& key, const StateSlot& slot);

}  // namespace kmsfs
