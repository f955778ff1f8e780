// What a small file holds goes to the kernel with the answer to the first open, which spares the read that
// would follow.
#include <fcntl.h>

#include "fs/file_system_state.h"

namespace kmsfs {

// Whoever opens it at the same time waits here until it is done: until then the kernel has no page of the
// file, so giving it one waits for nobody.
void FileSystem::opened(NodeId id, int flags, ByteSpan room, const std::function<void(ByteView)>& give) {
  State& s = *state_;
  auto node = s.regular(id);
  if (!node || (*node)->opened || s.options.shared) return;  // others change it: not ours to keep
  std::lock_guard lock(s.first_opening_locks[id % s.first_opening_locks.size()]);
  if ((*node)->opened) return;
  const bool only_reads = (flags & (O_ACCMODE | O_TRUNC)) == O_RDONLY;
  if (only_reads) s.give_content(*node, room, give);
  (*node)->opened = true;
}

void FileSystem::State::give_content(const NodePtr& node, ByteSpan room,
                                     const std::function<void(ByteView)>& give) {
  Inode& inode = content_of(node);
  // With the lock of the inode, so that no change of size comes between reading and giving. What is wrong
  // with the content, whoever reads it hears.
  const bool usable = inode.read_if_usable([&](const EncryptedFile& file) {
    if (file.size() == 0 || file.size() > room.size()) return;
    auto got = file.read_at(0, room);
    if (got && *got == file.size()) give(room.first(*got));
  });
  // A key that was withdrawn meanwhile was still good at that look: then the pages go again.
  if (!usable || inode.read_if_usable([](const EncryptedFile&) {})) return;
  auto invalidate = notifier.with([](const Notifier& told) { return told.invalidate_node; });
  if (invalidate) background.add([invalidate = std::move(invalidate), id = node->id] { invalidate(id); });
}

}  // namespace kmsfs
