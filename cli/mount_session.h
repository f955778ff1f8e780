// One mounted volume from start to end: builds the parts, in order, and takes them down in reverse.
//
// Always: nothing on disk changes before every check has passed and the volume's lock is held; whatever
// start() has built is undone if it fails. Threads: start() and run() by the main thread; stop() by another.
#pragma once

#include <atomic>
#include <chrono>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "cli/control_server.h"
#include "cli/exit_codes.h"
#include "cli/mount_options.h"
#include "cli/mount_record.h"
#include "cli/mountpoint.h"
#include "core/clock.h"
#include "core/log.h"
#include "core/unique_fd.h"
#include "fs/disk.h"
#include "fs/file_system.h"
#include "fs/fuse_mount.h"
#include "fs/volume.h"
#include "keycache/key_cache.h"
#include "kmsclient/kms.h"

namespace kmsfs::cli {

// A directory that lives no longer than its owner.
class TemporaryDirectory {
 public:
  TemporaryDirectory() = default;
  explicit TemporaryDirectory(std::string path) : path_(std::move(path)) {}
  TemporaryDirectory(TemporaryDirectory&& other) noexcept : path_(std::exchange(other.path_, {})) {}
  TemporaryDirectory& operator=(TemporaryDirectory&& other) noexcept {
    std::swap(path_, other.path_);
    return *this;
  }
  ~TemporaryDirectory();

 private:
  std::string path_;
};

class MountSession {
 public:
  MountSession(MountRequest request, Logger logger);
  MountSession(const MountSession&) = delete;
  MountSession& operator=(const MountSession&) = delete;
  ~MountSession();

  Outcome start();  // programs can use the mount once this has returned nothing
  Outcome run();    // until it is unmounted, by whomever; then everything is written and closed
  void stop();      // unmounts; after start()
  // What the KMS refused, if the mount is read-only for that reason; otherwise empty.
  const std::string& read_only_because() const { return read_only_because_; }

 private:
  Outcome check();
  Outcome open_volume();
  Outcome make_file_system();
  void read_only_unless_keys_can_be_made();
  Outcome mount();
  Outcome failed(const Error& error) const;
  Outcome failed(ExitCode code, const Error& error) const;

  Result<void> lock_volume();
  Result<void> start_control();
  nlohmann::json status() const;
  nlohmann::json revoke() const;
  Result<nlohmann::json> information(std::uint64_t inode) const;

  MountRequest request_;
  const Logger logger_;
  const SystemClock clock_;
  const BootTime began_ = clock_.boot_time();
  RealDisk disk_;

  UniqueFd backing_;
  std::string backing_path_;
  VolumeParameters parameters_;
  std::optional<Mountpoint> mountpoint_;
  Guard guard_ = Guard::kNone;
  UniqueFd volume_lock_;
  std::optional<MountRecord> record_;
  TemporaryDirectory index_;

  std::unique_ptr<Kms> kms_;
  std::string principal_;
  std::string read_only_because_;  // empty: it was asked for, or is not
  std::unique_ptr<KeyCache> keys_;
  std::unique_ptr<Volume> volume_;
  std::unique_ptr<FileSystem> files_;
  std::unique_ptr<Mounted> mounted_;
  std::unique_ptr<ControlServer> control_;
};

}  // namespace kmsfs::cli
