// Where the disk keeps no order of names, ids and side links are made durable before anything that hangs on
// them is: docs/FORMAT.md, "Order of names".
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

}  // namespace kmsfs
