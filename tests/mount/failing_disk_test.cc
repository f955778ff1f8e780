// Disks below a live mount that are full, out of inodes, over quota, or turn read-only.
#include <fcntl.h>
#include <linux/falloc.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include <map>

#include "core/unique_fd.h"
#include "tests/mount/command_mount.h"
#include "tests/support/mounted_volume.h"

namespace kmsfs::testing {
namespace {

std::string bytes_of(std::size_t size, unsigned seed) {
  std::string text(size, '\0');
  for (char& c : text) c = static_cast<char>((seed = seed * 1664525 + 1013904223) >> 24);
  return text;
}

int error_of(std::int64_t result) { return result < 0 ? errno : 0; }

// A backing directory on a file system of its own.
class FailingDiskBelow : public ::testing::Test {
 protected:
  void SetUp() override {
    if (::geteuid() != 0 || !MountedVolume::possible()) GTEST_SKIP() << "needs root and /dev/fuse";
    ASSERT_EQ(::mkdir(volume_.backing().c_str(), 0755), 0);
  }
  void TearDown() override {
    if (mounted_ && !HasFatalFailure()) {
      EXPECT_TRUE(volume_.unmount());
    }
  }
  void make(const std::string& mount_below) {
    const ScriptResult made = run_script(mount_below, 60);
    if (made.status != 0) GTEST_SKIP() << "no such disk can be had here: " << made.output;
    ASSERT_TRUE(volume_.init());
    ASSERT_TRUE(volume_.mount());
    mounted_ = true;
  }
  // A file system in a file; `make_file_system` is given the file's path.
  void make_image(const std::string& size, const std::string& make_file_system) {
    const std::string image = volume_.top() + "/image";
    make("truncate -s " + size + " " + image + "; " + make_file_system + " " + image + "; mount -o loop " +
         image + " " + volume_.backing() + "; rm -rf " + volume_.backing() + "/lost+found");
  }
  void make_tmpfs(const std::string& options) {
    make("mount -t tmpfs -o " + options + " tmpfs " + volume_.backing());
  }
  void below(const std::string& script) {
    const ScriptResult ran = run_script(script, 60);
    ASSERT_EQ(ran.status, 0) << ran.output;
  }
  std::uint64_t inodes_below() const {
    struct statvfs status {};
    return ::statvfs(volume_.backing().c_str(), &status) == 0 ? status.f_files - status.f_ffree : 0;
  }
  // The kernel tells us a moment later that it has forgotten a file.
  bool comes_back_to(std::uint64_t inodes) const {
    for (int i = 0; i < 1000 && inodes_below() != inodes; ++i) ::usleep(10000);
    return inodes_below() == inodes;
  }

  // Writes and syncs; the first error of either.
  int store(const std::string& name, const std::string& content, int flags = O_CREAT | O_TRUNC) const {
    const UniqueFd fd(::open(volume_.path(name).c_str(), O_WRONLY | flags | O_CLOEXEC, 0644));
    if (!fd) return errno;
    if (const int failed = error_of(::write(fd.get(), content.data(), content.size()))) return failed;
    return error_of(::fsync(fd.get()));
  }
  // Files of 200 kB, synced, until one does not fit; the error it met.
  int fill() {
    for (unsigned i = 0; i < 1000; ++i) {
      const std::string name = "file" + std::to_string(i);
      const std::string content = bytes_of(200000 + i, i);
      if (const int failed = store(name, content)) {
        did_not_fit_ = name;
        return failed;
      }
      stored_[name] = content;
    }
    return 0;
  }
  void expect_all_stored() {
    for (const auto& [name, content] : stored_) EXPECT_TRUE(volume_.read(name) == content) << name;
  }
  // Every byte up to its size, whatever it is.
  ::testing::AssertionResult readable(const std::string& name) {
    return volume_.in_mount("if test -e " + name + "; then cat " + name +
                                " > ../read; test $(stat -c %s ../read) = $(stat -c %s " + name + "); fi",
                            30);
  }
  void expect_full_disk(int full, const std::string& more_room = "") {
    ASSERT_EQ(fill(), full);
    ASSERT_GT(stored_.size(), 5U);
    expect_all_stored();
    EXPECT_TRUE(readable(did_not_fit_));
    // In place, a full disk takes what a native file system would.
    ASSERT_TRUE(volume_.remount());
    expect_all_stored();
    EXPECT_TRUE(readable(did_not_fit_)) << "closed without room, it cannot be read for good";
    // Growing what is there fails, and leaves it as it was.
    const std::string more = bytes_of(3000000, 99);
    EXPECT_EQ(store("file0", more, O_APPEND), full);
    EXPECT_TRUE(readable("file0"));
    EXPECT_EQ(volume_.read("file0").substr(0, stored_["file0"].size()), stored_["file0"]);
    ASSERT_TRUE(volume_.remount());
    expect_all_stored_but("file0");
    EXPECT_TRUE(readable("file0"));
    EXPECT_EQ(volume_.read("file0").substr(0, stored_["file0"].size()), stored_["file0"]);
    // And with room again, all works.
    EXPECT_TRUE(volume_.in_mount("rm -f file1 file2 file3 file4 " + did_not_fit_));
    for (const char* gone : {"file1", "file2", "file3", "file4"}) stored_.erase(gone);
    stored_["file0"] = bytes_of(100000, 7);
    if (!more_room.empty()) below(more_room);
    // The kernel tells us a moment later that it has forgotten what was removed.
    int failed = store("file0", stored_["file0"]);
    for (int i = 0; i < 500 && failed == full; ++i) {
      ::usleep(10000);
      failed = store("file0", stored_["file0"]);
    }
    EXPECT_EQ(failed, 0);
    EXPECT_EQ(store(did_not_fit_, "fits"), 0);
    expect_all_stored();
    ASSERT_TRUE(volume_.remount());
    expect_all_stored();
    EXPECT_EQ(volume_.read(did_not_fit_), "fits");
  }
  void expect_all_stored_but(const std::string& name) {
    for (const auto& [stored, content] : stored_) {
      if (stored != name) {
        EXPECT_TRUE(volume_.read(stored) == content) << stored;
      }
    }
  }

  CommandMount volume_;
  bool mounted_ = false;
  std::map<std::string, std::string> stored_;
  std::string did_not_fit_;
};

TEST_F(FailingDiskBelow, AFullTmpfsIsENOSPCAndLosesNothing) {
  make_tmpfs("size=4m");
  expect_full_disk(ENOSPC);
}

TEST_F(FailingDiskBelow, AFullExt4IsENOSPCAndLosesNothing) {
  make_image("8M", "/usr/sbin/mkfs.ext4 -q -m 0");
  if (IsSkipped()) return;
  expect_full_disk(ENOSPC);
}

TEST_F(FailingDiskBelow, AWriteThatDoesNotFitSaysSoToWriteSyncOrClose) {
  make_tmpfs("size=2m");
  const std::string large = bytes_of(3000000, 1);
  {
    const UniqueFd fd(::open(volume_.path("synchronous").c_str(), O_WRONLY | O_CREAT | O_SYNC, 0644));
    ssize_t done = 0, got = 0;
    while ((got = ::write(fd.get(), large.data() + done, 100000)) > 0) done += got;
    EXPECT_EQ(errno, ENOSPC);
    EXPECT_EQ(volume_.read("synchronous").substr(0, done), large.substr(0, done));
    ASSERT_EQ(::unlink(volume_.path("synchronous").c_str()), 0);
  }
  const int fd = ::open(volume_.path("closed").c_str(), O_WRONLY | O_CREAT, 0644);
  const ssize_t written = ::write(fd, large.data(), large.size());
  const int of_write = error_of(written);
  const int of_close = error_of(::close(fd));
  EXPECT_TRUE(of_write == ENOSPC || of_close == ENOSPC) << of_write << " " << of_close;
  EXPECT_TRUE(readable("closed"));
}

TEST_F(FailingDiskBelow, WhatWasAllocatedCanBeWrittenThoughTheDiskIsFull) {
  make_tmpfs("size=6m");
  constexpr off_t kSize = 3 << 19;  // more than a gap that is written
  const std::string content = bytes_of(kSize, 3);
  const auto reserve = [&](const char* name, int mode, off_t size_before) {
    UniqueFd fd(::open(volume_.path(name).c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644));
    EXPECT_EQ(::ftruncate(fd.get(), size_before), 0);
    EXPECT_EQ(::fsync(fd.get()), 0);
    EXPECT_EQ(error_of(::fallocate(fd.get(), mode, 0, kSize)), 0) << name;
    return fd;
  };
  std::map<std::string, UniqueFd> files;
  files["allocated"] = reserve("allocated", 0, 0);
  files["zeroed"] = reserve("zeroed", FALLOC_FL_ZERO_RANGE, 10);
  EXPECT_EQ(fill(), ENOSPC);
  for (auto& [name, fd] : files) {
    EXPECT_EQ(::pwrite(fd.get(), content.data(), content.size(), 0), kSize) << name;
    EXPECT_EQ(error_of(::fsync(fd.get())), 0) << name << " was promised its room";
    fd.reset();
    stored_[name] = content;
  }
  ASSERT_TRUE(volume_.remount());
  expect_all_stored();
}

TEST_F(FailingDiskBelow, OverQuotaIsEDQUOTAndLosesNothing) {
  make_image("200M", "/usr/sbin/mkfs.btrfs -q");
  if (IsSkipped()) return;
  below("cd " + volume_.backing() + "; sync; btrfs quota enable .; btrfs qgroup limit 4M .");
  // What was removed counts until btrfs has committed and cleaned up, whenever that is.
  expect_full_disk(EDQUOT, "cd " + volume_.backing() + "; sync -f .; btrfs qgroup limit none .");
}

TEST_F(FailingDiskBelow, WithoutInodesNothingIsMadeNothingIsLostAndNothingLeaks) {
  make_tmpfs("size=8m,nr_inodes=64");
  const std::uint64_t before = inodes_below();
  const std::string long_name(200, 'n');
  int failed = 0;
  unsigned made = 0;
  for (unsigned i = 0; i < 100 && failed == 0; ++i) {
    const std::string name = std::to_string(i) + (i % 3 == 0 ? long_name : "");
    failed = i % 2 == 0 ? store(name, name) : error_of(::mkdir(volume_.path(name).c_str(), 0755));
    if (failed == 0) ++made;
  }
  EXPECT_EQ(failed, ENOSPC);
  EXPECT_GT(made, 15U);
  EXPECT_EQ(error_of(::symlink("x", volume_.path(long_name).c_str())), ENOSPC);
  EXPECT_EQ(error_of(::mkdir(volume_.path("d").c_str(), 0755)), ENOSPC);
  EXPECT_EQ(error_of(::mkdir(volume_.path(long_name).c_str(), 0755)), ENOSPC);
  EXPECT_TRUE(volume_.in_mount("test $(ls | wc -l) = " + std::to_string(made) +
                               "; for f in *; do test -d $f || test $(cat $f) = $f; done"));
  ASSERT_TRUE(volume_.remount());
  EXPECT_TRUE(volume_.in_mount("test $(ls | wc -l) = " + std::to_string(made) + "; rm -r *"));
  EXPECT_TRUE(comes_back_to(before)) << inodes_below() << " inodes, and there were " << before;
  EXPECT_TRUE(volume_.in_mount("mkdir d; echo x > d/f; rm -r d"));
  EXPECT_TRUE(comes_back_to(before)) << inodes_below();
}

TEST_F(FailingDiskBelow, ADiskThatTurnsReadOnlyIsEROFSAndWorksAgainWhenItIsWritable) {
  make_tmpfs("size=8m");
  ASSERT_EQ(store("file", "content"), 0);
  ASSERT_TRUE(volume_.in_mount("mkdir d"));
  below("mount -o remount,ro " + volume_.backing());
  EXPECT_EQ(volume_.read("file"), "content");
  EXPECT_EQ(store("new", "x"), EROFS);
  EXPECT_EQ(store("file", "x", 0), EROFS);
  EXPECT_EQ(error_of(::unlink(volume_.path("file").c_str())), EROFS);
  EXPECT_EQ(error_of(::mkdir(volume_.path("e").c_str(), 0755)), EROFS);
  EXPECT_EQ(error_of(::rmdir(volume_.path("d").c_str())), EROFS);
  EXPECT_EQ(error_of(::rename(volume_.path("file").c_str(), volume_.path("g").c_str())), EROFS);
  EXPECT_EQ(error_of(::chmod(volume_.path("file").c_str(), 0600)), EROFS);
  EXPECT_EQ(error_of(::truncate(volume_.path("file").c_str(), 0)), EROFS);
  EXPECT_EQ(volume_.read("file"), "content");
  below("mount -o remount,rw " + volume_.backing());
  EXPECT_EQ(store("file", "changed"), 0);
  EXPECT_EQ(store("new", "x"), 0);
  EXPECT_TRUE(volume_.in_mount("rmdir d; test $(cat file) = changed"));
  // Mounted on a disk that is read-only, it is read-only itself, and says so.
  ASSERT_TRUE(volume_.unmount());
  below("mount -o remount,ro " + volume_.backing());
  ASSERT_TRUE(volume_.mount());
  EXPECT_EQ(volume_.read("file"), "changed");
  EXPECT_TRUE(volume_.in_mount("findmnt -no OPTIONS . | tr , '\\n' | grep -qx ro"));
  EXPECT_EQ(store("file", "x", 0), EROFS);
  ASSERT_TRUE(volume_.unmount());
  below("mount -o remount,rw " + volume_.backing());
  ASSERT_TRUE(volume_.mount());
  EXPECT_EQ(store("file", "again"), 0);
}

}  // namespace
}  // namespace kmsfs::testing
