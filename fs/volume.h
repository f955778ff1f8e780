// A Volume is an opened backing directory: its parameters, and the ciphers for everything that is not file
// content.
//
// .kmsfs/volume (JSON with a MAC under the volume key) says volume id, format version, header size, mode,
// allowed master keys and the wrapped volume key. Opening it costs one KMS call, for the volume key. Threads:
// const after construction; all methods may run together.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/ids.h"
#include "core/log.h"
#include "fs/disk.h"
#include "fs/format.h"
#include "fs/names.h"
#include "kmsclient/kms.h"

namespace kmsfs {

// How the data keys of new files are wrapped: each by a master key, or by a branch key (fs/branch_keys.h).
enum class KeyMode { kPerFile, kBranch };
std::string_view to_string(KeyMode mode);  // as in the volume file, and on the command line
std::optional<KeyMode> parse_key_mode(std::string_view text);

struct VolumeParameters {
  VolumeId id;
  std::uint16_t format_version = kFormatVersion;
  std::uint16_t suite = kSuiteXaes256Gcm;
  std::uint32_t header_size = kDefaultHeaderSize;
  KeyMode mode = KeyMode::kPerFile;
  std::vector<std::string> allowed_keys;  // full key ARNs; the first wraps what is new
  std::string kms_uri;  // where init found its keys: a hint for mount, not trusted for anything else
  WrappedDataKey volume_key;
};

// The encryption context of a file's data key, computed from what we know, never from what a header says of
// itself.
EncryptionContext file_context(const VolumeId& volume, const FileId& file);
EncryptionContext branch_context(const VolumeId& volume, const BranchId& branch);
// Of the key that a new file would ask for, under an id that nothing has: to see whether it would get one.
EncryptionContext new_file_context(const VolumeParameters& volume);
EncryptionContext volume_context(const VolumeId& volume);  // of the volume key

class Volume {
 public:
  // Makes an empty backing directory a volume: .kmsfs/volume and the root's directory id, durably.
  // kExists if it is one already, kInvalid if it is not empty.
  static Result<std::unique_ptr<Volume>> create(Disk& disk, int backing, Kms& kms, const std::string& key,
                                                const std::string& kms_uri, KeyMode mode = KeyMode::kPerFile);
  // The parameters alone, unauthenticated: for showing, and for finding the KMS.
  static Result<VolumeParameters> read_parameters(Disk& disk, int backing);
  // kNotFound: not a volume (the text says so); kCorrupt: damaged; kUnsupported: newer; KMS errors pass as
  // they are.
  static Result<std::unique_ptr<Volume>> open(Disk& disk, int backing, Kms& kms);
  // What create() and open() end with: the ciphers under this key, nothing read and nothing checked.
  static Result<std::unique_ptr<Volume>> make(VolumeParameters parameters,
                                              std::span<const std::byte, 32> volume_key);
  ~Volume();

  const VolumeParameters& parameters() const;
  const Geometry& geometry() const;
  bool allows(const std::string& key_arn) const;

  // Names (docs/FORMAT.md "Names"). A stored name is what stands in the backing directory. ENAMETOOLONG past
  // 255 bytes; kInvalid for what no entry can be called. The side link is made before the entry.
  using StoredName = kmsfs::StoredName;
  Result<StoredName> encrypt_name(const DirectoryId& directory, std::string_view name) const;
  // `side_target`: that of the side link, for a long name. kCorrupt if it does not decrypt to a name that can
  // be one.
  Result<std::string> decrypt_name(const DirectoryId& directory, std::string_view entry,
                                   std::string_view side_target) const;
  static bool is_long(std::string_view entry);
  static std::string side_link_of(std::string_view long_entry);
  // .kmsfs, .kmsfs-dir and side links: no entries of users, never shown and never looked up.
  static bool is_internal(std::string_view entry);

  // Directory ids: the target of .kmsfs-dir.
  std::string seal_directory_id(const DirectoryId& id) const;
  Result<DirectoryId> open_directory_id(std::string_view target) const;

  // Symbolic links: what stands as the backing link's target. Plain targets are at most kMaxTarget bytes.
  static constexpr std::size_t kMaxTarget = 3031;
  Result<std::string> seal_target(std::string_view target) const;
  Result<std::string> open_target(std::string_view stored) const;
  static std::size_t plain_target_size(std::size_t stored_size);  // arithmetic, for st_size

  // Extended attributes; `owner` is the 16 bytes of the file id or directory id they hang on, `name` begins
  // with "user." and has at most kMaxAttributeName bytes (beyond: ERANGE, as setxattr(2) says it).
  static constexpr std::size_t kMaxAttributeName = 172;
  Result<std::string> seal_xattr_name(ByteView owner, std::string_view name) const;  // "user.kmsfs." ...
  Result<std::string> open_xattr_name(ByteView owner,
                                      std::string_view stored) const;  // kNotFound: not one of ours
  Result<Bytes> seal_xattr_value(ByteView owner, std::string_view name, ByteView value) const;
  Result<Bytes> open_xattr_value(ByteView owner, std::string_view name, ByteView stored) const;

 private:
  struct State;
  explicit Volume(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace kmsfs
