// A volume in a real mount, used as programs use it.
#include <fcntl.h>
#include <linux/falloc.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <set>

#include "tests/support/crypto_environment.h"
#include "tests/support/mounted_volume.h"

namespace kmsfs::testing {
namespace {

std::string bytes_of(std::size_t size, unsigned seed = 7) {
  std::string text(size, '\0');
  for (char& c : text) c = static_cast<char>((seed = seed * 1664525 + 1013904223) >> 24);
  return text;
}

class VolumeMount : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!MountedVolume::possible()) GTEST_SKIP() << "needs /dev/fuse";
  }
};

TEST_F(VolumeMount, CopiesATreeFaithfullyAndKeepsItAcrossAMount) {
  MountedVolume volume;
  ASSERT_TRUE(volume.run("cp -a /usr/include/linux tree && diff -r /usr/include/linux tree"));
  volume.remount();
  ASSERT_TRUE(
      volume.run("diff -r /usr/include/linux tree\n"
                 "cmp <(cd /usr/include/linux && find . -printf '%P %m %u %g %y %l %T@\\n' | sort)"
                 "    <(cd tree && find . -printf '%P %m %u %g %y %l %T@\\n' | sort)"));
}

TEST_F(VolumeMount, HoldsAGitRepository) {
  MountedVolume volume;
  ASSERT_TRUE(
      volume.run("export HOME=$PWD GIT_CONFIG_NOSYSTEM=1\n"
                 "git init -q work && cd work && git config user.email a@b && git config user.name a\n"
                 "cp -r /usr/include/rpc . && git add . && git commit -qm first && echo x >> rpc/netdb.h && "
                 "git commit -qam second\n"
                 "git gc -q && git fsck --full && git clone -q . ../copy && test -z \"$(git -C ../copy "
                 "status --porcelain)\""));
}

TEST_F(VolumeMount, ShowsWhatWasWrittenThroughAMapping) {
  MountedVolume volume;
  const std::string text = bytes_of(3 << 20);
  const int fd = ::open(volume.path("mapped").c_str(), O_RDWR | O_CREAT, 0644);
  ASSERT_GE(fd, 0);
  ASSERT_EQ(::ftruncate(fd, static_cast<off_t>(text.size())), 0);
  void* map = ::mmap(nullptr, text.size(), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  ASSERT_NE(map, MAP_FAILED);
  std::memcpy(map, text.data(), text.size());
  ASSERT_EQ(::msync(map, text.size(), MS_SYNC), 0);
  ::munmap(map, text.size());
  ::close(fd);
  EXPECT_TRUE(volume.read("mapped") == text);
  volume.remount();
  EXPECT_TRUE(volume.read("mapped") == text);
}

TEST_F(VolumeMount, GivesAnUnnamedFileAName) {
  MountedVolume volume;
  const int fd = ::open(volume.path().c_str(), O_TMPFILE | O_RDWR, 0640);
  ASSERT_GE(fd, 0) << ::strerrorname_np(errno);
  ASSERT_EQ(::write(fd, "unnamed", 7), 7);
  EXPECT_TRUE(std::filesystem::is_empty(volume.path()));
  ASSERT_EQ(::linkat(AT_FDCWD, ("/proc/self/fd/" + std::to_string(fd)).c_str(), AT_FDCWD,
                     volume.path("named").c_str(), AT_SYMLINK_FOLLOW),
            0)
      << ::strerrorname_np(errno);
  ::close(fd);
  EXPECT_EQ(volume.read("named"), "unnamed");
  volume.remount();
  EXPECT_EQ(volume.read("named"), "unnamed");
  EXPECT_EQ(volume.mode("named"), 0640U);
}

TEST_F(VolumeMount, ForgetsAnUnnamedFileThatNobodyNamed) {
  MountedVolume volume;
  const auto entries = [&] {
    return std::distance(std::filesystem::recursive_directory_iterator(volume.backing()), {});
  };
  const auto before = entries();
  const int fd = ::open(volume.path().c_str(), O_TMPFILE | O_RDWR, 0640);
  ASSERT_GE(fd, 0);
  ASSERT_EQ(::write(fd, "unnamed", 7), 7);
  ::close(fd);
  volume.unmount();
  EXPECT_EQ(entries(), before);
  volume.mount();
}

TEST_F(VolumeMount, KeepsExtendedAttributes) {
  MountedVolume volume;
  ASSERT_TRUE(
      volume.run("touch f; mkdir d; setfattr -n user.name -v value f; setfattr -n user.other -v '' f;"
                 "setfattr -n user.dir -v x d"));
  volume.remount();
  EXPECT_TRUE(
      volume.run("test \"$(getfattr --only-values -n user.name f)\" = value; getfattr f | grep -q user.other;"
                 "setfattr -x user.name f; ! getfattr -n user.name f; getfattr -n user.dir d"));
  EXPECT_EQ(::getxattr(volume.path("f").c_str(), "user.absent", nullptr, 0), -1);
  EXPECT_EQ(errno, ENODATA);
}

TEST_F(VolumeMount, ExchangesNames) {
  MountedVolume volume;
  volume.write("one", "1");
  volume.write("two", "22");
  ASSERT_EQ(::renameat2(AT_FDCWD, volume.path("one").c_str(), AT_FDCWD, volume.path("two").c_str(),
                        RENAME_EXCHANGE),
            0);
  EXPECT_EQ(volume.read("one"), "22");
  EXPECT_EQ(volume.read("two"), "1");
  EXPECT_EQ(::renameat2(AT_FDCWD, volume.path("one").c_str(), AT_FDCWD, volume.path("two").c_str(),
                        RENAME_NOREPLACE),
            -1);
  EXPECT_EQ(errno, EEXIST);
}

TEST_F(VolumeMount, NeverTakesADirtyPageForAHole) {
  MountedVolume volume;
  const int fd = ::open(volume.path("sparse").c_str(), O_RDWR | O_CREAT, 0644);
  ASSERT_GE(fd, 0);
  constexpr off_t kGiB = 1 << 30;
  ASSERT_EQ(::pwrite(fd, "end", 3, kGiB), 3);
  // Not synced: still with the kernel. From any offset, data must be found at or before what was written.
  const off_t data = ::lseek(fd, 0, SEEK_DATA);
  EXPECT_GE(data, 0);
  EXPECT_LE(data, kGiB);
  EXPECT_EQ(::lseek(fd, kGiB, SEEK_DATA), kGiB);
  EXPECT_EQ(::lseek(fd, kGiB, SEEK_HOLE), kGiB + 3);
  struct stat attributes {};
  ASSERT_EQ(::fsync(fd), 0);
  ASSERT_EQ(::fstat(fd, &attributes), 0);
  EXPECT_EQ(attributes.st_size, kGiB + 3);
  char end[4] = {};
  EXPECT_EQ(::pread(fd, end, 3, kGiB), 3);
  EXPECT_STREQ(end, "end");
  EXPECT_EQ(::pread(fd, end, 3, kGiB / 2), 3);
  EXPECT_EQ(end[0], 0);
  ::close(fd);
}

// The kernel sends out several parts of a file at once, and any of them may be written first.
TEST_F(VolumeMount, MakesNoHolesInFilesThatAreWrittenFromBeginningToEnd) {
  MountedVolume volume;
  constexpr int kFiles = 8;
  int sparse = 0;
  for (int i = 0; i < kFiles; ++i) {
    const std::string name = "file" + std::to_string(i);
    ASSERT_TRUE(volume.run("dd if=/dev/zero of=" + name + " bs=1M count=64 conv=fsync status=none"));
    auto entry = volume.files().lookup(kRootNode, name);
    ASSERT_TRUE(entry.ok());
    if (volume.files().information(entry->node)->sparse) ++sparse;
    volume.files().forget(entry->node, 1);
    ASSERT_TRUE(volume.run("rm " + name));
  }
  EXPECT_LE(sparse, 1) << "one may be, where the machine stands still";
}

TEST_F(VolumeMount, TruncatesAndAllocates) {
  MountedVolume volume;
  const std::string text = bytes_of(20000);
  volume.write("file", text);
  const std::string path = volume.path("file");
  for (off_t size : {15000, 4056, 3032, 3000, 0, 9000}) ASSERT_EQ(::truncate(path.c_str(), size), 0);
  EXPECT_EQ(volume.read("file"), std::string(9000, '\0'));
  volume.write("file", text);
  const int fd = ::open(path.c_str(), O_RDWR);
  ASSERT_EQ(::fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 5000, 5000), 0);
  ASSERT_EQ(::fallocate(fd, FALLOC_FL_ZERO_RANGE, 0, 100), 0);
  ASSERT_EQ(::fallocate(fd, 0, 0, 30000), 0);
  ::close(fd);
  std::string expected = text + std::string(10000, '\0');
  std::fill_n(expected.begin() + 5000, 5000, '\0');
  std::fill_n(expected.begin(), 100, '\0');
  EXPECT_TRUE(volume.read("file") == expected);
  volume.remount();
  EXPECT_TRUE(volume.read("file") == expected);
}

TEST_F(VolumeMount, CopiesARangeWithinTheVolume) {
  MountedVolume volume;
  const std::string text = bytes_of(2 << 20);
  volume.write("from", text);
  const int from = ::open(volume.path("from").c_str(), O_RDONLY);
  const int to = ::open(volume.path("to").c_str(), O_RDWR | O_CREAT, 0644);
  off_t at = 1000;
  for (std::size_t left = text.size() - 1000; left > 0;) {
    const ssize_t copied = ::copy_file_range(from, &at, to, nullptr, left, 0);
    ASSERT_GT(copied, 0) << ::strerrorname_np(errno);
    left -= static_cast<std::size_t>(copied);
  }
  ::close(from);
  ::close(to);
  EXPECT_TRUE(volume.read("to") == text.substr(1000));
  EXPECT_GT(volume.requests("copy_file_range_64") + volume.requests("copy_file_range"), 0U);
}

TEST_F(VolumeMount, TellsWhenAFileWasMade) {
  MountedVolume volume;
  volume.write("file", "x");
  struct statx attributes {};
  ASSERT_EQ(::statx(AT_FDCWD, volume.path("file").c_str(), 0, STATX_BASIC_STATS | STATX_BTIME, &attributes),
            0);
  ASSERT_NE(attributes.stx_mask & STATX_BTIME, 0U);
  EXPECT_LE(attributes.stx_btime.tv_sec, ::time(nullptr));
  EXPECT_GE(attributes.stx_btime.tv_sec, ::time(nullptr) - 60);
  EXPECT_EQ(attributes.stx_size, 1U);
}

TEST_F(VolumeMount, ServesDirectInputAndOutput) {
  MountedVolume volume;
  EXPECT_TRUE(
      volume.run("dd if=/dev/urandom of=plain bs=1M count=3 status=none\n"
                 "dd if=plain of=direct bs=1M oflag=direct status=none; cmp plain direct\n"
                 "dd if=direct of=again bs=64k iflag=direct status=none; cmp plain again"));
}

TEST_F(VolumeMount, ListsADirectoryOfTenThousandEntriesEachOnce) {
  MountedVolume volume;
  ASSERT_TRUE(volume.run("mkdir many; cd many; seq 1 10000 | xargs touch"));
  for (int round = 0; round < 2; ++round) {
    std::set<std::string> names;
    for (const auto& entry : std::filesystem::directory_iterator(volume.path("many")))
      EXPECT_TRUE(names.insert(entry.path().filename().string()).second);
    EXPECT_EQ(names.size(), 10000U);
    volume.remount();
  }
}

TEST_F(VolumeMount, LocksFilesBetweenProgramsWithoutAsking) {
  MountedVolume volume;
  EXPECT_TRUE(
      volume.run("touch f; flock -x f sleep 1 & sleep 0.3; ! flock -n -x f true; wait; flock -n -x f true"));
  EXPECT_EQ(volume.requests("setlk") + volume.requests("setlkw") + volume.requests("getlk"), 0U);
}

TEST_F(VolumeMount, WritesCostNoExtendedAttributeRequests) {
  MountedVolume volume;
  const int fd = ::open(volume.path("file").c_str(), O_RDWR | O_CREAT, 0644);
  ASSERT_EQ(::pwrite(fd, "x", 1, 0), 1);
  const auto before = volume.requests("getxattr");
  for (int i = 0; i < 100; ++i) ASSERT_EQ(::pwrite(fd, "x", 1, i), 1);
  ::close(fd);
  EXPECT_EQ(volume.requests("getxattr"), before);
  EXPECT_LE(volume.requests("write"), 10U) << "a hundred small writes were to be gathered";
}

TEST_F(VolumeMount, CreatingAFileTakesFewRequests) {
  MountedVolume volume;
  volume.write("first", "x");  // after it, the kernel knows what is not implemented
  const auto all = [&] {
    std::uint64_t count = 0;
    for (const auto& [name, times] : volume.mounted().figures().operations) count += times;
    return count - volume.requests("release") - volume.requests("forget") - volume.requests("batch_forget");
  };
  const auto before = all();
  volume.write("second", "x");
  EXPECT_LE(all() - before, 6U);
  EXPECT_LE(volume.requests("flush"), 1U);
}

TEST_F(VolumeMount, StatsOfWhatIsKnownCostNoRequest) {
  MountedVolume volume;
  volume.write("file", "x");
  ASSERT_NE(volume.mode("file"), 0U);
  EXPECT_EQ(volume.mode("absent"), 0U);
  const auto count = [&] { return volume.requests("lookup") + volume.requests("getattr"); };
  const auto before = count();
  for (int i = 0; i < 50; ++i) {
    EXPECT_NE(volume.mode("file"), 0U);
    EXPECT_EQ(volume.mode("absent"), 0U);
  }
  EXPECT_EQ(count(), before);
}

TEST_F(VolumeMount, KnowsNoMoreNodesThanItsBudgetAndDisturbsNobodyWhoUsesThem) {
  FileSystem::Options small;
  small.node_budget = 50;
  small.maintenance_thread = false;
  MountedVolume volume({}, small);
  ASSERT_TRUE(volume.run("mkdir -p a/b; echo used > a/used; mkdir many; cd many; seq 1 500 | xargs touch"));
  const std::string inside = volume.path("a/b");
  const int file = ::open(volume.path("a/used").c_str(), O_RDONLY);
  const UniqueFd before(::open(".", O_RDONLY | O_DIRECTORY));
  ASSERT_EQ(::chdir(inside.c_str()), 0);
  ASSERT_TRUE(volume.run("ls -l many > /dev/null"));
  std::uint64_t nodes = 0;
  for (int i = 0; i < 500 && (nodes = volume.files().figures().nodes) > 60; ++i) {
    volume.files().maintain();
    ::usleep(10000);
  }
  EXPECT_LE(nodes, 60U);
  char text[5] = {};
  EXPECT_EQ(::pread(file, text, 4, 0), 4);
  EXPECT_STREQ(text, "used");
  EXPECT_EQ(std::filesystem::current_path().string(), inside);
  ASSERT_EQ(::fchdir(before.get()), 0);
  ::close(file);
  EXPECT_EQ(volume.read("a/used"), "used\n");
  EXPECT_TRUE(volume.run("ls many | wc -l | grep -qx 500"));
}

TEST_F(VolumeMount, IsReadOnlyWhenToldSo) {
  MountOptions options;
  options.read_only = true;
  MountedVolume volume(options);
  EXPECT_EQ(::open(volume.path("file").c_str(), O_CREAT | O_WRONLY, 0644), -1);
  EXPECT_EQ(errno, EROFS);
}

TEST_F(VolumeMount, WorksWithoutTheKernelsWriteCacheToo) {
  MountOptions options;
  options.writeback = false;
  MountedVolume volume(options);
  EXPECT_TRUE(
      volume.run("cp -a /usr/include/rpc tree; diff -r /usr/include/rpc tree; echo 1 > f; echo 2 >> f; "
                 "test \"$(cat f)\" = $'1\\n2'"));
}

TEST_F(VolumeMount, UnmountingStoresWhatTheKernelStillHolds) {
  MountedVolume volume;
  const std::string text = bytes_of(5 << 20);
  volume.write("file", text);
  volume.remount();
  EXPECT_TRUE(volume.read("file") == text);
}

TEST_F(VolumeMount, StoppingABusyMountStoresWhatWasWrittenAndFreesTheMountpoint) {
  MountedVolume volume;
  const int fd = ::open(volume.path("file").c_str(), O_RDWR | O_CREAT, 0644);
  ASSERT_EQ(::write(fd, "kept", 4), 4);
  volume.unmount();
  EXPECT_TRUE(std::filesystem::is_empty(volume.path()));
  char byte = 0;
  EXPECT_EQ(::pread(fd, &byte, 1, 0) == 1 || errno == ENOTCONN || errno == ECONNABORTED, true);
  ::close(fd);
  volume.mount();
  EXPECT_EQ(volume.read("file"), "kept");
}

TEST_F(VolumeMount, RunReturnsWhenTheMountIsUnmountedFromOutside) {
  MountedVolume volume;
  Result<void> ended;
  std::thread runs([&] { ended = volume.mounted().run(); });
  EXPECT_EQ(run_script("umount " + volume.path()).status, 0);
  runs.join();
  EXPECT_TRUE(ended.ok());
}

TEST_F(VolumeMount, RunFreesAMountpointWhoseConnectionTheKernelAborted) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root";
  MountedVolume volume;
  const int busy = ::open(volume.path().c_str(), O_RDONLY);
  Result<void> ended;
  std::thread runs([&] { ended = volume.mounted().run(); });
  EXPECT_NE(run_script("umount -f " + volume.path()).status, 0);
  runs.join();
  EXPECT_FALSE(ended.ok());
  EXPECT_TRUE(std::filesystem::is_empty(volume.path()));
  ::close(busy);
}

TEST_F(VolumeMount, WithdrawnPermissionEndsReadsOfOpenFilesAndCachedPages) {
  MountedVolume volume;
  volume.write("file", std::string(10000, 'x'));
  const int fd = ::open(volume.path("file").c_str(), O_RDONLY);
  char byte = 0;
  ASSERT_EQ(::pread(fd, &byte, 1, 0), 1);
  volume.server().deny(volume.kms().name(), volume.key());
  volume.keys().revoke(volume.key(), error(Kind::kDenied, "withdrawn"));
  // The kernel is told by a thread of its own.
  int failed = 0;
  for (int i = 0; i < 500 && failed == 0; ++i) {
    if (::pread(fd, &byte, 1, 0) < 0) failed = errno;
    if (failed == 0) ::usleep(10000);
  }
  EXPECT_EQ(failed, EACCES);
  volume.server().allow(volume.kms().name(), volume.key());
  // The cache asks a KMS that refused once a second.
  ssize_t got = -1;
  for (int i = 0; i < 500 && got < 0; ++i) {
    got = ::pread(fd, &byte, 1, 0);
    if (got < 0) ::usleep(10000);
  }
  EXPECT_EQ(got, 1) << "permission that came back did not heal";
  ::close(fd);
}

}  // namespace
}  // namespace kmsfs::testing
