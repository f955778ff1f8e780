// A volume made and mounted by the kmsfs command itself, as a user would: init, mount, work, umount, mount
// again.
//
// Everything lives in one temporary directory that goes with the object: the local KMS, the backing
// directory, the mountpoint, and what kmsfs keeps for itself. Threads: one test at a time.
#pragma once

#include <gtest/gtest.h>
#include <stdlib.h>
#include <unistd.h>

#include <fstream>
#include <memory>
#include <sstream>
#include <string>

#include "tests/support/mount_watchdog.h"
#include "tests/support/shell.h"

namespace kmsfs::testing {

class CommandMount {
 public:
  explicit CommandMount(std::string parent = "/tmp") {
    parent += "/kmsfs-test.XXXXXX";
    if (::mkdtemp(parent.data()) != nullptr) top_ = parent;
  }
  CommandMount(const CommandMount&) = delete;
  CommandMount& operator=(const CommandMount&) = delete;
  ~CommandMount() {
    if (top_.empty()) return;
    // Whatever hangs in here, the last mount first: ours, and what a test put below.
    run_script("tac /proc/mounts | cut -d' ' -f2 | while read -r m; do case $m in " + top_ +
               "/*) umount -l $m;; esac; done; chattr -i " + top_ + "/* 2>/dev/null || true; rm -rf " + top_);
  }

  const std::string& top() const { return top_; }
  std::string backing() const { return top_ + "/backing"; }
  std::string mountpoint() const { return top_ + "/mnt"; }
  std::string kms() const { return "local:" + top_ + "/kms"; }

  // Runs `kmsfs ARGUMENTS` with all of its own directories under top().
  ScriptResult kmsfs(const std::string& arguments) const { return run_script(command(arguments)); }
  std::string command(const std::string& arguments) const {
    return environment() + KMSFS_BINARY + " " + arguments;
  }

  [[nodiscard]] ::testing::AssertionResult init(const std::string& options = "") {
    return succeeded(
               run_script("mkdir -p " + mountpoint() + " " + top_ + "/run && chmod 700 " + top_ + "/run"),
               "making directories") &&
                   succeeded(kmsfs("init --kms " + kms() + " --seal keyfile " + options + " " + backing()),
                             "kmsfs init")
               ? ::testing::AssertionSuccess()
               : ::testing::AssertionFailure() << failure_;
  }
  [[nodiscard]] ::testing::AssertionResult mount(const std::string& options = "") {
    watchdog_.reset();
    // The longest test of this kind has ten minutes.
    watchdog_ = std::make_unique<MountWatchdog>(mountpoint(), std::chrono::seconds(570));
    return result_of(kmsfs("mount " + options + " " + backing() + " " + mountpoint()), "kmsfs mount");
  }
  [[nodiscard]] ::testing::AssertionResult unmount() {
    return result_of(kmsfs("umount " + mountpoint()), "kmsfs umount");
  }
  [[nodiscard]] ::testing::AssertionResult remount(const std::string& options = "") {
    if (auto unmounted = unmount(); !unmounted) return unmounted;
    return mount(options);
  }
  // The process that serves the mount; 0 if there is none.
  pid_t daemon() const {
    std::istringstream said(kmsfs("status --json " + mountpoint()).output);
    for (std::string line; std::getline(said, line);) {
      const auto at = line.find("\"process\":");
      if (at != std::string::npos) return std::atoi(line.c_str() + at + 10);
    }
    return 0;
  }
  std::string path(const std::string& name) const { return mountpoint() + "/" + name; }
  std::string read(const std::string& name) const {
    std::ifstream in(path(name), std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
  }
  void write(const std::string& name, const std::string& content) const {
    std::ofstream(path(name), std::ios::binary) << content;
  }
  // Runs a script in the mounted directory.
  [[nodiscard]] ::testing::AssertionResult in_mount(const std::string& script, int seconds = 300) const {
    return result_of(run_script("cd " + mountpoint() + "\n" + script, seconds), script);
  }

 private:
  std::string environment() const {
    return "env HOME=" + top_ + " XDG_DATA_HOME=" + top_ + "/data XDG_STATE_HOME=" + top_ +
           "/state XDG_RUNTIME_DIR=" + top_ + "/run ";
  }
  bool succeeded(const ScriptResult& result, const std::string& what) {
    if (result.status != 0)
      failure_ = what + " ended with " + std::to_string(result.status) + ": " + result.output;
    return result.status == 0;
  }
  static ::testing::AssertionResult result_of(const ScriptResult& result, const std::string& what) {
    if (result.status == 0) return ::testing::AssertionSuccess();
    constexpr std::size_t kEnough = 4000;
    const std::string& all = result.output;
    return ::testing::AssertionFailure()
           << what << "\nended with " << result.status << ":\n"
           << (all.size() > kEnough ? "..." + all.substr(all.size() - kEnough) : all);
  }

  std::string top_;
  std::string failure_;
  std::unique_ptr<MountWatchdog> watchdog_;
};

}  // namespace kmsfs::testing
