// What kmsfs itself keeps in a backing directory: the file with its id, side files of long names, temporary
// directories.
//
// Order that makes a crash harmless: an id is durable before its directory has a name; a side file is durable
// before its entry, and goes after it; a directory that is removed first gets a temporary name, and then
// loses its files, the id last. Threads: any; who changes entries holds the directory's lock.
#pragma once

#include <string>
#include <vector>

#include "core/ids.h"
#include "fs/disk.h"
#include "fs/volume.h"

namespace kmsfs {

struct RawEntry {
  std::string stored_name;
  ino_t inode = 0;
  mode_t type = 0;  // S_IFMT bits; 0: the file system does not say
};

class DirectoryFiles {
 public:
  DirectoryFiles(Disk& disk, const Volume& volume);

  // All entries, ours included, without "." and "..". `directory` may be an O_PATH descriptor.
  Result<std::vector<RawEntry>> list(int directory) const;
  // Only what is ours stands in it; leftovers of directories are removed on the way.
  Result<bool> is_empty(int directory) const;

  Result<DirectoryId> read_id(int directory) const;
  Result<void> write_id(int directory, const DirectoryId& id) const;  // durable; replaces what was there

  // The name that an entry decrypts to; kCorrupt if it is no name of this directory.
  Result<std::string> plain_name(int directory, const DirectoryId& id, const std::string& stored_name) const;
  // True if it was made, false if it stood there. Nothing is made for short names.
  Result<bool> make_side_file(int directory, const StoredName& name) const;
  void remove_side_file(int directory, const std::string& stored_name) const;

  std::string temporary_name() const;
  // Takes the directory at `stored_name` away, with what is ours in it. kSystem/ENOTEMPTY: it stands as it
  // stood.
  Result<void> remove(int parent, const std::string& stored_name) const;
  // A temporary directory that a crash left. Those of this mount, and any with something in it, are left
  // alone.
  void remove_leftover(int parent, const std::string& stored_name) const;

 private:
  Result<Bytes> read_small_file(int directory, const std::string& name) const;
  Result<void> write_small_file(int directory, const std::string& name, ByteView content) const;
  Result<void> empty(int directory) const;

  Disk& disk_;
  const Volume& volume_;
  const std::string temporary_prefix_;  // with a token of this mount
};

}  // namespace kmsfs
