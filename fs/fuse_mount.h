// A Mounted is a FileSystem that programs see: mounted, served by worker threads, until it is unmounted.
//
//   auto mounted = Mounted::mount(file_system, options, logger);   // programs can use it from here on
//   ... announce success ...
//   mounted->run();                                                // until `umount`, stop(), or the kernel
//   ends it mounted.reset(); file_system.shut_down();
//
// Always: after run() no worker runs, no reply is under way, and the mountpoint is free.
// Threads: run() by one thread; stop() by another, also before and after run(), not from a signal handler;
// figures() by any.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "core/log.h"
#include "core/result.h"
#include "fs/file_system.h"
#include "fs/mount_point.h"

namespace kmsfs {

// The kernel's defaults for FUSE (1 % of memory for dirty pages, 128 KiB of read-ahead) are for servers that
// it does not trust. Only root may change them; without, everything works, slower.
void raise_kernel_limits(dev_t device);

struct MountFigures {
  std::string transport;  // "/dev/fuse"
  unsigned workers = 0;
  std::vector<std::string> negotiated;              // what kernel and we agreed upon: "writeback_cache", ...
  std::map<std::string, std::uint64_t> operations;  // requests so far by name: "lookup", "read", ...
  std::map<std::string, std::uint64_t>
      errors;  // replies so far by errno: "EIO", ...; a lookup's ENOENT is none
};

class Mounted {
 public:
  // The FileSystem must outlive the Mounted; its notifier is ours from here on. When this returns, INIT is
  // answered.
  static Result<std::unique_ptr<Mounted>> mount(FileSystem& file_system, const MountOptions& options,
                                                Logger logger);
  ~Mounted();  // stop(), then waits for the workers

  Result<void> run();
  // Writes out what the kernel still caches, then unmounts; lazily if busy, and then programs that hold files
  // get ENOTCONN.
  void stop();

  const std::string& mountpoint() const;
  MountFigures figures() const;

 private:
  struct State;
  explicit Mounted(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace kmsfs
