// An EncryptedFile is the plain view of one open ciphertext file.
//
// Always: no byte leaves that was not authenticated; while the state slot says clean, the size is authenticated too, so a file
// cut short or grown is kCorrupt, not short or long. A page of zeros is a hole only if the slot says sparse.
// Order of what reaches the disk: see docs/FORMAT.md "Order of writes"; sizes grow before blocks are written, and shrink by
// resize alone.
// Threads: const methods may run together; the others need the file to themselves. The owner (the inode) holds the lock.
// None of them calls the KMS: keys come ready.
#pragma once

#include <memory>

#include "core/ids.h"
#include "core/log.h"
#include "core/unique_fd.h"
#include "fs/disk.h"
#include "fs/format.h"

namespace kmsfs {

// The state slot as it stands in the header: trusted only after its MAC was checked, with the file's key.
struct StateSlot {
  std::uint64_t sequence = 0;
  bool clean = false;   // the size below is the file's size; otherwise the backing size tells
  bool sparse = false;  // pages of zeros are holes
  std::uint64_t plain_size = 0;
  std::array<std::byte, 32> mac{};
};

// What the header of a file tells before any key is there.
struct FileHeader {
  std::uint16_t format_version = kFormatVersion;
  std::uint16_t suite = kSuiteXaes256Gcm;
  std::uint32_t header_size = kDefaultHeaderSize;
  VolumeId volume_id;
  FileId file_id;
  std::array<std::byte, 32> salt{};
  std::array<std::byte, 32> commitment{};
  std::array<std::byte, 32> mac{};
  std::string key_arn;     // the master key
  Bytes wrapped_data_key;
  StateSlot state;

  // `header`: the first header_size bytes of the file, state slot included. kCorrupt: malformed or of another volume's shape;
  // kUnsupported: a newer version or suite. Never reads past `header`.
  static Result<FileHeader> parse(ByteView header);
};

// Wrong in a way that a crash of this host explains, and therefore repaired instead of refused (docs/FORMAT.md "Recovery").
enum class Recovery { kRefuse, kRepair };

class EncryptedFile {
 public:
  struct Extent {
    std::uint64_t offset, size;
  };

  // A new file: writes the header (one page), size 0, not clean until sync or close. `fd` is open for reading and writing.
  static Result<std::unique_ptr<EncryptedFile>> create(Disk& disk, UniqueFd fd, const Geometry& geometry,
                                                       const VolumeId& volume_id, const FileId& file_id,
                                                       std::span<const std::byte, 32> data_key,
                                                       const std::string& key_arn, ByteView wrapped_data_key);
  // An existing one. The header is checked against volume id, commitment and MACs, and the size against the state slot.
  static Result<std::unique_ptr<EncryptedFile>> open(Disk& disk, UniqueFd fd, const Geometry& geometry,
                                                     const VolumeId& volume_id, const FileHeader& header,
                                                     std::span<const std::byte, 32> data_key, Recovery recovery,
                                                     const Logger& logger);
  ~EncryptedFile();  // wipes the keys; writes nothing

  const FileId& file_id() const;
  int fd() const;
  void replace_fd(UniqueFd fd);  // the same file, opened with other flags
  std::uint64_t size() const;
  bool clean() const;
  bool sparse() const;

  // Fewer bytes than asked means end of file, nothing else.
  Result<std::size_t> read_at(std::uint64_t offset, ByteSpan out) const;
  Result<std::uint64_t> seek(std::uint64_t offset, int whence) const;  // SEEK_DATA, SEEK_HOLE; ENXIO as lseek(2)

  // All of it or an error; a gap before `offset` reads as zeros. After an error the size is what it was before.
  Result<void> write_at(std::uint64_t offset, ByteView data);
  Result<void> truncate(std::uint64_t size);
  Result<void> allocate(std::uint64_t offset, std::uint64_t size, bool keep_size);
  Result<void> zero(std::uint64_t offset, std::uint64_t size, bool keep_size);   // FALLOC_FL_ZERO_RANGE
  Result<void> punch(std::uint64_t offset, std::uint64_t size);                  // FALLOC_FL_PUNCH_HOLE, keeps the size

  // Marks clean and makes durable. With data_only, as fdatasync.
  Result<void> sync(bool data_only);
  // Marks clean, without waiting for the disk: at the last close.
  Result<void> mark_clean();
  // Forgets the content keys; every later read or write is kExpired until rekey(). The size stays known.
  void drop_keys();
  bool has_keys() const;
  Result<void> rekey(std::span<const std::byte, 32> data_key);

 private:
  struct State;
  explicit EncryptedFile(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace kmsfs
