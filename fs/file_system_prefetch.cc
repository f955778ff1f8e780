// Opening files far from the KMS: the keys of those that come next are asked for ahead.
#include <fcntl.h>
#include <sys/stat.h>

#include <numeric>

#include "fs/file_system_state.h"

namespace kmsfs {

KeyPrefetch::Source FileSystem::State::prefetch_source() {
  return {
      [this](const NodePtr& directory) { return files_to_open(directory); },
      [this](const NodePtr& directory, const std::vector<KeyPrefetch::File>& found) {
        return order_by_name(directory, found);
      },
      [this](const NodePtr& directory, const KeyPrefetch::File& file) { return ask_ahead(directory, file); }};
}

Result<void> FileSystem::State::open_inode(const NodePtr& node, bool writable) {
  Inode& inode = content_of(node);
  if (keys.kms_is_near()) return inode.open(opener(node), writable);
  if (prefetch.is_on()) {
    if (auto place = nodes.place(*node)) prefetch.opened(std::move(place->parent), node->inode);
  }
  const BootTime began = clock.boot_time();
  auto opened = inode.open(opener(node), writable);
  if (!prefetch.is_on()) prefetch.answered_after(clock.boot_time() - began);
  return opened;
}

std::vector<KeyPrefetch::File> FileSystem::State::files_to_open(const NodePtr& directory) {
  auto descriptor = directory_descriptor(directory);
  if (!descriptor) return {};
  auto entries = list_by_place((*descriptor)->get());
  if (!entries) return {};
  std::vector<KeyPrefetch::File> found;
  for (RawEntry& entry : *entries) {
    const bool regular = entry.type == S_IFREG || entry.type == 0;
    if (regular) found.push_back({std::move(entry.stored_name), entry.inode});
  }
  return found;
}

std::vector<std::size_t> FileSystem::State::order_by_name(const NodePtr& directory,
                                                          const std::vector<KeyPrefetch::File>& found) {
  auto descriptor = directory_descriptor(directory);
  if (!descriptor) return {};
  auto id = directory_id({directory, *descriptor});
  if (!id) return {};
  std::vector<std::string> names;
  names.reserve(found.size());
  for (const KeyPrefetch::File& file : found) {
    auto name = files.plain_name((*descriptor)->get(), *id, file.stored_name);
    names.push_back(name ? std::move(*name) : name_of_unreadable(file.stored_name));
  }
  std::vector<std::size_t> order(found.size());
  std::iota(order.begin(), order.end(), 0);
  std::sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return names[a] < names[b]; });
  return order;
}

// What is no regular file any more is not opened: it may be a device, planted from below.
KeyCache::Ahead FileSystem::State::ask_ahead(const NodePtr& directory, const KeyPrefetch::File& file) {
  constexpr auto kNothingToAsk = KeyCache::Ahead::kHeld;
  auto descriptor = directory_descriptor(directory);
  if (!descriptor) return kNothingToAsk;
  auto path = disk.open_at((*descriptor)->get(), file.stored_name, O_PATH);
  if (!path) return kNothingToAsk;
  auto attributes = disk.stat(path->get());
  if (!attributes || !S_ISREG(attributes->st_mode) || attributes->st_ino != file.inode) return kNothingToAsk;
  auto fd = disk.reopen(path->get(), O_RDONLY);
  if (!fd) return kNothingToAsk;
  auto header = read_file_header(disk, fd->get(), volume.geometry());
  if (!header || !*header) return kNothingToAsk;  // whoever opens it hears why
  return ask_ahead_for_file(keys, volume, **header);
}

}  // namespace kmsfs
