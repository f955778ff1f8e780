// The sealed blocks of one open file: plain ranges in, pages out, and back. It knows neither the file's size
// nor its state; EncryptedFile does, and says which blocks exist.
//
// Always: a block is sealed and written whole, at its own place, under its own index; a run of up to
// kRunBlocks blocks is one pread or one pwrite. A page of zeros is never opened: it is a hole or corrupt, as
// the caller says. Whole blocks are opened straight into the caller's buffer, and sealed straight out of it.
// Threads: const methods may run together; the others need the object to themselves.
#pragma once

#include <memory>
#include <optional>

#include "core/unique_fd.h"
#include "core/xaes.h"
#include "fs/disk.h"
#include "fs/file_header.h"
#include "fs/format.h"
#include "fs/sealed_ahead.h"

namespace kmsfs {

enum class ZeroPages { kCorrupt, kHoles };

class EncryptedFileBlocks {
 public:
  static constexpr std::size_t kRunBlocks = 260;  // 1 MiB touches no more, wherever it starts
  static constexpr std::size_t kAadSize = 2 + 16 + 16 + 8;

  EncryptedFileBlocks(Disk& disk, UniqueFd fd, const Geometry& geometry, const FixedFields& header);

  int fd() const { return fd_.get(); }
  void replace_fd(UniqueFd fd) { fd_ = std::move(fd); }

  void set_cipher(Xaes256Gcm cipher) { cipher_ = std::move(cipher); }
  void drop_cipher();  // reads and writes are kExpired from here on
  bool has_cipher() const { return cipher_.has_value(); }

  // All of `out`, or an error; kCorrupt leaves no byte of the failing run in `out`.
  Result<void> read(std::uint64_t offset, ByteSpan out, ZeroPages zero_pages) const;
  // May run beside whatever writes. What cannot be sealed ahead is sealed by write(), which says why.
  SealedAhead seal_ahead(std::uint64_t offset, ByteView data) const;
  // Blocks that `data` covers in part keep their bytes before `live_end`; their other bytes become zeros, so
  // that after a write that reaches `live_end` the last block holds zeros past both.
  Result<void> write(std::uint64_t offset, ByteView data, std::uint64_t live_end, ZeroPages zero_pages,
                     const SealedAhead& ahead = {});
  Result<void> write_zeros(std::uint64_t first_block, std::uint64_t count);
  // The bytes changed in another way (a hole was punched, the file was cut).
  void forget_kept_block() { kept_index_.reset(); }

 private:
  using Aad = std::array<std::byte, kAadSize>;
  struct Scratch;
  struct Edge;
  struct Run;
  static Scratch& scratch();

  Run run_of(std::uint64_t offset, std::size_t size) const;
  std::uint64_t run_size(std::uint64_t first, std::uint64_t last) const;  // sealed bytes from first to last
  void fill_aad(std::uint64_t index, Aad& aad) const;
  bool is_whole(std::uint64_t index, std::uint64_t offset, std::uint64_t end) const;
  Result<void> read_run(const Run& run, std::uint64_t offset, ByteSpan out, ZeroPages zero_pages) const;
  Result<void> write_run(const Run& run, std::uint64_t offset, ByteView data, std::uint64_t live_end,
                         ZeroPages zero_pages, const SealedAhead& ahead);
  // To be sealed to their places in the thread's buffer, which begins with the run.
  void queue_block(const Run& run, std::uint64_t index, ByteView plain) const;
  void queue_whole_blocks(const Run& run, std::uint64_t offset, ByteView data) const;
  Result<void> load_edges(std::span<Edge> edges, ZeroPages zero_pages) const;
  Result<void> open_block(std::uint64_t index, ByteView sealed, ByteSpan plain, ZeroPages zero_pages) const;
  void keep_block(std::uint64_t index, ByteView plain);

  Disk& disk_;
  UniqueFd fd_;
  const Geometry geometry_;
  Aad aad_{};  // with block index 0
  std::optional<Xaes256Gcm> cipher_;

  // The plain text of the block written last, if only part of it was given: the next append needs no read.
  std::optional<std::uint64_t> kept_index_;
  std::unique_ptr<std::array<std::byte, kBlockSize>> kept_;
};

}  // namespace kmsfs
