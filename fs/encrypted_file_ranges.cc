// Holes and reservations: allocate, zero, punch and seek.
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "fs/encrypted_file.h"
#include "fs/encrypted_file_state.h"

namespace kmsfs {

Result<std::uint64_t> EncryptedFile::seek(std::uint64_t offset, int whence) const {
  if (whence != SEEK_DATA && whence != SEEK_HOLE) return Error::from_errno(EINVAL);
  const std::uint64_t size = state_->size;
  if (offset >= size) return Error::from_errno(ENXIO);
  const bool for_data = whence == SEEK_DATA;
  if (!state_->slot.sparse) return for_data ? offset : size;
  const Geometry& geometry = state_->geometry;
  const std::uint64_t page = geometry.block_of(offset) * kPageSize;
  auto found = state_->disk.seek(fd(), page, whence);
  if (!found) {
    // A backing file system that cannot tell: all of it is data.
    if (found.error().system_errno == EINVAL) return for_data ? offset : size;
    return found;
  }
  // Page 0 holds the header, and counts as data. A hole counts from the first page that is all hole.
  const std::uint64_t block = for_data ? *found / kPageSize : (*found + kPageSize - 1) / kPageSize;
  const std::uint64_t plain = std::max(offset, geometry.plain_offset_of(block));
  if (plain < size) return plain;
  if (for_data) return Error::from_errno(ENXIO);
  return size;
}

Result<void> EncryptedFile::allocate(std::uint64_t offset, std::uint64_t size, bool keep_size) {
  if (size == 0) return Error::from_errno(EINVAL);
  KMSFS_TRY(state_->check_usable(offset, size));
  const std::uint64_t end = offset + size;
  KMSFS_TRY(state_->reserve(offset, end));
  if (keep_size || end <= state_->size) return {};
  return state_->truncate(end);
}

Result<void> EncryptedFile::zero(std::uint64_t offset, std::uint64_t size, bool keep_size) {
  if (size == 0) return Error::from_errno(EINVAL);
  KMSFS_TRY(state_->check_usable(offset, size));
  const std::uint64_t end = offset + size;
  // Before, so that nothing is cleared without room; and after, as clearing may have given room back.
  KMSFS_TRY(state_->reserve(offset, end));
  KMSFS_TRY(state_->clear_range(offset, std::min(end, state_->size), true));
  KMSFS_TRY(state_->reserve(offset, end));
  if (keep_size || end <= state_->size) return {};
  return state_->truncate(end);
}

Result<void> EncryptedFile::punch(std::uint64_t offset, std::uint64_t size) {
  if (size == 0) return Error::from_errno(EINVAL);
  KMSFS_TRY(state_->check_usable(offset, 0));
  const std::uint64_t end =
      size < state_->size - std::min(offset, state_->size) ? offset + size : state_->size;
  return state_->clear_range(offset, end, false);
}

// Room for every page of a range. What the backing file system reserves reads as zeros there: past the end it
// is not looked at before it is written, and before the end it is a hole that was one before.
Result<void> EncryptedFile::State::reserve(std::uint64_t offset, std::uint64_t end) const {
  const std::uint64_t first = geometry.block_of(offset) * kPageSize;
  const std::uint64_t past = (geometry.block_of(end - 1) + 1) * kPageSize;
  return disk.allocate(blocks.fd(), FALLOC_FL_KEEP_SIZE, first, past - first);
}

// At most a block at either edge of a range.
Result<void> EncryptedFile::State::write_zero_bytes(std::uint64_t offset, std::uint64_t end) {
  static constexpr std::array<std::byte, 2 * kBlockSize> kZeros{};
  if (offset >= end) return {};
  return blocks.write(offset, std::span(kZeros).first(end - offset), size, zero_pages());
}

Result<void> EncryptedFile::State::make_hole(std::uint64_t first_block, std::uint64_t count,
                                             bool keep_allocated) {
  KMSFS_TRY(make_sparse());
  blocks.forget_kept_block();
  const std::uint64_t offset = first_block * kPageSize;
  const std::uint64_t length = count * kPageSize;
  if (keep_allocated) {
    auto zeroed = disk.allocate(blocks.fd(), FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE, offset, length);
    if (zeroed || zeroed.error().system_errno != EOPNOTSUPP) return zeroed;
  }
  auto punched = disk.allocate(blocks.fd(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, offset, length);
  if (punched || punched.error().system_errno != EOPNOTSUPP) return punched;
  return blocks.write_zeros(first_block, count);
}

// Zeros from offset to end, which is not past the file's. Page 0 holds the header: block 0 is always
// rewritten.
Result<void> EncryptedFile::State::clear_range(std::uint64_t offset, std::uint64_t end, bool keep_allocated) {
  if (offset >= end) return {};
  changed = true;
  const std::uint64_t first = offset == 0 ? 1 : geometry.block_of(offset - 1) + 1;
  const std::uint64_t past = end == size ? geometry.block_count(size) : geometry.block_of(end);
  if (past <= first) return write_zero_bytes(offset, end);
  const std::uint64_t count = past - first;
  if (!keep_allocated || slot.sparse || count * kPageSize >= kSparseGap) {
    KMSFS_TRY(make_hole(first, count, keep_allocated));
  } else {
    KMSFS_TRY(blocks.write_zeros(first, count));
  }
  KMSFS_TRY(write_zero_bytes(offset, geometry.plain_offset_of(first)));
  return write_zero_bytes(geometry.plain_offset_of(past), end);
}

}  // namespace kmsfs
