// The inside of EncryptedFile: its state, and the steps that its operations are made of. For
// encrypted_file*.cc alone.
//
// Always, between operations: unless must_cut, the backing size agrees with `size`, and the tail is zeros. On
// disk: the slot says clean only if it tells `size`, and then the last block holds zeros past the end.
#pragma once

#include <memory>
#include <string_view>

#include "fs/encrypted_file.h"
#include "fs/encrypted_file_blocks.h"

namespace kmsfs {

struct EncryptedFile::State {
  // Reads and checks the state slot, and finds the size.
  static Result<std::unique_ptr<State>> open(Disk& disk, UniqueFd fd, const Geometry& geometry,
                                             const FileHeader& header, FileKeys keys, Recovery recovery);

  State(Disk& disk, UniqueFd fd, const Geometry& geometry, const FileHeader& header, MacKey header_key);

  // encrypted_file.cc
  Result<void> write_slot(StateSlot next);
  Result<void> mark_changing();  // before the first change of size
  Result<void> make_sparse();    // durably, before the first hole
  Result<void> mark_clean();
  Result<void> settle();  // makes the backing size agree again
  Result<void> cut(std::uint64_t new_size, std::uint64_t old_size);
  bool leaves_hole(std::uint64_t offset) const { return offset > size && offset - size >= kSparseGap; }
  bool has_tail_page(std::uint64_t new_size, std::uint64_t old_size) const;
  Result<void> punch_tail_page(std::uint64_t new_size, std::uint64_t old_size);
  Result<void> clear_tail_page(std::uint64_t new_size, std::uint64_t old_size);
  Result<void> shrink_backing(std::uint64_t new_size);
  Result<void> grow(std::uint64_t new_size, std::uint64_t offset, ByteView data,
                    const SealedAhead& ahead = {});
  Result<void> fill(std::uint64_t old_blocks, std::uint64_t new_blocks, std::uint64_t offset, ByteView data,
                    const SealedAhead& ahead);
  Result<void> truncate(std::uint64_t new_size);
  Result<void> clear_tail();  // zeros past the end, in the last block
  Result<void> check_usable(std::uint64_t offset, std::uint64_t length) const;
  ZeroPages zero_pages() const { return slot.sparse || repairing ? ZeroPages::kHoles : ZeroPages::kCorrupt; }

  // encrypted_file_ranges.cc
  Result<void> reserve(std::uint64_t offset, std::uint64_t end) const;
  Result<void> write_zero_bytes(std::uint64_t offset, std::uint64_t end);
  Result<void> make_hole(std::uint64_t first_block, std::uint64_t count, bool keep_allocated);
  Result<void> clear_range(std::uint64_t offset, std::uint64_t end, bool keep_allocated);

  // encrypted_file_recovery.cc
  Result<void> read_size(Recovery recovery);
  Result<void> refresh(bool may_repair);
  Result<void> repair();
  Result<void> repair_tail_page();
  Result<void> repair_unwritten_blocks();

  Disk& disk;
  const Geometry geometry;
  const FixedFields header;
  const MacKey header_key;
  EncryptedFileBlocks blocks;
  StateSlot slot;  // as it is on disk, if slot_known
  std::uint64_t size = 0;
  bool changed = false;     // by this object
  bool tail_clear = false;  // known: the last block holds zeros past the end
  bool must_cut = false;    // backing size or tail do not agree with `size`
  bool must_sync_sparse = false;
  bool slot_known = true;   // false: writing or syncing it failed, so that the disk may hold an older one
  bool repairing = false;   // zero pages are blocks that were never written
  bool unrepaired = false;  // repair() did not come to its end
  bool repaired = false;
};

}  // namespace kmsfs
