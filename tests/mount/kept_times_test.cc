// The modification time that a program has seen is the one that everybody sees later.
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tests/support/crypto_environment.h"
#include "tests/support/mounted_volume.h"

namespace kmsfs::testing {
namespace {

class KeptTimes : public ::testing::Test {
 protected:
  static constexpr int kFiles = 20;
  void SetUp() override {
    if (!MountedVolume::possible()) GTEST_SKIP() << "needs /dev/fuse";
  }
  static std::string name(int i) { return "file" + std::to_string(i); }
  static std::int64_t modified(MountedVolume& volume, int i) {
    struct stat attributes {};
    EXPECT_EQ(::stat(volume.path(name(i)).c_str(), &attributes), 0);
    return attributes.st_mtim.tv_sec * 1'000'000'000LL + attributes.st_mtim.tv_nsec;
  }
  // `change` opened files, which are made anew if `flags` say so, and sees that nothing moves afterwards.
  template <typename Change>
  static void stay_after(MountedVolume& volume, int flags, Change&& change) {
    for (int i = 0; i < kFiles; ++i) {
      const int fd = ::open(volume.path(name(i)).c_str(), flags | O_RDWR, 0644);
      ASSERT_GE(fd, 0);
      ASSERT_TRUE(change(fd)) << ::strerrorname_np(errno);
      ASSERT_EQ(::close(fd), 0);
    }
    std::vector<std::int64_t> seen;
    for (int i = 0; i < kFiles; ++i) seen.push_back(modified(volume, i));
    volume.remount();
    for (int i = 0; i < kFiles; ++i) EXPECT_EQ(modified(volume, i), seen[i]) << i;
  }
  static bool write(int fd) { return ::pwrite(fd, "some text", 9, 0) == 9; }
};

TEST_F(KeptTimes, OfFilesThatAreNew) {
  MountedVolume volume;
  stay_after(volume, O_CREAT | O_EXCL, write);
}

TEST_F(KeptTimes, OfFilesThatAreNewAndSyncedMeanwhile) {
  MountedVolume volume;
  stay_after(volume, O_CREAT | O_EXCL,
             [](int fd) { return write(fd) && ::fsync(fd) == 0 && ::pwrite(fd, "more", 4, 5000) == 4; });
}

TEST_F(KeptTimes, OfFilesThatAreWrittenAgain) {
  MountedVolume volume;
  for (int i = 0; i < kFiles; ++i) volume.write(name(i), std::string(9000, 'x'));
  stay_after(volume, 0, write);
  stay_after(volume, O_TRUNC, write);
  stay_after(volume, O_APPEND, [](int fd) { return ::write(fd, "end", 3) == 3; });
}

TEST_F(KeptTimes, OfFilesThatAreMapped) {
  MountedVolume volume;
  for (int i = 0; i < kFiles; ++i) volume.write(name(i), std::string(9000, 'x'));
  stay_after(volume, 0, [](int fd) {
    void* map = ::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (map == MAP_FAILED) return false;
    std::memcpy(map, "mapped", 6);
    return ::munmap(map, 4096) == 0;
  });
}

TEST_F(KeptTimes, OfFilesThatAreCut) {
  MountedVolume volume;
  stay_after(volume, O_CREAT, [](int fd) { return write(fd) && ::ftruncate(fd, 5) == 0; });
  stay_after(volume, 0, [](int fd) { return ::ftruncate(fd, 100'000) == 0; });
}

TEST_F(KeptTimes, ThatWereSet) {
  MountedVolume volume;
  const timespec times[2] = {{0, UTIME_OMIT}, {1'000'000'000, 123'456'789}};
  stay_after(volume, O_CREAT, [&](int fd) { return write(fd) && ::futimens(fd, times) == 0; });
  for (int i = 0; i < kFiles; ++i) EXPECT_EQ(modified(volume, i), 1'000'000'000'123'456'789LL);
}

TEST_F(KeptTimes, AndMoveWithEachWrite) {
  for (const bool writeback : {true, false}) {
    MountOptions options;
    options.writeback = writeback;
    MountedVolume volume(options);
    for (int i = 0; i < 3; ++i) {
      std::int64_t before = 0;
      for (int change = 0; change < 3; ++change) {
        std::this_thread::sleep_for(std::chrono::milliseconds(20));  // some ticks of the kernel's clock
        volume.write(name(i), std::string(change + 1, 'x'));
        EXPECT_GT(modified(volume, i), before) << writeback;
        before = modified(volume, i);
      }
    }
    std::vector<std::int64_t> seen;
    for (int i = 0; i < 3; ++i) seen.push_back(modified(volume, i));
    EXPECT_LT(seen[0], seen[1]);
    EXPECT_LT(seen[1], seen[2]);
    volume.remount();
    for (int i = 0; i < 3; ++i) EXPECT_EQ(modified(volume, i), seen[i]) << writeback;
  }
}

}  // namespace
}  // namespace kmsfs::testing
