#include "fs/directory.h"

#include <dirent.h>
#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <optional>
#include <thread>

namespace kmsfs {
namespace {

constexpr std::size_t kListingBuffer = 32768;

mode_t type_of(unsigned char type) { return type == DT_UNKNOWN ? 0 : static_cast<mode_t>(DTTOIF(type)); }

// While it lives, the owner may read and change the directory, whatever its mode says: what is ours in it is
// our business.
class OwnerAccess {
 public:
  OwnerAccess(Disk& disk, int directory, bool is_root) : disk_(disk), directory_(directory) {
    if (is_root) return;
    auto attributes = disk.stat(directory);
    if (!attributes || (attributes->st_mode & S_IRWXU) == S_IRWXU) return;
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

// `visit(name, inode, type)` for each entry but "." and "..", until it returns false.
template <typename Visit>
Result<void> for_each_entry(Disk& disk, int directory, Visit visit) {
  auto fd = disk.open_at(directory, ".", O_RDONLY | O_DIRECTORY);
  if (!fd) return std::move(fd).error();
  alignas(dirent64) std::array<char, kListingBuffer> buffer;
  for (;;) {
    const ssize_t size = ::getdents64(fd->get(), buffer.data(), buffer.size());
    if (size < 0) return Error::from_errno(errno);
    if (size == 0) return {};
    for (ssize_t at = 0; at < size;) {
      const auto* entry = reinterpret_cast<const dirent64*>(buffer.data() + at);
      at += entry->d_reclen;
      const std::string_view name(entry->d_name);
      if (name == "." || name == "..") continue;
      if (!visit(name, entry->d_ino, type_of(entry->d_type))) return {};
    }
  }
}

// The names of what is ours; nothing if something else stands there.
Result<std::optional<std::vector<std::string>>> only_ours(Disk& disk, int directory) {
  std::optional<std::vector<std::string>> ours(std::in_place);
  KMSFS_TRY(for_each_entry(disk, directory, [&](std::string_view name, ino_t, mode_t) {
    if (!Volume::is_internal(name)) {
      ours.reset();
      return false;
    }
    ours->emplace_back(name);
    return true;
  }));
  return ours;
}

}  // namespace

DirectoryFiles::DirectoryFiles(Disk& disk, const Volume& volume, bool shared)
    : disk_(disk), volume_(volume), shared_(shared), is_root_(::geteuid() == 0) {}

Result<std::vector<RawEntry>> DirectoryFiles::list(int directory) const {
  std::vector<RawEntry> entries;
  KMSFS_TRY(for_each_entry(disk_, directory, [&](std::string_view name, ino_t inode, mode_t type) {
    entries.push_back({std::string(name), inode, type});
    return true;
  }));
  return entries;
}

Result<DirectoryId> DirectoryFiles::read_id(int directory) const {
  auto target = disk_.read_link_at(directory, kDirectoryIdLink);
  if (target) return volume_.open_directory_id(*target);
  if (target.error().system_errno == EINVAL) return error(Kind::kCorrupt, "the .kmsfs-dir is not a link");
  if (target.error().kind != Kind::kNotFound) return std::move(target).error();
  const OwnerAccess access(disk_, directory, is_root_);
  auto ours = only_ours(disk_, directory);
  if (!ours) return std::move(ours).error();
  if (*ours) return error(Kind::kNotFound, "a directory has no .kmsfs-dir yet");
  // Somebody may have made the id, and an entry, between the two looks.
  target = disk_.read_link_at(directory, kDirectoryIdLink);
  // Another mount's removal, which fails because of the entries, puts back what it took.
  constexpr int kLooks = 100;
  for (int look = 0; shared_ && look < kLooks && !target && target.error().kind == Kind::kNotFound; ++look) {
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
    target = disk_.read_link_at(directory, kDirectoryIdLink);
  }
  if (target) return volume_.open_directory_id(*target);
  return error(Kind::kCorrupt, "a directory has lost its .kmsfs-dir");
}

Result<DirectoryId> DirectoryFiles::make_id(int directory) const {
  const OwnerAccess access(disk_, directory, is_root_);
  const DirectoryId id = DirectoryId::random();
  auto made = disk_.symlink_at(volume_.seal_directory_id(id), directory, kDirectoryIdLink);
  if (made) return id;
  if (made.error().kind != Kind::kExists) return std::move(made).error();
  return read_id(directory);
}

Result<bool> DirectoryFiles::has_id(int directory, const DirectoryId& id) const {
  const std::string expected = volume_.seal_directory_id(id);
  auto target = disk_.read_link_at(directory, kDirectoryIdLink);
  if (!target && target.error().kind == Kind::kNotFound) {
    if (disk_.symlink_at(expected, directory, kDirectoryIdLink)) return true;
    target = disk_.read_link_at(directory, kDirectoryIdLink);
  }
  if (!target) return std::move(target).error();
  return *target == expected;
}

Result<std::string> DirectoryFiles::plain_name(int directory, const DirectoryId& id,
                                               const std::string& stored_name) const {
  if (!Volume::is_long(stored_name)) return volume_.decrypt_name(id, stored_name, {});
  auto target = disk_.read_link_at(directory, Volume::side_link_of(stored_name));
  if (!target) return error(Kind::kCorrupt, "the side link of a long name cannot be read");
  return volume_.decrypt_name(id, stored_name, *target);
}

Result<bool> DirectoryFiles::make_side_link(int directory, const StoredName& name) const {
  if (name.side_link.empty()) return false;
  auto made = disk_.symlink_at(name.side_target, directory, name.side_link);
  if (!made && made.error().kind == Kind::kExists) {
    auto there = disk_.read_link_at(directory, name.side_link);
    if (there && *there == name.side_target) return false;
    KMSFS_TRY(disk_.unlink_at(directory, name.side_link, 0));  // damaged
    made = disk_.symlink_at(name.side_target, directory, name.side_link);
  }
  if (!made) return std::move(made).error();
  return true;
}

void DirectoryFiles::remove_side_link(int directory, const std::string& stored_name) const {
  // One that stays behind is an orphan, which harms nothing and goes with its directory. Another mount may be
  // giving the name to another file right now, which needs it.
  if (shared_) return;
  if (Volume::is_long(stored_name))
    (void)disk_.unlink_at(directory, Volume::side_link_of(stored_name), 0).ok();
}

std::string DirectoryFiles::temporary_name() {
  return kTemporaryPrefix + Id<struct TemporaryTag>::random().hex();
}

Result<void> DirectoryFiles::vacate(int directory, const std::optional<DirectoryId>& known,
                                    const std::function<Result<void>()>& go) const {
  const OwnerAccess access(disk_, directory, is_root_);
  auto ours = only_ours(disk_, directory);
  if (!ours) return std::move(ours).error();
  if (!*ours) return Error::from_errno(ENOTEMPTY);
  const auto target = known ? Result<std::string>(volume_.seal_directory_id(*known))
                            : disk_.read_link_at(directory, kDirectoryIdLink);
  Result<void> done;
  for (const std::string& name : **ours) {
    if (done) done = disk_.unlink_at(directory, name, 0);
  }
  if (!done && done.error().system_errno == EISDIR) done = Error::from_errno(ENOTEMPTY);  // planted
  if (done) done = go();
  // If something came to stand in it meanwhile, that needs the id.
  if (!done && target) (void)disk_.symlink_at(*target, directory, kDirectoryIdLink).ok();
  return done;
}

}  // namespace kmsfs
