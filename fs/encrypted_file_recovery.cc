// Opening a file's state, and repairing what a crash left: docs/FORMAT.md, "Recovery", in code.
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <utility>
#include <vector>

#include "fs/encrypted_file.h"
#include "fs/encrypted_file_state.h"

namespace kmsfs {

Result<std::unique_ptr<EncryptedFile::State>> EncryptedFile::State::open(Disk& disk, UniqueFd fd,
                                                                         const Geometry& geometry,
                                                                         const FileHeader& header,
                                                                         FileKeys keys, Recovery recovery) {
  auto cipher = Xaes256Gcm::make(keys.content);
  if (!cipher) return std::move(cipher).error();
  auto state = std::make_unique<State>(disk, std::move(fd), geometry, header, std::move(keys.header));
  state->blocks.set_cipher(std::move(*cipher));
  KMSFS_TRY(state->read_size(recovery));
  return state;
}

// The slot and the size, as they are on disk.
Result<void> EncryptedFile::State::read_size(Recovery recovery) {
  const bool repair = recovery == Recovery::kRepair;
  std::array<std::byte, kStateSlotSize> bytes;
  auto got = disk.read_at(blocks.fd(), geometry.header_size() - kStateSlotSize, bytes);
  if (!got) return std::move(got).error();
  auto read = StateSlot::parse(std::span(bytes).first(*got));
  if (!read) return std::move(read).error();
  if (!equal_in_constant_time(state_mac(header_key, *read), read->mac)) {
    return error(Kind::kCorrupt, "the state slot failed authentication");
  }
  auto attributes = disk.stat(blocks.fd());
  if (!attributes) return std::move(attributes).error();
  slot = *read;
  slot_known = true;
  must_cut = false;
  const auto backing_size = static_cast<std::uint64_t>(attributes->st_size);
  if (slot.clean && slot.plain_size <= geometry.max_plain_size() &&
      geometry.backing_size(slot.plain_size) == backing_size) {
    size = slot.plain_size;
    tail_clear = !repair;
    return {};
  }
  if (slot.clean && !repair) return error(Kind::kCorrupt, "the file was cut short or grown");
  tail_clear = false;
  auto told = geometry.plain_size(backing_size);
  if (!told && !repair) return std::move(told).error();
  must_cut = !told;
  size = told ? *told : std::min(geometry.plain_size_within(backing_size), geometry.max_plain_size());
  repaired = slot.clean || !told;
  return {};
}

// Not clean, though nobody else changes the file now: a mount died in the middle of a change.
Result<void> EncryptedFile::State::refresh(bool may_repair) {
  blocks.forget_kept_block();
  repairing = unrepaired = repaired = false;
  auto read = read_size(Recovery::kRefuse);
  if (read && slot.clean) return {};
  if (!read && (read.error().kind != Kind::kCorrupt || !slot_known || slot.clean)) return read;
  KMSFS_TRY(read_size(Recovery::kRepair));
  if (!may_repair) {
    repairing = unrepaired = true;  // reads go as far as they can; who may write will repair it
    return {};
  }
  KMSFS_TRY(repair());
  repaired = true;
  return mark_clean();
}

// Makes the repairs durable in the file; if that fails, `repairing` keeps it readable as long as the object
// lives, and it is not marked clean before they are made.
Result<void> EncryptedFile::State::repair() {
  repairing = true;
  unrepaired = true;
  if (repaired || must_cut) {
    KMSFS_TRY(mark_changing());
    KMSFS_TRY(settle());
  }
  KMSFS_TRY(repair_tail_page());
  KMSFS_TRY(repair_unwritten_blocks());
  KMSFS_TRY(clear_tail());  // the slot may have reached the disk without the zeros that it vouches for
  unrepaired = false;
  return {};
}

// The tail past the last page must be zeros, or the next growth would take it for a block.
Result<void> EncryptedFile::State::repair_tail_page() {
  const std::uint64_t tail = geometry.block_count(size) * kPageSize;
  std::array<std::byte, kPageSize> bytes;
  auto got = disk.read_at(blocks.fd(), tail, bytes);
  if (!got) return std::move(got).error();
  if (all_zero(std::span(bytes).first(*got))) return {};
  repaired = true;
  KMSFS_TRY(mark_changing());
  return cut(size, geometry.max_plain_size());
}

// Blocks that were never written: page 0's, and holes of a file that has none. Few become sealed zeros, many
// make it sparse.
Result<void> EncryptedFile::State::repair_unwritten_blocks() {
  if (slot.sparse || size == 0) return {};
  std::vector<std::pair<std::uint64_t, std::uint64_t>> unwritten;  // first block, count
  std::uint64_t total = 0;

  std::array<std::byte, kPageSize> bytes;
  const auto first_block = std::span(bytes).first(geometry.sealed_size(0));
  auto got = disk.read_at(blocks.fd(), geometry.sealed_offset(0), first_block);
  if (!got) return std::move(got).error();
  if (all_zero(first_block.first(*got))) unwritten.emplace_back(0, total = 1);

  const std::uint64_t end = geometry.block_count(size) * kPageSize;
  for (std::uint64_t at = 0; at < end;) {
    auto hole = disk.seek(blocks.fd(), at, SEEK_HOLE);
    if (!hole) return std::move(hole).error();
    auto data = disk.seek(blocks.fd(), *hole, SEEK_DATA);
    if (!data && data.error().system_errno != ENXIO) return std::move(data).error();
    at = std::min(data ? *data : end, end);
    const std::uint64_t first = std::max<std::uint64_t>((*hole + kPageSize - 1) / kPageSize, 1);
    if (first * kPageSize >= at || at / kPageSize <= first) continue;
    unwritten.emplace_back(first, at / kPageSize - first);
    total += unwritten.back().second;
  }
  if (total == 0) return {};
  repaired = true;
  if (total * kPageSize >= kSparseGap) return make_sparse();
  changed = true;
  for (const auto& [first, count] : unwritten) KMSFS_TRY(blocks.write_zeros(first, count));
  return {};
}

}  // namespace kmsfs
