// Entry names between programs and the backing directory: docs/FORMAT.md, section "Names", in code.
//
// Always: one plain name in one directory has exactly one stored name, and no other stored name decrypts to
// it; what decrypts is a name that an entry can have (1 to 255 bytes, no '/', no NUL, neither "." nor "..").
// Threads: const after construction; all methods may run together.
#pragma once

#include <string>
#include <string_view>

#include "core/ids.h"
#include "core/siv.h"

namespace kmsfs {

inline constexpr std::size_t kMaxName = 255;

inline constexpr const char* kVolumeDirectory = ".kmsfs";      // in the root of the backing directory
inline constexpr const char* kVolumeFile = "volume";           // in .kmsfs
inline constexpr const char* kDirectoryIdLink = ".kmsfs-dir";  // in every directory: a link that holds its id
inline constexpr const char* kLongEntryPrefix = ".kmsfs-long.";  // entries with long names
inline constexpr const char* kLongNamePrefix = ".kmsfs-name.";   // their side links
inline constexpr const char* kTemporaryPrefix = ".kmsfs-tmp.";   // .kmsfs, and shared files, being made

// What stands in the backing directory for a name.
struct StoredName {
  std::string entry;        // at most 255 bytes
  std::string side_link;    // for a long name: the side link's name; empty otherwise
  std::string side_target;  // ... and its target; it is made before the entry
  DirectoryId directory{};  // which it was sealed for
};

// An entry whose name is in a side link.
bool is_long_entry(std::string_view entry);
std::string side_link_of(std::string_view long_entry);
// .kmsfs, .kmsfs-dir, side links: no entries of users, never shown and never looked up.
bool is_internal_entry(std::string_view entry);

class NameCipher {
 public:
  static Result<NameCipher> make(const SivKey& key);

  // ENAMETOOLONG past 255 bytes; kInvalid for what no entry can be called.
  Result<StoredName> encrypt(const DirectoryId& directory, std::string_view name) const;
  // `side_target`: that of the side link, for a long entry; ignored otherwise. kCorrupt for everything that
  // encrypt() would not have made.
  Result<std::string> decrypt(const DirectoryId& directory, std::string_view entry,
                              std::string_view side_target) const;

 private:
  explicit NameCipher(AesSiv cipher) : cipher_(std::move(cipher)) {}
  AesSiv cipher_;
};

}  // namespace kmsfs
