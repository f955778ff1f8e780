// A volume in a directory, opened as a mount would, without FUSE.
// Threads: one.
#pragma once

#include <unistd.h>

#include <memory>
#include <string>

#include "fs/file_system.h"

namespace kmsfs::crash {

class OpenVolume {
 public:
  OpenVolume(Disk& disk, const std::string& backing, Kms& kms, const Clock& clock, bool recover) {
    UniqueFd fd(::open(backing.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    auto volume = Volume::open(disk, fd.get(), kms);
    if (!volume) {
      fail(volume.error());
      return;
    }
    volume_ = std::move(*volume);
    KeyCache::Options cache_options;
    cache_options.maintenance_thread = false;
    auto keys = KeyCache::make(kms, clock, make_null_logger(), cache_options);
    if (!keys) {
      fail(keys.error());
      return;
    }
    keys_ = std::move(*keys);
    FileSystem::Options options;
    options.recover = recover;
    options.maintenance_thread = false;
    auto file_system =
        FileSystem::make(disk, std::move(fd), *volume_, *keys_, clock, make_null_logger(), options);
    if (!file_system) {
      fail(file_system.error());
      return;
    }
    file_system_ = std::move(*file_system);
    if (auto recovered = file_system_->recover_all(); recover && !recovered) fail(recovered.error());
  }
  ~OpenVolume() {
    if (file_system_) file_system_->shut_down();
  }

  const std::string& failure() const { return failure_; }
  FileSystem& file_system() { return *file_system_; }

 private:
  void fail(const Error& error) { failure_ = "the volume does not open: " + error.text; }

  std::unique_ptr<Volume> volume_;
  std::unique_ptr<KeyCache> keys_;
  std::unique_ptr<FileSystem> file_system_;
  std::string failure_;
};

}  // namespace kmsfs::crash
