// A volume on a KMS in memory, mounted in this process: what `kmsfs mount` makes, without the command.
//
// Everything lives in one temporary directory that goes with the object. Threads: one test at a time;
// programs any.
#pragma once

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <thread>

#include "core/clock.h"
#include "fs/disk.h"
#include "fs/file_system.h"
#include "fs/fuse_mount.h"
#include "fs/volume.h"
#include "keycache/key_cache.h"
#include "tests/support/fake_kms.h"
#include "tests/support/mount_watchdog.h"
#include "tests/support/shell.h"

namespace kmsfs::testing {

// What a test wants otherwise than usual.
struct MountedVolumeParts {
  MountOptions options = {};
  FileSystem::Options files = {};
  KeyCache::Options keys = {};
  Disk* disk = nullptr;  // outlives the volume; none: the kernel's
  std::string parent = "/tmp";
};

class MountedVolume {
 public:
  static bool possible() { return ::access("/dev/fuse", R_OK | W_OK) == 0; }

  explicit MountedVolume(MountOptions options = {}, FileSystem::Options files = {},
                         const std::string& parent = "/tmp")
      : MountedVolume(MountedVolumeParts{std::move(options), files, {}, nullptr, parent}) {}
  explicit MountedVolume(MountedVolumeParts parts)
      : options_(std::move(parts.options)),
        files_options_(parts.files),
        keys_options_(std::move(parts.keys)),
        disk_(parts.disk != nullptr ? *parts.disk : real_disk_) {
    std::string pattern = parts.parent + "/kmsfs-mounted-XXXXXX";
    if (::mkdtemp(pattern.data()) == nullptr) return;
    top_ = pattern;
    std::filesystem::permissions(top_, std::filesystem::perms(0755));
    std::filesystem::create_directory(backing());
    std::filesystem::create_directory(path());
    auto made = Volume::create(disk_, backing_descriptor().get(), kms_, key_, "fake:memory");
    EXPECT_TRUE(made.ok()) << (made ? "" : made.error().text);
    mount();
  }
  MountedVolume(const MountedVolume&) = delete;
  MountedVolume& operator=(const MountedVolume&) = delete;
  ~MountedVolume() {
    unmount();
    std::error_code ignored;
    if (!top_.empty()) std::filesystem::remove_all(top_, ignored);
  }

  void mount() {
    auto volume = Volume::open(disk_, backing_descriptor().get(), kms_);
    ASSERT_TRUE(volume.ok()) << volume.error().text;
    volume_ = std::move(*volume);
    auto keys = KeyCache::make(kms_, clock_, make_null_logger(), keys_options_);
    ASSERT_TRUE(keys.ok()) << keys.error().text;
    keys_ = std::move(*keys);
    FileSystem::Options options = files_options_;
    options.read_only = options_.read_only;
    options.as_caller = ::geteuid() == 0;
    options.kernel_keeps_times = options_.kernel_caches_writes();
    auto files =
        FileSystem::make(disk_, backing_descriptor(), *volume_, *keys_, clock_, make_null_logger(), options);
    ASSERT_TRUE(files.ok()) << files.error().text;
    files_ = std::move(*files);
    options_.mountpoint = path();
    options_.source = backing();
    auto mounted = Mounted::mount(*files_, options_, make_null_logger());
    ASSERT_TRUE(mounted.ok()) << mounted.error().text;
    mounted_ = std::move(*mounted);
    watchdog_ = std::make_unique<MountWatchdog>(path());
  }
  void unmount() {
    mounted_.reset();
    watchdog_.reset();
    if (files_) files_->shut_down();
    files_.reset();
    keys_.reset();
    volume_.reset();
  }
  void remount() {
    unmount();
    mount();
  }

  std::string path() const { return top_ + "/mnt"; }
  std::string path(const std::string& name) const { return path() + "/" + name; }
  std::string backing() const { return top_ + "/backing"; }
  const std::string& top() const { return top_; }
  FakeKmsServer& server() { return server_; }
  const std::string& key() const { return key_; }
  FakeKms& kms() { return kms_; }
  KeyCache& keys() { return *keys_; }
  FileSystem& files() { return *files_; }
  Mounted& mounted() { return *mounted_; }

  // How many requests of that name have come so far.
  std::uint64_t requests(const std::string& operation) const {
    const auto figures = mounted_->figures();
    const auto found = figures.operations.find(operation);
    return found == figures.operations.end() ? 0 : found->second;
  }
  std::string read(const std::string& name) const {
    std::ifstream in(path(name), std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
  }
  void write(const std::string& name, const std::string& content) const {
    std::ofstream(path(name), std::ios::binary) << content;
  }
  // Permission bits; 0 if it is not there.
  mode_t mode(const std::string& name) const {
    struct stat attributes {};
    return ::stat(path(name).c_str(), &attributes) == 0 ? attributes.st_mode & 07777 : 0;
  }
  // In the mount; its output is part of the failure.
  ::testing::AssertionResult run(const std::string& script, int seconds = 100) const {
    const ScriptResult result = run_script("cd " + path() + "\n" + script, seconds);
    if (result.status == 0) return ::testing::AssertionSuccess();
    return ::testing::AssertionFailure() << script << "\nended with " << result.status << ":\n"
                                         << result.output;
  }

 private:
  UniqueFd backing_descriptor() const {
    return UniqueFd(::open(backing().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  }

  MountOptions options_;
  const FileSystem::Options files_options_;
  const KeyCache::Options keys_options_;
  std::string top_;
  RealDisk real_disk_;
  Disk& disk_;
  SystemClock clock_;
  FakeKmsServer server_;
  const std::string key_ = server_.create_key();
  FakeKms kms_{server_};
  std::unique_ptr<Volume> volume_;
  std::unique_ptr<KeyCache> keys_;
  std::unique_ptr<FileSystem> files_;
  std::unique_ptr<Mounted> mounted_;
  std::unique_ptr<MountWatchdog> watchdog_;
};

}  // namespace kmsfs::testing
