// How the data key of a file is had: docs/FORMAT.md, sections "Key section" and "Branch keys", in code.
//
// A FileKey pins what the key cache holds for a file: its data key, or the branch key that seals its data
// key. Always: it may be used exactly as long as that entry may; a data key that a branch key seals is kept
// nowhere, but opened anew each time, and bound to its suite, volume, file and branch. Threads: const methods
// may run together.
#pragma once

#include <memory>

#include "fs/file_header.h"
#include "fs/volume.h"
#include "keycache/key_cache.h"

namespace kmsfs {

// What a data key under a branch key is for.
struct SealedFor {
  std::uint16_t suite = kSuiteXaes256Gcm;
  VolumeId volume;
  FileId file;
};

Result<SealedDataKey> seal_data_key(const DataKey& branch_key, const BranchId& branch, const SealedFor& what,
                                    const DataKey& data_key);
// kCorrupt if it was sealed for something else, by another branch key, or changed.
Result<DataKey> open_data_key(const DataKey& branch_key, const SealedDataKey& sealed, const SealedFor& what);

class FileKey {
 public:
  FileKey() = default;
  explicit FileKey(KeyHandle data_key) : handle_(std::move(data_key)) {}
  FileKey(KeyHandle branch_key, const SealedDataKey& sealed, const SealedFor& what)
      : handle_(std::move(branch_key)), sealed_(std::make_shared<const Sealed>(Sealed{sealed, what})) {}

  explicit operator bool() const { return static_cast<bool>(handle_); }
  // As those of KeyHandle; of a key that is not empty.
  Result<void> check() const { return handle_.check(); }
  Result<DataKey> data_key() const;
  const std::string& key_arn() const { return handle_.key_arn(); }
  const KeyHandle& handle() const { return handle_; }

 private:
  struct Sealed {
    SealedDataKey key;
    SealedFor what;
  };
  KeyHandle handle_;
  std::shared_ptr<const Sealed> sealed_;  // in volumes without branch keys: nothing
};

// The key of the file with this header, by the cache: may ask the KMS. kCorrupt: a file of another volume,
// under a master key that the volume does not allow, or under a branch key in a volume that has none.
Result<FileKey> unwrap_file_key(KeyCache& keys, const Volume& volume, const FileHeader& header);

// Asks for that key ahead, and does not wait.
KeyCache::Ahead ask_ahead_for_file(KeyCache& keys, const Volume& volume, const FileHeader& header);

// For a file that is about to be made.
struct NewFileKey {
  FileId id;
  FileKey key;
  DataKey data_key;
  KeySection section;
};

}  // namespace kmsfs
