// What entries hang on, ids and side links, is there when it must be. Where the disk keeps no order of names
// they are made durable first (docs/FORMAT.md, "Order of names"); where other mounts remove directories they
// are looked at once more.
#include <fcntl.h>

#include "fs/file_system_state.h"

namespace kmsfs {

Result<void> FileSystem::State::sync_names(const Parent& in) const {
  auto& directory = *in.node->directory;
  const std::uint64_t made = directory.links_made;  // what is made meanwhile may not be in the sync
  auto fd = disk.open_at(in.fd(), ".", O_RDONLY | O_DIRECTORY);
  if (!fd) return std::move(fd).error();
  KMSFS_TRY(disk.sync(fd->get()));
  directory.links_durable = made;
  return {};
}

// From the top: a directory that became durable before the one above it would be reached by a damaged one.
Result<void> FileSystem::State::make_links_durable(NodePtr directory) {
  if (keeps_order) return {};
  std::vector<NodePtr> unknown;
  while (directory != nullptr && directory->directory->links_are_not_known_durable()) {
    unknown.push_back(directory);
    const auto place = nodes.place(*directory);
    directory = place ? place->parent : nullptr;
  }
  for (; !unknown.empty(); unknown.pop_back()) {
    auto descriptor = directory_descriptor(unknown.back());
    if (!descriptor) return std::move(descriptor).error();
    KMSFS_TRY(sync_names({unknown.back(), std::move(*descriptor)}));
  }
  return {};
}

Result<void> FileSystem::State::make_way_durable(const Node& node) {
  if (keeps_order) return {};
  const auto place = nodes.place(node);
  // Of a long name another mount may have made the link.
  const bool unknown = place && options.shared && Volume::is_long(place->stored_name);
  if (unknown) ++place->parent->directory->links_made;
  return place ? make_links_durable(place->parent) : Result<void>();
}

Result<bool> FileSystem::State::make_side_link(const Parent& in, const StoredName& name) const {
  auto made = files.make_side_link(in.fd(), name);
  if (made && *made) ++in.node->directory->links_made;
  return made;
}

// As above, for what existed before: the link is durable first.
Result<bool> FileSystem::State::make_side_link_first(const Parent& in, const StoredName& name) const {
  auto made = make_side_link(in, name);
  const bool sync =
      made && !keeps_order && !name.side_link.empty() && in.node->directory->links_are_not_known_durable();
  if (sync) KMSFS_TRY(sync_names(in));
  return made;
}

// On a shared volume the id and the side link may have gone with a removal that saw no entry yet. It fails
// now that there is one, but may die before it puts back what it took.
Result<void> FileSystem::State::confirm(const Parent& in, const StoredName& stored) const {
  if (!options.shared) return {};
  auto has_it = files.has_id(in.fd(), stored.directory);
  if (!has_it) return std::move(has_it).error();
  if (!*has_it) {  // another one took it for empty: the name must be sealed for its new id
    in.node->directory->id.with([](auto& kept) { kept.reset(); });
    return errno_error(ESTALE);
  }
  auto side_link = make_side_link(in, stored);
  return side_link ? Result<void>() : Result<void>(std::move(side_link).error());
}

Result<void> FileSystem::State::confirm_or_remove(const Parent& in, const StoredName& stored,
                                                  int flags) const {
  auto confirmed = confirm(in, stored);
  if (!confirmed) (void)disk.unlink_at(in.fd(), stored.entry, flags).ok();
  return confirmed;
}

}  // namespace kmsfs
