// The bytes of a kmsfs file: docs/FORMAT.md, sections "Geometry", "Header" and "State slot", in code.
//
// Geometry. A file is n whole pages of 4096 bytes and then a tail: `backing size = 4096 * n + length of the last block`,
// where the tail itself is never written (a hole). Page 0 holds the header and block 0; page i holds block i. Every block is
// sealed whole, whatever the file's size, so a block is valid or not independently of where the file ends: a size that
// reaches the disk before or after its block (both happen) cannot make a block unreadable. Bytes of the last block past
// the end of the file mean nothing; whoever grows the file zeroes them first.
// Plain size and backing size follow from each other by arithmetic: stat needs neither key nor header.
// Threads: plain values and pure functions.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>

#include "core/bytes.h"
#include "core/ids.h"
#include "core/kdf.h"
#include "core/xaes.h"

namespace kmsfs {

inline constexpr std::uint64_t kPageSize = 4096;
inline constexpr std::uint16_t kFormatVersion = 1;
inline constexpr std::uint16_t kSuiteXaes256Gcm = 1;
inline constexpr std::uint64_t kBlockSize = kPageSize - Xaes256Gcm::kOverhead;  // 4056 bytes of plain text in blocks 1...
inline constexpr std::uint32_t kDefaultHeaderSize = 1024;
inline constexpr std::size_t kStateSlotSize = 512;  // the header's last sector

// Where plain bytes are, for one header size.
class Geometry {
 public:
  explicit Geometry(std::uint32_t header_size) : header_size_(header_size) {}

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
  std::uint64_t sealed_size(std::uint64_t block_index) const { return block_size(block_index) + Xaes256Gcm::kOverhead; }

  std::uint64_t backing_size(std::uint64_t plain_size) const;
  // kCorrupt for sizes that no file has.
  Result<std::uint64_t> plain_size(std::uint64_t backing_size) const;

 private:
  std::uint32_t header_size_;
};

}  // namespace kmsfs
