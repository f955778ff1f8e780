// Where crash tests work: a KMS, an empty volume to start from, and room for what a crash left of it. In
// memory, gone with the object. Threads: one.
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <memory>
#include <string>

#include "core/clock.h"
#include "core/log.h"
#include "fs/disk.h"
#include "fs/volume.h"
#include "kmsclient/provider.h"
#include "tests/crash/replay.h"

namespace kmsfs::crash {

class CrashPlace {
 public:
  CrashPlace() {
    char pattern[] = "/dev/shm/kmsfs-crash.XXXXXX";
    EXPECT_NE(::mkdtemp(pattern), nullptr);
    top_ = pattern;
    KmsSetup setup;
    setup.access.uri = uri();
    setup.seal.kind = kms::SealKind::kKeyFile;
    auto report = set_up_kms(setup, clock_, make_null_logger());
    EXPECT_TRUE(report.ok()) << report.error().text;
    if (!report) return;
    kms_ = std::move(report->kms);
    std::filesystem::create_directory(start());
    RealDisk disk;
    const UniqueFd fd(::open(start().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    auto made = Volume::create(disk, fd.get(), *kms_, report->key_arn, setup.access.uri);
    EXPECT_TRUE(made.ok()) << made.error().text;
  }
  CrashPlace(const CrashPlace&) = delete;
  CrashPlace& operator=(const CrashPlace&) = delete;
  ~CrashPlace() {
    std::error_code ignored;
    std::filesystem::remove_all(top_, ignored);
  }

  const std::string& top() const { return top_; }
  std::string uri() const { return "local:" + top_ + "/kms"; }
  std::string start() const { return top_ + "/start"; }      // the volume before anything was done
  std::string backing() const { return top_ + "/backing"; }  // what the recorded work is done in
  std::string crashed() const { return top_ + "/crashed"; }
  Kms& kms() { return *kms_; }
  const Clock& clock() const { return clock_; }

  // A fresh copy of start().
  void copy_start_to(const std::string& directory) const {
    std::filesystem::remove_all(directory);
    std::filesystem::copy(
        start(), directory,
        std::filesystem::copy_options::recursive | std::filesystem::copy_options::copy_symlinks);
  }
  // crashed() becomes what a crash left.
  Result<void> crash(const std::vector<Operation>& operations, const CrashState& state) const {
    copy_start_to(crashed());
    return replay(operations, state, crashed());
  }

 private:
  std::string top_;
  const SystemClock clock_;
  std::unique_ptr<Kms> kms_;
};

}  // namespace kmsfs::crash
