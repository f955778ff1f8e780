#include "fs/encrypted_file.h"

#include <fcntl.h>

#include <algorithm>
#include <array>
#include <cassert>
#include <cerrno>
#include <utility>

#include "fs/encrypted_file_state.h"

namespace kmsfs {

namespace {

Error expired() { return error(Kind::kExpired, "the file's key is not held any more"); }

}  // namespace

EncryptedFile::State::State(Disk& the_disk, UniqueFd fd, const Geometry& the_geometry,
                            const FileHeader& the_header, MacKey key)
    : disk(the_disk),
      geometry(the_geometry),
      header(the_header),
      header_key(std::move(key)),
      blocks(disk, std::move(fd), geometry, header),
      slot(the_header.state) {}

Result<std::unique_ptr<EncryptedFile>> EncryptedFile::create(Disk& disk, UniqueFd fd,
                                                             const Geometry& geometry,
                                                             const VolumeId& volume_id, const FileId& file_id,
                                                             std::span<const std::byte, 32> data_key,
                                                             const KeySection& key_section) {
  FileHeader header;
  header.header_size = geometry.header_size();
  header.volume_id = volume_id;
  header.file_id = file_id;
  random_bytes(header.salt);
  header.key_section = key_section;
  auto keys = FileKeys::derive(data_key, header);
  if (!keys) return std::move(keys).error();
  auto cipher = Xaes256Gcm::make(keys->content);
  if (!cipher) return std::move(cipher).error();
  header.commitment = keys->commitment;
  header.mac = header_mac(keys->header, header);
  header.state.sequence = 1;
  header.state.mac = state_mac(keys->header, header.state);

  std::array<std::byte, kPageSize> page{};
  KMSFS_TRY(header.serialize(std::span(page).first(geometry.header_size())));
  KMSFS_TRY(disk.write_at(fd.get(), 0, page));

  auto state = std::make_unique<State>(disk, std::move(fd), geometry, header, std::move(keys->header));
  state->blocks.set_cipher(std::move(*cipher));
  state->changed = true;
  state->tail_clear = true;
  return std::unique_ptr<EncryptedFile>(new EncryptedFile(std::move(state)));
}

Result<std::unique_ptr<EncryptedFile>> EncryptedFile::open(Disk& disk, UniqueFd fd, const Geometry& geometry,
                                                           const VolumeId& volume_id,
                                                           const FileHeader& header,
                                                           std::span<const std::byte, 32> data_key,
                                                           Recovery recovery, const Logger& logger,
                                                           std::optional<std::uint64_t> known_size) {
  if (header.volume_id != volume_id) return error(Kind::kCorrupt, "a file of another volume");
  if (header.header_size != geometry.header_size()) {
    return error(Kind::kCorrupt, "the header is not of the volume's size");
  }
  auto keys = FileKeys::derive(data_key, header);
  if (!keys) return std::move(keys).error();
  if (!equal_in_constant_time(keys->commitment, header.commitment)) {
    return error(Kind::kCorrupt, "the data key is not the one that the file was made with");
  }
  if (!equal_in_constant_time(header_mac(keys->header, header), header.mac)) {
    return error(Kind::kCorrupt, "the header failed authentication");
  }
  auto state = State::open(disk, std::move(fd), geometry, header, std::move(*keys), recovery);
  if (!state) return std::move(state).error();
  if (known_size && !(*state)->slot.clean && *known_size <= (*state)->size) {
    (*state)->size = *known_size;
    (*state)->must_cut = true;
  }
  if (recovery == Recovery::kRepair) {
    auto made = (*state)->repair();
    if (!made) {
      (*state)->changed = false;
      logger->warn("file {}: what a crash left is repaired for this open only: {}", header.file_id.hex(),
                   made.error().text);
    } else if ((*state)->repaired) {
      logger->warn("file {}: repaired what a crash left; size {}", header.file_id.hex(), (*state)->size);
    }
  }
  return std::unique_ptr<EncryptedFile>(new EncryptedFile(std::move(*state)));
}

EncryptedFile::EncryptedFile(std::unique_ptr<State> state) : state_(std::move(state)) {}
EncryptedFile::~EncryptedFile() = default;

const FileId& EncryptedFile::file_id() const { return state_->header.file_id; }
int EncryptedFile::fd() const { return state_->blocks.fd(); }
void EncryptedFile::replace_fd(UniqueFd fd) { state_->blocks.replace_fd(std::move(fd)); }
std::uint64_t EncryptedFile::size() const { return state_->size; }
bool EncryptedFile::clean() const { return state_->slot.clean && state_->slot_known; }
bool EncryptedFile::sparse() const { return state_->slot.sparse; }
bool EncryptedFile::repaired() const { return state_->repaired; }
bool EncryptedFile::unrepaired() const { return state_->unrepaired; }
bool EncryptedFile::unfinished() const { return state_->must_cut; }

Result<std::size_t> EncryptedFile::read_at(std::uint64_t offset, ByteSpan out) const {
  if (!has_keys()) return expired();
  if (offset >= state_->size) return std::size_t{0};
  const std::size_t size = std::min<std::uint64_t>(out.size(), state_->size - offset);
  KMSFS_TRY(state_->blocks.read(offset, out.first(size), state_->zero_pages()));
  return size;
}

SealedAhead EncryptedFile::seal_ahead(std::uint64_t offset, ByteView data) const {
  if (!state_->check_usable(offset, data.size())) return {};
  return state_->blocks.seal_ahead(offset, data);
}

bool EncryptedFile::would_become_sparse(std::uint64_t offset) const {
  return !state_->slot.sparse && state_->leaves_hole(offset);
}

Result<void> EncryptedFile::write_at(std::uint64_t offset, ByteView data, const SealedAhead& ahead) {
  KMSFS_TRY(state_->check_usable(offset, data.size()));
  if (data.empty()) return {};
  const std::uint64_t end = offset + data.size();
  if (end > state_->size) return state_->grow(end, offset, data, ahead);
  state_->changed = true;
  return state_->blocks.write(offset, data, state_->size, state_->zero_pages(), ahead);
}

Result<void> EncryptedFile::truncate(std::uint64_t size) {
  KMSFS_TRY(state_->check_usable(size, 0));
  return state_->truncate(size);
}

Result<void> EncryptedFile::sync(bool data_only) {
  KMSFS_TRY(state_->mark_clean());
  auto synced = data_only ? state_->disk.sync_data(fd()) : state_->disk.sync(fd());
  // The kernel may have dropped what it could not write; the next sync would have nothing to do.
  if (!synced && state_->changed) state_->slot_known = false;
  return synced;
}

Result<void> EncryptedFile::mark_clean() { return state_->mark_clean(); }

void EncryptedFile::drop_keys() { state_->blocks.drop_cipher(); }

Result<bool> EncryptedFile::is_current() const {
  if (state_->must_cut || state_->repairing || !state_->slot_known || !state_->slot.clean) return false;
  auto attributes = state_->disk.stat(fd());
  if (!attributes) return std::move(attributes).error();
  return static_cast<std::uint64_t>(attributes->st_size) == state_->geometry.backing_size(state_->size);
}

// Whoever changes the size writes the slot before anything else, with the next sequence number.
Result<bool> EncryptedFile::is_still_current() const {
  std::array<std::byte, kStateSlotSize> bytes;
  auto got = state_->disk.read_at(fd(), state_->geometry.header_size() - kStateSlotSize, bytes);
  if (!got) return std::move(got).error();
  auto slot = StateSlot::parse(std::span(bytes).first(*got));
  return slot && slot->clean && slot->sequence == state_->slot.sequence;
}

Result<void> EncryptedFile::refresh(bool may_repair) { return state_->refresh(may_repair); }

bool EncryptedFile::has_keys() const { return state_->blocks.has_cipher(); }

Result<void> EncryptedFile::rekey(std::span<const std::byte, 32> data_key) {
  auto keys = FileKeys::derive(data_key, state_->header);
  if (!keys) return std::move(keys).error();
  if (!equal_in_constant_time(keys->commitment, state_->header.commitment)) {
    return error(Kind::kCorrupt, "the data key is not the one that the file was made with");
  }
  auto cipher = Xaes256Gcm::make(keys->content);
  if (!cipher) return std::move(cipher).error();
  state_->blocks.set_cipher(std::move(*cipher));
  return {};
}

Result<void> EncryptedFile::State::check_usable(std::uint64_t offset, std::uint64_t length) const {
  if (!blocks.has_cipher()) return expired();
  const std::uint64_t most = geometry.max_plain_size();
  if (offset > most || length > most - offset) return Error::from_errno(EFBIG);
  return {};
}

Result<void> EncryptedFile::State::write_slot(StateSlot next) {
  next.sequence = ++slot.sequence;  // even if this one does not get through
  next.mac = state_mac(header_key, next);
  std::array<std::byte, kStateSlotSize> bytes;
  next.serialize(bytes);
  slot_known = false;
  KMSFS_TRY(disk.write_at(blocks.fd(), geometry.header_size() - kStateSlotSize, bytes));
  slot = next;
  slot_known = true;
  return {};
}

Result<void> EncryptedFile::State::mark_changing() {
  changed = true;
  if (!slot.clean && slot_known) return {};
  return write_slot({.clean = false, .sparse = slot.sparse});
}

Result<void> EncryptedFile::State::make_sparse() {
  changed = true;
  if (slot.sparse && slot_known && !must_sync_sparse) return {};
  if (!slot.sparse || !slot_known) KMSFS_TRY(write_slot({.clean = false, .sparse = true}));
  must_sync_sparse = true;
  KMSFS_TRY(disk.sync_data(blocks.fd()));
  must_sync_sparse = false;
  return {};
}

// A file that was only read stays as it was if it cannot be marked: its descriptor may not be open for
// writing.
Result<void> EncryptedFile::State::mark_clean() {
  if (slot.clean && slot_known && slot.plain_size == size && !must_cut && !unrepaired) return {};
  const auto mark = [&]() -> Result<void> {
    if (unrepaired) KMSFS_TRY(repair());
    if (!tail_clear && !blocks.has_cipher()) return {};  // stays "not clean", which is always true
    KMSFS_TRY(settle());
    KMSFS_TRY(clear_tail());
    return write_slot({.clean = true, .sparse = slot.sparse, .plain_size = size});
  };
  const bool had_changed = changed;
  auto marked = mark();
  changed = had_changed;
  if (!marked && !changed) return {};
  return marked;
}

Result<void> EncryptedFile::State::settle() {
  if (!must_cut) return {};
  KMSFS_TRY(mark_changing());
  return cut(size, geometry.max_plain_size());
}

Result<void> EncryptedFile::State::cut(std::uint64_t new_size, std::uint64_t old_size) {
  must_cut = true;
  // First: over quota, btrfs zeroes the end of the last page and then refuses the resize, and half a block
  // would be left.
  auto punched = punch_tail_page(new_size, old_size);
  const bool cannot_punch = !punched && punched.error().system_errno == EOPNOTSUPP;
  if (!punched && !cannot_punch) return punched;
  KMSFS_TRY(disk.resize(blocks.fd(), geometry.backing_size(new_size)));
  if (cannot_punch) KMSFS_TRY(clear_tail_page(new_size, old_size));
  must_cut = false;
  return {};
}

bool EncryptedFile::State::has_tail_page(std::uint64_t new_size, std::uint64_t old_size) const {
  return geometry.backing_size(new_size) % kPageSize != 0 &&
         geometry.block_count(old_size) != geometry.block_count(new_size);
}

Result<void> EncryptedFile::State::punch_tail_page(std::uint64_t new_size, std::uint64_t old_size) {
  blocks.forget_kept_block();
  if (!has_tail_page(new_size, old_size)) return {};
  return disk.allocate(blocks.fd(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                       geometry.block_count(new_size) * kPageSize, kPageSize);
}

// What is left of a block that became the tail must go: the next growth counts on zeros there.
Result<void> EncryptedFile::State::clear_tail_page(std::uint64_t new_size, std::uint64_t old_size) {
  auto punched = punch_tail_page(new_size, old_size);
  if (punched || punched.error().system_errno != EOPNOTSUPP) return punched;
  const std::uint64_t tail = geometry.block_count(new_size) * kPageSize;
  const std::uint64_t tail_size = geometry.backing_size(new_size) - tail;
  // Durably, as data may reach the disk after a later change of size.
  KMSFS_TRY(disk.write_at(blocks.fd(), tail, Bytes(tail_size)));
  return disk.sync_data(blocks.fd());
}

Result<void> EncryptedFile::State::truncate(std::uint64_t new_size) {
  if (new_size > size) return grow(new_size, new_size, {});
  KMSFS_TRY(settle());
  if (new_size == size) return disk.resize(blocks.fd(), geometry.backing_size(size));  // for its times
  KMSFS_TRY(mark_changing());
  KMSFS_TRY(shrink_backing(new_size));
  const std::uint64_t old_size = std::exchange(size, new_size);
  tail_clear = new_size == geometry.plain_offset_of(geometry.block_count(new_size));
  must_cut = true;  // until the tail is clear too
  KMSFS_TRY(clear_tail_page(new_size, old_size));
  must_cut = false;
  return {};
}

// A resize that is refused may have zeroed part of the block in which it would have ended: that block is put
// back.
Result<void> EncryptedFile::State::shrink_backing(std::uint64_t new_size) {
  const std::uint64_t page = geometry.block_count(new_size) * kPageSize;
  Bytes block;
  if (has_tail_page(new_size, size)) {
    block.resize(kPageSize);
    auto got = disk.read_at(blocks.fd(), page, block);
    if (!got) return std::move(got).error();
    block.resize(*got);
  }
  auto resized = disk.resize(blocks.fd(), geometry.backing_size(new_size));
  if (resized || block.size() < kPageSize || all_zero(block)) return resized;
  Bytes now(kPageSize);
  auto got = disk.read_at(blocks.fd(), page, now);
  if (got && now == block) return resized;
  auto restored = disk.write_at(blocks.fd(), page, block);
  if (!restored)
    return std::move(resized).error().during("a block could not be put back: " + restored.error().text);
  return resized;
}

// Writes `data`, or only grows. Docs/FORMAT.md, "Order of writes".
Result<void> EncryptedFile::State::grow(std::uint64_t new_size, std::uint64_t offset, ByteView data,
                                        const SealedAhead& ahead) {
  KMSFS_TRY(settle());
  if (leaves_hole(offset)) KMSFS_TRY(make_sparse());
  KMSFS_TRY(mark_changing());
  const std::uint64_t old_blocks = geometry.block_count(size);
  const std::uint64_t new_blocks = geometry.block_count(new_size);
  const bool writes_first_block = !data.empty() && geometry.block_of(offset) == 0;
  if (size == 0 && !writes_first_block) tail_clear = false;  // block 0 may never have been written
  if (data.empty() || old_blocks != new_blocks) KMSFS_TRY(clear_tail());
  if (old_blocks == new_blocks) {
    // Bytes past the end mean nothing: they can be there first.
    tail_clear = data.empty();
    KMSFS_TRY(blocks.write(offset, data, size, zero_pages(), ahead));
    KMSFS_TRY(disk.resize(blocks.fd(), geometry.backing_size(new_size)));
  } else {
    KMSFS_TRY(disk.resize(blocks.fd(), geometry.backing_size(new_size)));
    auto filled = fill(old_blocks, new_blocks, offset, data, ahead);
    if (!filled) {
      tail_clear = false;
      auto undone = cut(size, new_size);
      if (!undone) return std::move(filled).error().during("undoing it failed too: " + undone.error().text);
      return filled;
    }
  }
  size = new_size;
  tail_clear = true;
  return {};
}

Result<void> EncryptedFile::State::fill(std::uint64_t old_blocks, std::uint64_t new_blocks,
                                        std::uint64_t offset, ByteView data, const SealedAhead& ahead) {
  const std::uint64_t data_block = data.empty() ? new_blocks : geometry.block_of(offset);
  if (!slot.sparse && data_block > old_blocks)
    KMSFS_TRY(blocks.write_zeros(old_blocks, data_block - old_blocks));
  return blocks.write(offset, data, size, zero_pages(), ahead);
}

Result<void> EncryptedFile::State::clear_tail() {
  if (tail_clear) return {};
  const std::uint64_t last = geometry.block_count(size) - 1;
  const std::uint64_t live = size - geometry.plain_offset_of(last);
  if (live == 0) {
    KMSFS_TRY(blocks.write_zeros(last, 1));
  } else if (live < geometry.block_size(last)) {
    std::array<std::byte, kBlockSize> plain;
    const auto block = std::span(plain).first(geometry.block_size(last));
    const std::uint64_t start = geometry.plain_offset_of(last);
    KMSFS_TRY(blocks.read(start, block, zero_pages()));
    if (!all_zero(block.subspan(live))) {
      KMSFS_TRY(blocks.write(start, block.first(live), size, zero_pages()));
    }
  }
  tail_clear = true;
  return {};
}

}  // namespace kmsfs
