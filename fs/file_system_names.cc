// Names: between what programs say and what stands in the backing directory, unreadable entries included.
#include <sys/stat.h>

#include "core/kdf.h"
#include "fs/file_system_state.h"

namespace kmsfs {

Result<DirectoryId> FileSystem::State::directory_id(const Parent& parent) const {
  auto& known = parent.node->directory->id;
  // Another mount may remove a directory, or fail to and give it another id.
  if (!options.shared) {
    if (auto id = known.with([](auto& kept) { return kept; })) return *id;
  }
  auto id = files.read_id(parent.fd());
  if (!id && id.error().kind == Kind::kNotFound) {
    if (options.read_only) return errno_error(ENOENT);
    id = files.make_id(parent.fd());
    if (id) ++parent.node->directory->links_made;
  }
  if (id) known.with([&](auto& kept) { kept = *id; });
  return id;
}

Result<StoredName> FileSystem::State::name_to_make(const Parent& parent, std::string_view name) const {
  auto id = directory_id(parent);
  if (!id) return std::move(id).error();
  return volume.encrypt_name(*id, name);
}

Result<StoredName> FileSystem::State::name_to_find(const Parent& parent, std::string_view name) const {
  auto stored = name_to_make(parent, name);
  if (!name.starts_with(kUnreadablePrefix)) return stored;
  if (stored && disk.stat_at(parent.fd(), stored->entry)) return stored;
  auto raw = find_unreadable(parent, name);
  if (!raw) return std::move(raw).error();
  return StoredName{*raw, {}, {}};
}

// A name that cannot be decrypted still needs one that programs can say, to look at the entry and to remove
// it.
std::string FileSystem::State::name_of_unreadable(const std::string& stored_name) {
  std::string name(kUnreadablePrefix);
  if (name.size() + stored_name.size() <= kMaxName) return name + stored_name;
  return name + to_hex(ByteView(sha256(as_bytes(stored_name))).first(16));
}

Result<std::string> FileSystem::State::find_unreadable(const Parent& parent, std::string_view name) const {
  auto entries = files.list(parent.fd());
  if (!entries) return std::move(entries).error();
  for (const RawEntry& entry : *entries) {
    if (Volume::is_internal(entry.stored_name) || name_of_unreadable(entry.stored_name) != name) continue;
    if (is_unreadable(parent, entry.stored_name)) return entry.stored_name;
  }
  return errno_error(ENOENT);
}

bool FileSystem::State::is_unreadable(const Parent& parent, const std::string& stored_name) const {
  auto id = directory_id(parent);
  return !id || !files.plain_name(parent.fd(), *id, stored_name);
}

Result<Descriptor> FileSystem::State::descriptor_instead_of(const Place& place, int parent_fd,
                                                            const Node& node) const {
  if (nodes.place(node) != place) return Descriptor();
  if (Descriptor kept = nodes.descriptor(node)) return kept;
  auto fd = open_same(parent_fd, place.stored_name, node, 0);
  if (!fd) return std::move(fd).error();
  return Descriptor(std::make_shared<const UniqueFd>(std::move(*fd)));
}

}  // namespace kmsfs
