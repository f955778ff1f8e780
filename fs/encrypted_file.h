// An EncryptedFile is the plain view of one open ciphertext file.
//
// Always: no byte leaves that was not authenticated; while the state slot says clean, the size is
// authenticated too, so a file cut short or grown is kCorrupt, not short or long. A page of zeros is a hole
// only if the slot says sparse. Order of what reaches the disk: docs/FORMAT.md, "Order of writes". Threads:
// const methods may run together; the others need the file to themselves. The owner (the inode) holds the
// lock. None of them calls the KMS: keys come ready. Errors: kCorrupt, kExpired (keys dropped), kNoMemory
// (locked memory), and those of the Disk as they are.
#pragma once

#include <memory>
#include <optional>

#include "core/ids.h"
#include "core/log.h"
#include "core/unique_fd.h"
#include "fs/disk.h"
#include "fs/file_header.h"
#include "fs/format.h"
#include "fs/sealed_ahead.h"

namespace kmsfs {

// What to do with a file that is wrong in a way that a crash of this host explains (docs/FORMAT.md,
// "Recovery").
enum class Recovery { kRefuse, kRepair };

class EncryptedFile {
 public:
  // A new file: writes the header (one page), size 0, not clean until sync() or mark_clean(). `fd` is open
  // for reading and writing, and empty. kUnsupported if the key section does not fit into a header of
  // this geometry.
  static Result<std::unique_ptr<EncryptedFile>> create(Disk& disk, UniqueFd fd, const Geometry& geometry,
                                                       const VolumeId& volume_id, const FileId& file_id,
                                                       std::span<const std::byte, 32> data_key,
                                                       const KeySection& key_section);
  // An existing one. The header is checked against volume id, data key (commitment) and MACs, and the size
  // against the state slot, which is read again: `header` may be older. kRepair makes its repairs at once,
  // and says so in the log; on a descriptor that is not open for writing they last only as long as this
  // object. `known_size`: what an earlier object that ended unfinished() had for its size; it counts while
  // the slot is not clean.
  static Result<std::unique_ptr<EncryptedFile>> open(Disk& disk, UniqueFd fd, const Geometry& geometry,
                                                     const VolumeId& volume_id, const FileHeader& header,
                                                     std::span<const std::byte, 32> data_key,
                                                     Recovery recovery, const Logger& logger,
                                                     std::optional<std::uint64_t> known_size = {});
  ~EncryptedFile();  // wipes the keys; writes nothing

  const FileId& file_id() const;
  int fd() const;
  void replace_fd(UniqueFd fd);  // the same file, opened with other flags
  std::uint64_t size() const;
  bool clean() const;
  bool sparse() const;
  bool repaired() const;    // open() found what only a crash explains
  bool unrepaired() const;  // ... and could not put it right on disk
  // The backing file tells another size, and the disk took no change that would set it right.
  bool unfinished() const;

  // Fewer bytes than asked means end of file, nothing else.
  Result<std::size_t> read_at(std::uint64_t offset, ByteSpan out) const;
  Result<std::uint64_t> seek(std::uint64_t offset,
                             int whence) const;  // SEEK_DATA, SEEK_HOLE; ENXIO as lseek(2)

  // Seals what can be sealed of a write before the file is locked for it; needs only that the keys stay, and
  // may run beside everything else.
  SealedAhead seal_ahead(std::uint64_t offset, ByteView data) const;
  // All of it or an error; a gap before `offset` reads as zeros. After an error the size is what it was
  // before. `ahead`: of the same write, by this thread.
  Result<void> write_at(std::uint64_t offset, ByteView data, const SealedAhead& ahead = {});
  // Would a write there leave a hole, in a file that has none so far?
  bool would_become_sparse(std::uint64_t offset) const;
  Result<void> truncate(std::uint64_t size);
  Result<void> allocate(std::uint64_t offset, std::uint64_t size, bool keep_size);
  Result<void> zero(std::uint64_t offset, std::uint64_t size, bool keep_size);  // FALLOC_FL_ZERO_RANGE
  Result<void> punch(std::uint64_t offset, std::uint64_t size);  // FALLOC_FL_PUNCH_HOLE, keeps the size

  // Marks clean and makes durable. With data_only, as fdatasync.
  Result<void> sync(bool data_only);
  // Marks clean, without waiting for the disk: at the last close.
  Result<void> mark_clean();
  // Forgets the content keys; every later read or write is kExpired until rekey(). The size stays known.
  void drop_keys();
  bool has_keys() const;

  // A file that other mounts change too. Does the backing file have the size that goes with ours?
  Result<bool> is_current() const;
  // Has no mount begun to change its size since we took our state? What was read between that and now then
  // belongs together.
  Result<bool> is_still_current() const;
  // Takes state and size from disk; with the file's lock of all mounts held. What a mount left unfinished
  // that died is repaired, if it may be: if not, it is read as far as it goes.
  Result<void> refresh(bool may_repair);

  Result<void> rekey(std::span<const std::byte, 32> data_key);

 private:
  struct State;
  explicit EncryptedFile(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace kmsfs
