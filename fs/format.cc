#include "fs/format.h"

#include <algorithm>
#include <limits>

namespace kmsfs {

bool Geometry::is_header_size(std::uint32_t size) {
  return size >= kMinHeaderSize && size <= kMaxHeaderSize && size % kSectorSize == 0;
}

std::uint64_t Geometry::block_of(std::uint64_t plain_offset) const {
  if (plain_offset < first_block_size()) return 0;
  return 1 + (plain_offset - first_block_size()) / kBlockSize;
}

std::uint64_t Geometry::plain_offset_of(std::uint64_t block_index) const {
  return block_index == 0 ? 0 : first_block_size() + (block_index - 1) * kBlockSize;
}

std::uint64_t Geometry::block_count(std::uint64_t plain_size) const {
  return plain_size == 0 ? 1 : block_of(plain_size - 1) + 1;
}

std::uint64_t Geometry::backing_size(std::uint64_t plain_size) const {
  const std::uint64_t pages = block_count(plain_size);
  return pages * kPageSize + (plain_size - plain_offset_of(pages - 1));
}

Result<std::uint64_t> Geometry::plain_size(std::uint64_t backing) const {
  if (backing < kPageSize) return error(Kind::kCorrupt, "shorter than a file can be");
  const std::uint64_t size = plain_size_within(backing);
  if (size > max_plain_size() || backing_size(size) != backing) {
    return error(Kind::kCorrupt, "of a length that no file has");
  }
  return size;
}

std::uint64_t Geometry::plain_size_within(std::uint64_t backing) const {
  if (backing < kPageSize) return 0;
  const std::uint64_t last = backing / kPageSize - 1;
  return plain_offset_of(last) + std::min(backing % kPageSize, block_size(last));
}

std::uint64_t Geometry::max_plain_size() const {
  return plain_size_within(std::numeric_limits<std::int64_t>::max());
}

}  // namespace kmsfs
