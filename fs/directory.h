// What kmsfs itself keeps in a backing directory: its id, and the full forms of long names. Both are targets
// of symbolic links, which are there whole or not at all and have no content to sync.
//
// Order that makes a crash harmless: a side link comes before its entry, and goes after it; an id comes after
// its directory, and goes when nothing else stands there. So a directory with neither id nor entries is an
// empty one, and gets an id when it is needed. Threads: any; who changes entries holds the directory's lock.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "core/ids.h"
#include "fs/disk.h"
#include "fs/volume.h"

namespace kmsfs {

struct RawEntry {
  std::string stored_name;
  ino_t inode = 0;
  mode_t type = 0;          // S_IFMT bits; 0: the file system does not say
  std::uint64_t place = 0;  // in listings: fs/file_system_listing.cc
};

class DirectoryFiles {
 public:
  // `shared`: other mounts make directories and long names too, so nothing is taken for left behind.
  DirectoryFiles(Disk& disk, const Volume& volume, bool shared = false);

  // All entries, ours included, without "." and "..". `directory` may be an O_PATH descriptor.
  Result<std::vector<RawEntry>> list(int directory) const;

  // kNotFound: it has none, as nothing stands in it. kCorrupt: it has lost it, or has a wrong one.
  Result<DirectoryId> read_id(int directory) const;
  // For one that has none: a new one, or that which somebody else made meanwhile.
  Result<DirectoryId> make_id(int directory) const;

  // True if it has this id, or lost it to a removal that will fail, and has it again.
  Result<bool> has_id(int directory, const DirectoryId& id) const;

  // The name that an entry decrypts to; kCorrupt if it is no name of this directory.
  Result<std::string> plain_name(int directory, const DirectoryId& id, const std::string& stored_name) const;
  // True if it was made, false if it stood there. Nothing is made for short names.
  Result<bool> make_side_link(int directory, const StoredName& name) const;
  void remove_side_link(int directory, const std::string& stored_name) const;

  // For what gets its name later.
  static std::string temporary_name();

  // Takes what is ours out of a directory in which nothing else stands, and does `go`: rmdir, or a rename
  // over it. If that fails, the directory is as it was. kSystem/ENOTEMPTY: something stands in it. `known`:
  // its id, if somebody read it.
  Result<void> vacate(int directory, const std::optional<DirectoryId>& known,
                      const std::function<Result<void>()>& go) const;

 private:
  Disk& disk_;
  const Volume& volume_;
  const bool shared_;
  const bool is_root_;  // whom no mode keeps out
};

}  // namespace kmsfs
