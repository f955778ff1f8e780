#include "fs/names.h"

#include <array>
#include <cerrno>

#include "core/kdf.h"

namespace kmsfs {

namespace {

constexpr std::size_t kMaxEntry = 255;  // NAME_MAX of every file system that can be a backing directory
constexpr std::size_t kMaxSealed = kMaxName + AesSiv::kOverhead;

bool can_name_an_entry(std::string_view name) {
  if (name.empty() || name.size() > kMaxName || name == "." || name == "..") return false;
  return name.find('/') == std::string_view::npos && name.find('\0') == std::string_view::npos;
}

// By hash, not by number: the entry of a long name can be computed without looking into the directory.
std::string hash_of(std::string_view full_form) { return to_base64url(sha256(as_bytes(full_form))); }

Error damaged(const char* text) { return error(Kind::kCorrupt, text); }

}  // namespace

bool is_long_entry(std::string_view entry) { return entry.starts_with(kLongEntryPrefix); }

std::string side_link_of(std::string_view long_entry) {
  assert(is_long_entry(long_entry) && "only long names have side links");
  return kLongNamePrefix + std::string(long_entry.substr(std::string_view(kLongEntryPrefix).size()));
}

bool is_internal_entry(std::string_view entry) {
  return entry == kVolumeDirectory || entry == kDirectoryIdLink || entry.starts_with(kLongNamePrefix) ||
         entry.starts_with(kTemporaryPrefix);
}

Result<NameCipher> NameCipher::make(const SivKey& key) {
  auto cipher = AesSiv::make(key);
  if (!cipher) return std::move(cipher).error();
  return NameCipher(std::move(*cipher));
}

Result<StoredName> NameCipher::encrypt(const DirectoryId& directory, std::string_view name) const {
  if (name.size() > kMaxName) return Error::from_errno(ENAMETOOLONG);
  if (!can_name_an_entry(name)) return error(Kind::kInvalid, "not a name that an entry can have");
  std::array<std::byte, kMaxSealed> buffer;
  const ByteSpan sealed = std::span(buffer).first(name.size() + AesSiv::kOverhead);
  KMSFS_TRY(cipher_.seal(directory.view(), as_bytes(name), sealed));

  StoredName stored;
  stored.directory = directory;
  stored.entry = to_base64url(sealed);
  if (stored.entry.size() <= kMaxEntry) return stored;
  stored.side_target = std::move(stored.entry);
  const std::string hash = hash_of(stored.side_target);
  stored.entry = kLongEntryPrefix + hash;
  stored.side_link = kLongNamePrefix + hash;
  return stored;
}

Result<std::string> NameCipher::decrypt(const DirectoryId& directory, std::string_view entry,
                                        std::string_view side_target) const {
  std::string_view full_form = entry;
  if (is_long_entry(entry)) {
    if (side_target.size() <= kMaxEntry)
      return damaged("the side link of a long name is missing or too short");
    if (side_target.size() > base64url_size(kMaxSealed))
      return damaged("the side link of a long name is too long");
    if (entry.substr(std::string_view(kLongEntryPrefix).size()) != hash_of(side_target)) {
      return damaged("the side link is not that of this name");
    }
    full_form = side_target;
  } else if (entry.size() > kMaxEntry) {
    return damaged("too long for an entry");
  }

  auto sealed = from_base64url(full_form);
  if (!sealed || sealed->size() <= AesSiv::kOverhead) return damaged("not a stored name");
  std::string name(sealed->size() - AesSiv::kOverhead, '\0');
  KMSFS_TRY(cipher_.open(directory.view(), *sealed, std::as_writable_bytes(std::span(name))));
  if (!can_name_an_entry(name)) return damaged("not a name that an entry can have");
  return name;
}

}  // namespace kmsfs
