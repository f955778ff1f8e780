// The FuseNotifier tells the kernel what to forget.
//
// It outlives the mount in whoever still holds it: after close() notifications are silently dropped, and
// close() returns only when none is under way. Threads: any, but, where nothing else is said, never a
// handler's: the kernel may wait for requests that it makes meanwhile.
#pragma once

#include <condition_variable>
#include <mutex>
#include <string>

#include "fs/fuse_transport.h"

namespace kmsfs {

class FuseNotifier {
 public:
  explicit FuseNotifier(FuseTransport& transport) : transport_(&transport) {}

  // Has dirty pages written, then drops pages and attributes.
  void invalidate_node(std::uint64_t node);
  // Drops the attributes alone. A handler may call this one: it waits for no request.
  void forget_attributes(std::uint64_t node);
  // Lets a name expire: the kernel asks again when somebody uses it, and forgets the node if nobody does.
  void expire_entry(std::uint64_t parent, const std::string& name);

  // The content of a file that the kernel has no page of yet; that is why a handler may call this one.
  void store(std::uint64_t node, ByteView content);

  void close();

 private:
  void send(int code, const std::vector<ByteView>& payload);

  std::mutex mutex_;
  std::condition_variable idle_;
  FuseTransport* transport_;  // nullptr after close()
  std::size_t under_way_ = 0;
};

}  // namespace kmsfs
