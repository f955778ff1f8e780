// Where the plain bytes of a file stand in its backing file: docs/FORMAT.md, section "Geometry", in code.
//
// A file is n whole pages of 4096 bytes and then a tail: `backing size = 4096 * n + length of the last
// block`, where the tail itself is never written (a hole). Page 0 holds the header and block 0; page i holds
// block i. Every block is sealed whole, whatever the file's size, so a block is valid or not independently of
// where the file ends: a size that reaches the disk before or after its block (both happen) cannot make a
// block unreadable. Bytes of the last block past the end of the file mean nothing; whoever grows the file
// zeroes them first. Plain size and backing size follow from each other by arithmetic: stat needs neither key
// nor header. Threads: plain values and pure functions.
#pragma once

#include <cstdint>

#include "core/result.h"
#include "core/xaes.h"

namespace kmsfs {

inline constexpr std::uint64_t kPageSize = 4096;
inline constexpr std::uint16_t kFormatVersion = 1;
inline constexpr std::uint16_t kSuiteXaes256Gcm = 1;
inline constexpr std::uint64_t kBlockSize =
    kPageSize - Xaes256Gcm::kOverhead;  // 4056 plain bytes in blocks 1...
inline constexpr std::uint32_t kDefaultHeaderSize = 1024;
inline constexpr std::uint32_t kMinHeaderSize = 1024;
inline constexpr std::uint32_t kMaxHeaderSize = 3584;  // leaves room for a block in page 0
inline constexpr std::size_t kSectorSize = 512;
inline constexpr std::size_t kStateSlotSize = kSectorSize;  // the header's last sector
// A gap this large becomes a hole, durably announced; a smaller one is written, as sealed zeros.
inline constexpr std::uint64_t kSparseGap = std::uint64_t{1} << 20;

class Geometry {
 public:
  explicit Geometry(std::uint32_t header_size) : header_size_(header_size) {}

  // Whole sectors, from kMinHeaderSize to kMaxHeaderSize.
  static bool is_header_size(std::uint32_t size);

  std::uint32_t header_size() const { return header_size_; }
  std::uint64_t first_block_size() const { return kBlockSize - header_size_; }  // 3032 by default
  std::uint64_t block_size(std::uint64_t index) const { return index == 0 ? first_block_size() : kBlockSize; }
  std::uint64_t block_of(std::uint64_t plain_offset) const;        // the block that holds this byte
  std::uint64_t plain_offset_of(std::uint64_t block_index) const;  // the first byte of this block
  std::uint64_t block_count(std::uint64_t plain_size) const;       // pages in use; at least 1: the header's
  // Where a sealed block starts in the backing file, and its sealed size.
  std::uint64_t sealed_offset(std::uint64_t block_index) const {
    return block_index == 0 ? header_size_ : block_index * kPageSize;
  }
  std::uint64_t sealed_size(std::uint64_t block_index) const {
    return block_size(block_index) + Xaes256Gcm::kOverhead;
  }

  std::uint64_t backing_size(std::uint64_t plain_size) const;
  // kCorrupt for sizes that no file has.
  Result<std::uint64_t> plain_size(std::uint64_t backing_size) const;
  // The largest plain size whose backing file is not longer than this: for recovery.
  std::uint64_t plain_size_within(std::uint64_t backing_size) const;
  // What a backing file of 2^63 - 1 bytes can hold; no file is larger.
  std::uint64_t max_plain_size() const;

 private:
  std::uint32_t header_size_;
};

}  // namespace kmsfs
