#include "fs/fuse_notifier.h"

namespace kmsfs {
namespace {

template <typename T>
ByteView bytes_of(const T& value) {
  return std::as_bytes(std::span<const T, 1>(&value, 1));
}

}  // namespace

void FuseNotifier::invalidate_node(std::uint64_t node) {
  fuse_notify_inval_inode_out out{};
  out.ino = node;  // offset 0 and length 0: all of it
  send(FUSE_NOTIFY_INVAL_INODE, {bytes_of(out)});
}

void FuseNotifier::forget_attributes(std::uint64_t node) {
  fuse_notify_inval_inode_out out{};
  out.ino = node;
  out.off = -1;  // before the first page: none of them
  send(FUSE_NOTIFY_INVAL_INODE, {bytes_of(out)});
}

void FuseNotifier::expire_entry(std::uint64_t parent, const std::string& name) {
  fuse_notify_inval_entry_out out{};
  out.parent = parent;
  out.namelen = static_cast<std::uint32_t>(name.size());
  send(FUSE_NOTIFY_INVAL_ENTRY,
       {bytes_of(out), ByteView(as_bytes(std::string_view(name.c_str(), name.size() + 1)))});
}

void FuseNotifier::store(std::uint64_t node, ByteView content) {
  fuse_notify_store_out out{};
  out.nodeid = node;
  out.size = static_cast<std::uint32_t>(content.size());
  send(FUSE_NOTIFY_STORE, {bytes_of(out), content});
}

// An answer of ENOENT says that the kernel does not know the node or the name, which is what was wanted.
void FuseNotifier::send(int code, const std::vector<ByteView>& payload) {
  FuseTransport* transport = nullptr;
  {
    std::lock_guard lock(mutex_);
    if (transport_ == nullptr) return;
    transport = transport_;
    ++under_way_;
  }
  static_cast<void>(transport->notify(code, payload));
  std::lock_guard lock(mutex_);
  --under_way_;
  idle_.notify_all();
}

void FuseNotifier::close() {
  std::unique_lock lock(mutex_);
  transport_ = nullptr;
  idle_.wait(lock, [&] { return under_way_ == 0; });
}

}  // namespace kmsfs
