#include "fs/directory.h"

#include <dirent.h>
#include <fcntl.h>

#include <cerrno>
#include <memory>

namespace kmsfs {
namespace {

constexpr std::size_t kSmallFileLimit = 4096;  // ids have under 100 bytes, side files under 400

using DirectoryStream = std::unique_ptr<DIR, int (*)(DIR*)>;

bool starts_with(std::string_view text, std::string_view prefix) {
  return text.substr(0, prefix.size()) == prefix;
}

mode_t type_of(unsigned char type) { return type == DT_UNKNOWN ? 0 : static_cast<mode_t>(DTTOIF(type)); }

// While it lives, the owner may read and change the directory, whatever its mode says: our files in it are
// our business.
class OwnerAccess {
 public:
  OwnerAccess(Disk& disk, int directory) : disk_(disk), directory_(directory) {
    auto attributes = disk.stat(directory);
    if (!attributes || (attributes->st_mode & S_IRWXU) == S_IRWXU || ::geteuid() == 0) return;
    mode_ = attributes->st_mode & 07777;
    widened_ = disk.change_mode(directory, mode_ | S_IRWXU).ok();
  }
  ~OwnerAccess() {
    if (widened_) (void)disk_.change_mode(directory_, mode_).ok();
  }
  OwnerAccess(const OwnerAccess&) = delete;
  OwnerAccess& operator=(const OwnerAccess&) = delete;

 private:
  Disk& disk_;
  const int directory_;
  mode_t mode_ = 0;
  bool widened_ = false;
};

}  // namespace

DirectoryFiles::DirectoryFiles(Disk& disk, const Volume& volume)
    : disk_(disk),
      volume_(volume),
      temporary_prefix_(kTemporaryPrefix + Id<struct MountTag>::random().hex().substr(0, 16) + ".") {}

Result<std::vector<RawEntry>> DirectoryFiles::list(int directory) const {
  auto fd = disk_.open_at(directory, ".", O_RDONLY | O_DIRECTORY);
  if (!fd) return std::move(fd).error();
  const DirectoryStream stream(::fdopendir(fd->get()), &::closedir);
  if (!stream) return Error::from_errno(errno);
  (void)fd->release();
  std::vector<RawEntry> entries;
  for (;;) {
    errno = 0;
    const dirent* entry = ::readdir(stream.get());
    if (entry == nullptr) break;
    const std::string_view name(entry->d_name);
    if (name == "." || name == "..") continue;
    entries.push_back({std::string(name), entry->d_ino, type_of(entry->d_type)});
  }
  if (errno != 0) return Error::from_errno(errno);
  return entries;
}

Result<bool> DirectoryFiles::is_empty(int directory) const {
  const OwnerAccess access(disk_, directory);
  auto entries = list(directory);
  if (!entries) return std::move(entries).error();
  for (const RawEntry& entry : *entries) {
    if (starts_with(entry.stored_name, kTemporaryPrefix)) remove_leftover(directory, entry.stored_name);
    if (!Volume::is_internal(entry.stored_name)) return false;
  }
  return true;
}

Result<Bytes> DirectoryFiles::read_small_file(int directory, const std::string& name) const {
  auto fd = disk_.open_at(directory, name, O_RDONLY);
  if (!fd) return std::move(fd).error();
  auto attributes = disk_.stat(fd->get());
  if (!attributes) return std::move(attributes).error();
  if (!S_ISREG(attributes->st_mode)) return error(Kind::kCorrupt, name + " is not a file");
  Bytes content(kSmallFileLimit);
  auto size = disk_.read_at(fd->get(), 0, content);
  if (!size) return std::move(size).error();
  content.resize(*size);
  return content;
}

Result<void> DirectoryFiles::write_small_file(int directory, const std::string& name,
                                              ByteView content) const {
  auto fd = disk_.open_at(directory, name, O_WRONLY | O_CREAT | O_EXCL, 0444);
  if (!fd && fd.error().kind == Kind::kExists) {
    KMSFS_TRY(disk_.unlink_at(directory, name, 0));
    fd = disk_.open_at(directory, name, O_WRONLY | O_CREAT | O_EXCL, 0444);
  }
  if (!fd) return std::move(fd).error();
  KMSFS_TRY(disk_.write_at(fd->get(), 0, content));
  KMSFS_TRY(disk_.sync(fd->get()));
  auto entries = disk_.open_at(directory, ".", O_RDONLY | O_DIRECTORY);
  if (!entries) return std::move(entries).error();
  return disk_.sync(entries->get());
}

Result<DirectoryId> DirectoryFiles::read_id(int directory) const {
  auto content = read_small_file(directory, kDirectoryIdFile);
  if (!content) {
    if (content.error().kind != Kind::kNotFound && content.error().system_errno != ELOOP &&
        content.error().system_errno != ENXIO) {
      return std::move(content).error();
    }
    return error(Kind::kCorrupt, "a directory has lost its .kmsfs-dir");
  }
  return volume_.open_directory_id(*content);
}

Result<void> DirectoryFiles::write_id(int directory, const DirectoryId& id) const {
  return write_small_file(directory, kDirectoryIdFile, volume_.seal_directory_id(id));
}

Result<std::string> DirectoryFiles::plain_name(int directory, const DirectoryId& id,
                                               const std::string& stored_name) const {
  if (!Volume::is_long(stored_name)) return volume_.decrypt_name(id, stored_name, {});
  auto side = read_small_file(directory, Volume::side_file_of(stored_name));
  if (!side) return error(Kind::kCorrupt, "the side file of a long name cannot be read");
  return volume_.decrypt_name(id, stored_name, as_text(*side));
}

Result<bool> DirectoryFiles::make_side_file(int directory, const StoredName& name) const {
  if (name.side_file.empty()) return false;
  // One without an entry may have been left by a crash, and only partly written.
  if (auto there = read_small_file(directory, name.side_file); there && as_text(*there) == name.side_content)
    return false;
  KMSFS_TRY(write_small_file(directory, name.side_file, as_bytes(name.side_content)));
  return true;
}

void DirectoryFiles::remove_side_file(int directory, const std::string& stored_name) const {
  // One that stays behind is an orphan, which harms nothing and goes with its directory.
  if (Volume::is_long(stored_name))
    (void)disk_.unlink_at(directory, Volume::side_file_of(stored_name), 0).ok();
}

std::string DirectoryFiles::temporary_name() const {
  return temporary_prefix_ + Id<struct TemporaryTag>::random().hex().substr(0, 16);
}

Result<void> DirectoryFiles::empty(int directory) const {
  auto entries = list(directory);
  if (!entries) return std::move(entries).error();
  for (const RawEntry& entry : *entries) {
    if (!Volume::is_internal(entry.stored_name)) return Error::from_errno(ENOTEMPTY);
  }
  for (const RawEntry& entry : *entries) {
    if (entry.stored_name == kDirectoryIdFile) continue;
    const bool temporary = starts_with(entry.stored_name, kTemporaryPrefix);
    KMSFS_TRY(temporary ? remove(directory, entry.stored_name)
                        : disk_.unlink_at(directory, entry.stored_name, 0));
  }
  auto gone = disk_.unlink_at(directory, kDirectoryIdFile, 0);
  if (!gone && gone.error().kind != Kind::kNotFound) return gone;
  return {};
}

Result<void> DirectoryFiles::remove(int parent, const std::string& stored_name) const {
  auto directory = disk_.open_at(parent, stored_name, O_PATH | O_DIRECTORY);
  if (!directory) return std::move(directory).error();
  auto is_ours = is_empty(directory->get());
  if (!is_ours) return std::move(is_ours).error();
  if (!*is_ours) return Error::from_errno(ENOTEMPTY);

  std::string name = stored_name;
  if (!starts_with(stored_name, kTemporaryPrefix)) {
    name = temporary_name();
    KMSFS_TRY(disk_.rename_at(parent, stored_name, parent, name, RENAME_NOREPLACE));
  }
  const OwnerAccess access(disk_, directory->get());
  auto id = read_id(directory->get());
  auto removed = empty(directory->get());
  if (removed) removed = disk_.unlink_at(parent, name, AT_REMOVEDIR);
  if (removed || name == stored_name) return removed;
  // Something stands in it that was not there before: nothing may be lost, so it comes back as it was.
  if (id) KMSFS_TRY(write_id(directory->get(), *id));
  KMSFS_TRY(disk_.rename_at(parent, name, parent, stored_name, RENAME_NOREPLACE));
  return removed;
}

void DirectoryFiles::remove_leftover(int parent, const std::string& stored_name) const {
  if (!starts_with(stored_name, kTemporaryPrefix) || starts_with(stored_name, temporary_prefix_)) return;
  (void)remove(parent, stored_name).ok();  // found again, and tried again, at the next listing
}

}  // namespace kmsfs
