#include "fs/encrypted_file_blocks.h"

#include <algorithm>
#include <cassert>
#include <cstring>
#include <vector>

namespace kmsfs {

namespace {

constexpr std::array<std::byte, kBlockSize> kZeros{};
constexpr std::uint64_t kNearBlocks = 4;  // edges this near are read in one go, with what lies between

Error expired() { return error(Kind::kExpired, "the file's key is not held any more"); }

bool is_hole(ByteView sealed) { return load_be64(sealed.data()) == 0 && all_zero(sealed); }

}  // namespace

// Per thread and reused: no allocation per request, and none per block.
struct EncryptedFileBlocks::Scratch {
  std::uint64_t use = 0;  // counts those of `sealed`
  std::vector<std::byte> sealed = std::vector<std::byte>(kRunBlocks * kPageSize);
  std::array<std::byte, kNearBlocks * kPageSize> old;
  std::array<std::array<std::byte, kBlockSize>, 2> edges;  // plain: the first and the last block of a run
  std::array<Aad, kRunBlocks> aads;
  std::vector<Xaes256Gcm::OpenJob> open_jobs;
  std::vector<Xaes256Gcm::SealJob> seal_jobs;

  ByteSpan sealed_pages(std::uint64_t size) {
    ++use;
    return std::span(sealed).first(size);
  }
};

// The blocks that a range touches, as many as are read or written at once, and the part of the range in them.
struct EncryptedFileBlocks::Run {
  std::uint64_t first, last;
  std::size_t size = 0;  // of the plain bytes
};

EncryptedFileBlocks::Scratch& EncryptedFileBlocks::scratch() {
  thread_local const std::unique_ptr<Scratch> mine = std::make_unique<Scratch>();
  return *mine;
}

// A block at the edge of a write, given in part only.
struct EncryptedFileBlocks::Edge {
  std::uint64_t index;
  ByteSpan plain;
  bool load;  // it has bytes that must stay
};

EncryptedFileBlocks::EncryptedFileBlocks(Disk& disk, UniqueFd fd, const Geometry& geometry,
                                         const FixedFields& header)
    : disk_(disk), fd_(std::move(fd)), geometry_(geometry) {
  ByteWriter out(aad_);
  out.u16(header.suite);
  out.bytes(header.volume_id.view());
  out.bytes(header.file_id.view());
  out.u64(0);
  assert(out.ok() && out.written() == kAadSize);
}

void EncryptedFileBlocks::drop_cipher() {
  cipher_.reset();
  kept_index_.reset();
  kept_.reset();
}

std::uint64_t EncryptedFileBlocks::run_size(std::uint64_t first, std::uint64_t last) const {
  return (last + 1) * kPageSize - geometry_.sealed_offset(first);
}

EncryptedFileBlocks::Run EncryptedFileBlocks::run_of(std::uint64_t offset, std::size_t size) const {
  const std::uint64_t first = geometry_.block_of(offset);
  const std::uint64_t last = std::min(geometry_.block_of(offset + size - 1), first + kRunBlocks - 1);
  return {first, last, std::min<std::uint64_t>(size, geometry_.plain_offset_of(last + 1) - offset)};
}

void EncryptedFileBlocks::fill_aad(std::uint64_t index, Aad& aad) const {
  aad = aad_;
  store_be64(aad.data() + kAadSize - sizeof index, index);
}

Result<void> EncryptedFileBlocks::read(std::uint64_t offset, ByteSpan out, ZeroPages zero_pages) const {
  if (!cipher_) return expired();
  while (!out.empty()) {
    const Run run = run_of(offset, out.size());
    KMSFS_TRY(read_run(run, offset, out.first(run.size), zero_pages));
    offset += run.size;
    out = out.subspan(run.size);
  }
  return {};
}

Result<void> EncryptedFileBlocks::read_run(const Run& run, std::uint64_t offset, ByteSpan out,
                                           ZeroPages zero_pages) const {
  Scratch& mine = scratch();
  const auto [first, last, size] = run;
  const std::uint64_t start = geometry_.sealed_offset(first);
  const ByteSpan sealed = mine.sealed_pages(run_size(first, last));
  auto got = disk_.read_at(fd(), start, sealed);
  if (!got) return std::move(got).error();
  if (*got < sealed.size()) return error(Kind::kCorrupt, "the backing file is shorter than the file");

  struct Copy {
    ByteSpan to;
    ByteView from;
  };
  std::array<Copy, 2> copies;
  std::size_t copy_count = 0;
  mine.open_jobs.clear();
  for (std::uint64_t index = first; index <= last; ++index) {
    const ByteView block =
        ByteView(sealed).subspan(geometry_.sealed_offset(index) - start, geometry_.sealed_size(index));
    const std::uint64_t block_start = geometry_.plain_offset_of(index);
    const std::uint64_t block_end = block_start + geometry_.block_size(index);
    const std::uint64_t from = std::max(offset, block_start);
    const std::uint64_t to = std::min(offset + out.size(), block_end);
    const ByteSpan wanted = out.subspan(from - offset, to - from);
    if (is_hole(block)) {
      if (zero_pages == ZeroPages::kCorrupt) return error(Kind::kCorrupt, "a block is missing");
      std::fill(wanted.begin(), wanted.end(), std::byte{0});
      continue;
    }
    ByteSpan plain = wanted;
    if (wanted.size() < block_end - block_start) {
      plain = std::span(mine.edges[copy_count]).first(block_end - block_start);
      copies[copy_count++] = {wanted, plain.subspan(from - block_start, wanted.size())};
    }
    Aad& aad = mine.aads[index - first];
    fill_aad(index, aad);
    mine.open_jobs.push_back({aad, block, plain});
  }
  KMSFS_TRY(cipher_->open(mine.open_jobs));
  for (const Copy& copy : std::span(copies).first(copy_count)) {
    std::memcpy(copy.to.data(), copy.from.data(), copy.to.size());
  }
  return {};
}

Result<void> EncryptedFileBlocks::write(std::uint64_t offset, ByteView data, std::uint64_t live_end,
                                        ZeroPages zero_pages, const SealedAhead& ahead) {
  if (!cipher_) return expired();
  while (!data.empty()) {
    const Run run = run_of(offset, data.size());
    KMSFS_TRY(write_run(run, offset, data.first(run.size), live_end, zero_pages, ahead));
    offset += run.size;
    data = data.subspan(run.size);
  }
  return {};
}

bool EncryptedFileBlocks::is_whole(std::uint64_t index, std::uint64_t offset, std::uint64_t end) const {
  const std::uint64_t start = geometry_.plain_offset_of(index);
  return offset <= start && start + geometry_.block_size(index) <= end;
}

void EncryptedFileBlocks::queue_block(const Run& run, std::uint64_t index, ByteView plain) const {
  Scratch& mine = scratch();
  const std::uint64_t place = geometry_.sealed_offset(index) - geometry_.sealed_offset(run.first);
  Aad& aad = mine.aads[index - run.first];
  fill_aad(index, aad);
  mine.seal_jobs.push_back({aad, plain, std::span(mine.sealed).subspan(place, geometry_.sealed_size(index))});
}

void EncryptedFileBlocks::queue_whole_blocks(const Run& run, std::uint64_t offset, ByteView data) const {
  for (std::uint64_t index = run.first; index <= run.last; ++index) {
    if (!is_whole(index, offset, offset + data.size())) continue;
    queue_block(run, index,
                data.subspan(geometry_.plain_offset_of(index) - offset, geometry_.block_size(index)));
  }
}

SealedAhead EncryptedFileBlocks::seal_ahead(std::uint64_t offset, ByteView data) const {
  if (!cipher_ || data.empty()) return {};
  Scratch& mine = scratch();
  const Run run = run_of(offset, data.size());
  mine.sealed_pages(run_size(run.first, run.last));
  mine.seal_jobs.clear();
  queue_whole_blocks(run, offset, data.first(run.size));
  if (!cipher_->seal(mine.seal_jobs)) return {};
  return {offset, run.size, mine.use};
}

Result<void> EncryptedFileBlocks::write_run(const Run& run, std::uint64_t offset, ByteView data,
                                            std::uint64_t live_end, ZeroPages zero_pages,
                                            const SealedAhead& ahead) {
  Scratch& mine = scratch();
  const auto [first, last, size] = run;
  const std::uint64_t end = offset + size;
  const bool sealed_ahead = ahead.use == mine.use && ahead.offset == offset && ahead.size == size;

  std::array<Edge, 2> edges;
  std::size_t edge_count = 0;
  const auto add_edge = [&](std::uint64_t index) {
    if (is_whole(index, offset, end)) return;
    const std::uint64_t start = geometry_.plain_offset_of(index);
    const std::uint64_t block_size = geometry_.block_size(index);
    const bool keeps_front = start < std::min(offset, live_end);
    const bool keeps_back = end < std::min(start + block_size, live_end);
    edges[edge_count] = {index, std::span(mine.edges[edge_count]).first(block_size),
                         keeps_front || keeps_back};
    ++edge_count;
  };
  add_edge(first);
  if (last != first) add_edge(last);
  const auto partial = std::span(edges).first(edge_count);
  KMSFS_TRY(load_edges(partial, zero_pages));
  for (const Edge& edge : partial) {
    const std::uint64_t start = geometry_.plain_offset_of(edge.index);
    const std::uint64_t live = std::clamp(live_end, start, start + edge.plain.size()) - start;
    const ByteSpan past = edge.plain.subspan(edge.load ? live : 0);
    std::fill(past.begin(), past.end(), std::byte{0});
    const std::uint64_t from = std::max(offset, start);
    const std::uint64_t to = std::min(end, start + edge.plain.size());
    std::memcpy(edge.plain.data() + (from - start), data.data() + (from - offset), to - from);
  }

  const ByteSpan sealed = mine.sealed_pages(run_size(first, last));
  mine.seal_jobs.clear();
  if (!sealed_ahead) queue_whole_blocks(run, offset, data);
  for (const Edge& edge : partial) queue_block(run, edge.index, edge.plain);
  KMSFS_TRY(cipher_->seal(mine.seal_jobs));

  if (kept_index_ && *kept_index_ >= first && *kept_index_ <= last) forget_kept_block();
  KMSFS_TRY(disk_.write_at(fd(), geometry_.sealed_offset(first), sealed));
  if (edge_count > 0 && edges[edge_count - 1].index == last && end >= live_end) {
    keep_block(last, edges[edge_count - 1].plain);
  }
  return {};
}

// Brings the old plain text of those edges that have bytes to stay.
Result<void> EncryptedFileBlocks::load_edges(std::span<Edge> edges, ZeroPages zero_pages) const {
  const auto from_disk = [&](const Edge& edge) { return edge.load && kept_index_ != edge.index; };
  Scratch& mine = scratch();
  const bool together = edges.size() == 2 && from_disk(edges[0]) && from_disk(edges[1]) &&
                        edges[1].index - edges[0].index < kNearBlocks;
  std::uint64_t loaded_from = 0;
  for (std::size_t i = 0; i < edges.size(); ++i) {
    const Edge& edge = edges[i];
    if (!edge.load) continue;
    if (!from_disk(edge)) {
      std::memcpy(edge.plain.data(), kept_->data(), edge.plain.size());
      continue;
    }
    if (i == 0 || !together) {
      loaded_from = geometry_.sealed_offset(edge.index);
      const std::uint64_t last = together ? edges[1].index : edge.index;
      const ByteSpan pages = std::span(mine.old).first(run_size(edge.index, last));
      auto got = disk_.read_at(fd(), loaded_from, pages);
      if (!got) return std::move(got).error();
      if (*got < pages.size()) return error(Kind::kCorrupt, "the backing file is shorter than the file");
    }
    const ByteView sealed = ByteView(mine.old).subspan(geometry_.sealed_offset(edge.index) - loaded_from,
                                                       geometry_.sealed_size(edge.index));
    KMSFS_TRY(open_block(edge.index, sealed, edge.plain, zero_pages));
  }
  return {};
}

Result<void> EncryptedFileBlocks::open_block(std::uint64_t index, ByteView sealed, ByteSpan plain,
                                             ZeroPages zero_pages) const {
  if (is_hole(sealed)) {
    if (zero_pages == ZeroPages::kCorrupt) return error(Kind::kCorrupt, "a block is missing");
    std::fill(plain.begin(), plain.end(), std::byte{0});
    return {};
  }
  Aad aad;
  fill_aad(index, aad);
  return cipher_->open(aad, sealed, plain);
}

Result<void> EncryptedFileBlocks::write_zeros(std::uint64_t first_block, std::uint64_t count) {
  if (!cipher_) return expired();
  Scratch& mine = scratch();
  forget_kept_block();
  while (count > 0) {
    const Run run{first_block, first_block + std::min<std::uint64_t>(count, kRunBlocks) - 1};
    const ByteSpan sealed = mine.sealed_pages(run_size(run.first, run.last));
    mine.seal_jobs.clear();
    for (std::uint64_t index = run.first; index <= run.last; ++index) {
      queue_block(run, index, std::span(kZeros).first(geometry_.block_size(index)));
    }
    KMSFS_TRY(cipher_->seal(mine.seal_jobs));
    KMSFS_TRY(disk_.write_at(fd(), geometry_.sealed_offset(run.first), sealed));
    count -= run.last + 1 - run.first;
    first_block = run.last + 1;
  }
  return {};
}

void EncryptedFileBlocks::keep_block(std::uint64_t index, ByteView plain) {
  if (kept_ == nullptr) kept_ = std::make_unique<std::array<std::byte, kBlockSize>>();
  std::memcpy(kept_->data(), plain.data(), plain.size());
  kept_index_ = index;
}

}  // namespace kmsfs
