// Making files on a shared volume: a name appears together with a whole file, because another mount may open
// it at once.
#include <fcntl.h>

#include "fs/file_system_state.h"

namespace kmsfs {

// Network file systems have no files without names.
bool FileSystem::State::can_make_unnamed(int directory) {
  if (unnamed == Unnamed::kUnknown) {
    const auto tried = disk.open_at(directory, ".", O_RDWR | O_TMPFILE, 0600);
    const bool refused =
        !tried && (tried.error().system_errno == EOPNOTSUPP || tried.error().system_errno == EISDIR ||
                   tried.error().system_errno == EINVAL);
    if (!tried && !refused) return false;
    unnamed = tried ? Unnamed::kPossible : Unnamed::kImpossible;
  }
  return unnamed == Unnamed::kPossible;
}

Result<FileSystem::State::NewFile> FileSystem::State::make_whole_file(int directory, const std::string& name,
                                                                      mode_t mode, const Caller& caller,
                                                                      NewFileKey key) {
  const bool unnamed_first = can_make_unnamed(directory);
  const std::string temporary = unnamed_first ? "." : files.temporary_name();
  auto made = make_file(directory, temporary, unnamed_first ? O_TMPFILE : O_CREAT | O_EXCL, mode, caller,
                        std::move(key));
  if (!made) return made;
  auto named = made->file->mark_clean();
  if (named) named = disk.link_at(made->file->fd(), directory, name);
  if (!unnamed_first) (void)disk.unlink_at(directory, temporary, 0).ok();  // one left behind is never shown
  if (!named) return std::move(named).error();
  auto attributes = disk.stat(made->file->fd());
  if (!attributes) return std::move(attributes).error();
  made->backing = *attributes;
  return made;
}

}  // namespace kmsfs
