#include "fs/file_header.h"

#include <algorithm>
#include <cassert>
#include <string_view>

namespace kmsfs {

namespace {

constexpr std::string_view kMagic = "kmsfs\x1a\n\0";  // 0x1a and the line end show what text transfers damage
constexpr std::size_t kMagicSize = 8;
constexpr std::size_t kAuthenticatedSize = kFixedFieldsSize - sizeof(Sha256);
constexpr std::size_t kSlotAuthenticatedSize = kStateSlotSize - sizeof(Sha256);
constexpr std::uint16_t kWrappedByMasterKey = 1;  // kinds of a key section
constexpr std::uint16_t kSealedByBranchKey = 2;
constexpr std::uint32_t kClean = 1;
constexpr std::uint32_t kSparse = 2;

constexpr std::string_view kContentLabel = "kmsfs file content";
constexpr std::string_view kHeaderLabel = "kmsfs file header";
constexpr std::string_view kCommitmentLabel = "kmsfs file commitment";
constexpr std::string_view kStateLabel = "kmsfs state slot";

void write_fixed_fields(ByteWriter& out, const FixedFields& header) {
  out.bytes(as_bytes({kMagic.data(), kMagicSize}));
  out.u16(header.format_version);
  out.u16(header.suite);
  out.u32(header.header_size);
  out.u32(0);  // flags
  out.u32(0);  // reserved
  out.bytes(header.volume_id.view());
  out.bytes(header.file_id.view());
  out.bytes(header.salt);
  out.bytes(header.commitment);
}

Error malformed(const char* what) { return error(Kind::kCorrupt, what); }

// For master key ARN and wrapped key.
std::size_t room_in(std::uint32_t header_size, bool sealed) {
  constexpr std::size_t kKindAndSizes = 6;
  const std::size_t fixed = kKindAndSizes + (sealed ? sizeof(SealedDataKey) : 0);
  return header_size - kStateSlotSize - kFixedFieldsSize - fixed;
}

Result<KeySection> parse_key_section(ByteReader& in, std::uint32_t header_size) {
  KeySection section;
  const std::uint16_t kind = in.u16();
  const std::uint16_t arn_size = in.u16();
  const std::uint16_t wrapped_size = in.u16();
  if (in.ok() && kind != kWrappedByMasterKey && kind != kSealedByBranchKey) {
    return error(Kind::kUnsupported, "the data key is wrapped in a way that this version does not know");
  }
  if (kind == kSealedByBranchKey) {
    SealedDataKey& sealed = section.sealed_data_key.emplace();
    sealed.branch.bytes = in.take<BranchId::kSize>();
    sealed.salt = in.take<sizeof sealed.salt>();
    sealed.bytes = in.take<sizeof sealed.bytes>();
  }
  const std::size_t room = room_in(header_size, section.sealed_data_key.has_value());
  const std::size_t used = std::size_t{arn_size} + wrapped_size;
  if (used > room) return malformed("the key section is longer than its room");
  section.key_arn = as_text(in.bytes(arn_size));
  const ByteView wrapped = in.bytes(wrapped_size);
  section.wrapped_key.assign(wrapped.begin(), wrapped.end());
  in.zeros(room - used);
  return section;
}

Result<void> write_key_section(ByteWriter& out, const KeySection& section, std::uint32_t header_size) {
  const auto& sealed = section.sealed_data_key;
  const std::size_t room = room_in(header_size, sealed.has_value());
  const std::size_t used = section.key_arn.size() + section.wrapped_key.size();
  if (used > room) {
    return error(Kind::kUnsupported, "master key ARN and wrapped key take " + std::to_string(used) +
                                         " bytes, and a header of " + std::to_string(header_size) +
                                         " bytes has room for " + std::to_string(room) +
                                         ": this master key needs a volume with larger headers");
  }
  out.u16(sealed ? kSealedByBranchKey : kWrappedByMasterKey);
  out.u16(static_cast<std::uint16_t>(section.key_arn.size()));
  out.u16(static_cast<std::uint16_t>(section.wrapped_key.size()));
  if (sealed) {
    out.bytes(sealed->branch.view());
    out.bytes(sealed->salt);
    out.bytes(sealed->bytes);
  }
  out.bytes(as_bytes(section.key_arn));
  out.bytes(section.wrapped_key);
  out.zeros(room - used);
  return {};
}

}  // namespace

Result<StateSlot> StateSlot::parse(ByteView slot) {
  ByteReader in(slot);
  StateSlot state;
  state.sequence = in.u64();
  const std::uint32_t flags = in.u32();
  in.zeros(4);
  state.plain_size = in.u64();
  in.zeros(kSlotAuthenticatedSize - 24);
  state.mac = in.take<32>();
  if (!in.complete()) return malformed("the state slot is malformed");
  if ((flags & ~(kClean | kSparse)) != 0) {
    return error(Kind::kUnsupported, "the state slot has flags of a newer version");
  }
  state.clean = (flags & kClean) != 0;
  state.sparse = (flags & kSparse) != 0;
  if (!state.clean && state.plain_size != 0) return malformed("a state slot that is not clean tells a size");
  return state;
}

void StateSlot::serialize(std::span<std::byte, kStateSlotSize> bytes) const {
  ByteWriter out(bytes);
  out.u64(sequence);
  out.u32((clean ? kClean : 0) | (sparse ? kSparse : 0));
  out.u32(0);
  out.u64(plain_size);
  out.zeros(kSlotAuthenticatedSize - 24);
  out.bytes(mac);
  assert(out.ok() && out.written() == kStateSlotSize && "the slot is one sector");
}

Result<FileHeader> FileHeader::parse(ByteView bytes) {
  ByteReader in(bytes);
  FileHeader header;
  if (as_text(in.bytes(kMagicSize)) != std::string_view(kMagic.data(), kMagicSize)) {
    return malformed("not a kmsfs file: the magic is missing");
  }
  header.format_version = in.u16();
  header.suite = in.u16();
  header.header_size = in.u32();
  const std::uint32_t flags = in.u32();
  if (!in.ok()) return malformed("the header is cut short");
  if (header.format_version != kFormatVersion || header.suite != kSuiteXaes256Gcm || flags != 0) {
    return error(Kind::kUnsupported, "a file of a format, suite or flags that this version does not know");
  }
  if (!Geometry::is_header_size(header.header_size) || header.header_size > bytes.size()) {
    return malformed("the header is cut short, or of a size that no header has");
  }
  in.zeros(4);
  header.volume_id.bytes = in.take<16>();
  header.file_id.bytes = in.take<16>();
  header.salt = in.take<32>();
  header.commitment = in.take<32>();
  header.mac = in.take<32>();

  auto key_section = parse_key_section(in, header.header_size);
  if (!key_section) return std::move(key_section).error();
  header.key_section = std::move(*key_section);
  if (!in.ok()) return malformed("the header is malformed");

  auto state = StateSlot::parse(in.bytes(kStateSlotSize));
  if (!state) return std::move(state).error();
  header.state = *state;
  return header;
}

Result<void> FileHeader::serialize(ByteSpan bytes) const {
  assert(bytes.size() == header_size && Geometry::is_header_size(header_size));
  ByteWriter out(bytes);
  write_fixed_fields(out, *this);
  out.bytes(mac);
  KMSFS_TRY(write_key_section(out, key_section, header_size));
  assert(out.ok() && out.written() == header_size - kStateSlotSize && "the state slot is the last sector");
  state.serialize(bytes.last<kStateSlotSize>());
  return {};
}

Result<std::optional<FileHeader>> read_file_header(Disk& disk, int fd, const Geometry& geometry) {
  std::array<std::byte, kMaxHeaderSize> bytes;
  const auto wanted = std::span(bytes).first(geometry.header_size());
  auto got = disk.read_at(fd, 0, wanted);
  if (!got) return std::move(got).error();
  const auto there = wanted.first(*got);
  if (all_zero(there)) return std::optional<FileHeader>{};
  auto header = FileHeader::parse(there);
  if (!header) return std::move(header).error();
  return std::optional(std::move(*header));
}

Result<FileKeys> FileKeys::derive(std::span<const std::byte, 32> data_key, const FixedFields& header) {
  const auto derive = [&](std::string_view label, ByteSpan key) {
    std::array<std::byte, 64> info;
    ByteWriter out(info);
    out.bytes(as_bytes(label));
    out.u16(header.suite);
    out.bytes(header.volume_id.view());
    out.bytes(header.file_id.view());
    assert(out.ok() && "labels are short");
    hkdf_sha256(data_key, header.salt, std::span(info).first(out.written()), key);
  };
  auto content = ContentKey::make();
  if (!content) return std::move(content).error();
  auto mac_key = MacKey::make();
  if (!mac_key) return std::move(mac_key).error();
  FileKeys keys{std::move(*content), std::move(*mac_key), {}};
  derive(kContentLabel, keys.content.fill());
  derive(kHeaderLabel, keys.header.fill());
  derive(kCommitmentLabel, keys.commitment);
  return keys;
}

Sha256 header_mac(const MacKey& key, const FixedFields& header) {
  std::array<std::byte, kAuthenticatedSize> fields;
  ByteWriter out(fields);
  write_fixed_fields(out, header);
  assert(out.ok() && out.written() == fields.size() && "all fields before the MAC");
  return hmac_sha256(key, fields);
}

Sha256 state_mac(const MacKey& key, const StateSlot& slot) {
  std::array<std::byte, kStateSlotSize> bytes;
  slot.serialize(bytes);
  std::array<std::byte, kStateLabel.size() + kSlotAuthenticatedSize> labelled;
  ByteWriter out(labelled);
  out.bytes(as_bytes(kStateLabel));
  out.bytes(std::span(bytes).first(kSlotAuthenticatedSize));
  return hmac_sha256(key, labelled);
}

}  // namespace kmsfs
