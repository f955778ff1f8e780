// Many files in few descriptors, large directories, large and sparse files.
#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>

#include <filesystem>
#include <set>

#include "core/unique_fd.h"
#include "tests/mount/command_mount.h"
#include "tests/support/crypto_environment.h"
#include "tests/support/mounted_volume.h"

namespace kmsfs::testing {
namespace {

class Limits : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!MountedVolume::possible()) GTEST_SKIP() << "needs /dev/fuse";
    ASSERT_TRUE(volume_.init());
  }
  void TearDown() override {
    if (!IsSkipped() && !HasFatalFailure()) {
      EXPECT_TRUE(volume_.unmount());
    }
  }
  CommandMount volume_;
};

TEST_F(Limits, ThreeThousandFilesAreWalkedAndReadWithTwoHundredDescriptors) {
  const ScriptResult mounted = run_script(
      "ulimit -n 200; " + volume_.command("mount " + volume_.backing() + " " + volume_.mountpoint()), 30);
  ASSERT_EQ(mounted.status, 0) << mounted.output;
  const MountWatchdog watchdog(volume_.mountpoint());
  const pid_t daemon = volume_.daemon();
  ASSERT_GT(daemon, 0);
  const std::string descriptors = "/proc/" + std::to_string(daemon) + "/fd";
  ASSERT_TRUE(volume_.in_mount("grep -q '^Max open files *200 ' /proc/" + std::to_string(daemon) +
                               "/limits\n"
                               "for d in $(seq 300); do mkdir -p a$((d % 20))/d$d; cd a$((d % 20))/d$d; for "
                               "f in 1 2 3 4 5 6 7 8 9 10; do echo $d.$f > f$f; done; cd ../..; done"));
  for (int round = 0; round < 2; ++round) {
    EXPECT_TRUE(volume_.in_mount(
        "test $(find . -type f | wc -l) = 3000; test \"$(find . -type f -exec cat {} + | sort -u | wc -l)\" "
        "= 3000; "
        "find . -name f5 -exec touch {} +; test $(find . -name f5 -newer a0 | wc -l) = 300"));
    const auto open = std::distance(std::filesystem::directory_iterator(descriptors), {});
    EXPECT_LT(open, 200);
    std::ifstream status("/proc/" + std::to_string(daemon) + "/status");
    for (std::string line; std::getline(status, line);) {
      if (line.starts_with("VmRSS:")) {
        EXPECT_LT(std::stol(line.substr(6)), 400000) << "kB";
      }
    }
    ASSERT_EQ(run_script("echo 2 > /proc/sys/vm/drop_caches || true", 30).status, 0);
  }
}

// Made without the kernel, in memory where there is some: names are what this is about, and FIFOs cost no
// key.
TEST(LargeDirectory, OfAHundredThousandEntriesListsEachOnceAndFindsEach) {
  if (!MountedVolume::possible()) GTEST_SKIP() << "needs /dev/fuse";
  constexpr int kEntries = 100000;
  MountedVolumeParts parts;
  if (::access("/dev/shm", W_OK | X_OK) == 0) parts.parent = "/dev/shm";
  MountedVolume volume(std::move(parts));
  ASSERT_EQ(::mkdir(volume.path("many").c_str(), 0755), 0);
  {
    FileSystem& files = volume.files();
    auto many = files.lookup(kRootNode, "many");
    ASSERT_TRUE(many.ok());
    const Caller caller{::geteuid(), ::getegid(), 0, 0, {}};
    for (int i = 0; i < kEntries; ++i) {
      auto made = files.make_node(many->node, "entry" + std::to_string(i), S_IFIFO | 0644, 0, caller);
      ASSERT_TRUE(made.ok()) << i << ": " << made.error().text;
      files.forget(made->node, 1);
    }
    files.forget(many->node, 1);
  }
  volume.remount();
  {
    const std::unique_ptr<DIR, int (*)(DIR*)> stream(::opendir(volume.path("many").c_str()), &::closedir);
    ASSERT_NE(stream, nullptr);
    std::vector<bool> seen(kEntries);
    int count = 0;
    while (const dirent* entry = ::readdir(stream.get())) {
      const std::string name = entry->d_name;
      if (name == "." || name == "..") continue;
      const auto number = static_cast<std::size_t>(std::stoi(name.substr(5)));
      EXPECT_FALSE(seen.at(number)) << name << " twice";
      seen[number] = true;
      ++count;
    }
    EXPECT_EQ(count, kEntries);
  }
  struct stat attributes {};
  for (int i = 0; i < kEntries; i += 997) {
    EXPECT_EQ(::lstat(volume.path("many/entry" + std::to_string(i)).c_str(), &attributes), 0) << i;
  }
  EXPECT_EQ(::lstat(volume.path("many/absent").c_str(), &attributes), -1);
}

TEST_F(Limits, FilesPastFourGibibytesAndSparseOnesOfATebibyteReadBackWhatWasWritten) {
  ASSERT_TRUE(volume_.mount());
  constexpr off_t kGiB = off_t{1} << 30, kTiB = off_t{1} << 40;
  const std::vector<off_t> places = {0,       2 * kGiB - 3, 4 * kGiB - 3, 4 * kGiB + 4095, 100 * kGiB + 1,
                                     kTiB - 6};
  {
    const UniqueFd fd(::open(volume_.path("sparse").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644));
    ASSERT_EQ(::ftruncate(fd.get(), kTiB), 0);
    for (const off_t at : places) ASSERT_EQ(::pwrite(fd.get(), "marked", 6, at), 6) << at;
    ASSERT_EQ(::fsync(fd.get()), 0);
  }
  ASSERT_TRUE(volume_.remount());
  const UniqueFd fd(::open(volume_.path("sparse").c_str(), O_RDWR | O_CLOEXEC));
  struct stat attributes {};
  ASSERT_EQ(::fstat(fd.get(), &attributes), 0);
  EXPECT_EQ(attributes.st_size, kTiB);
  EXPECT_LT(attributes.st_blocks, 2000);
  for (const off_t at : places) {
    char text[7] = {};
    EXPECT_EQ(::pread(fd.get(), text, 6, at), 6) << at;
    EXPECT_STREQ(text, "marked") << at;
  }
  for (const off_t at : {off_t{100}, 3 * kGiB, 4 * kGiB, 500 * kGiB}) {
    std::string zeros(10000, 'x');
    EXPECT_EQ(::pread(fd.get(), zeros.data(), zeros.size(), at), 10000);
    EXPECT_EQ(zeros.substr(0, at == 4 * kGiB ? 4095 : 10000).find_first_not_of('\0'),
              at == 4 * kGiB ? 0U : std::string::npos)
        << at;
  }
  EXPECT_EQ(::ftruncate(fd.get(), 5 * kGiB), 0);
  EXPECT_EQ(::ftruncate(fd.get(), kTiB), 0);
  char text[7] = {};
  EXPECT_EQ(::pread(fd.get(), text, 6, 100 * kGiB + 1), 6);
  EXPECT_STREQ(text, "") << "what was cut off came back";
  EXPECT_EQ(::pread(fd.get(), text, 6, 4 * kGiB + 4095), 6);
  EXPECT_STREQ(text, "marked");
}

TEST_F(Limits, AFileOfFourGibibytesWrittenToItsEndIsWhole) {
  ASSERT_TRUE(volume_.mount());
  // A mebibyte on either side of the edge, in one stream.
  EXPECT_TRUE(volume_.in_mount(
      "head -c 2M /dev/urandom > ../edge; dd if=../edge of=large bs=1M seek=4095 conv=fsync status=none; "
      "test $(stat -c %s large) = $((4097 << 20)); cmp -n 2097152 -i $((4095 << 20)):0 large ../edge"));
  ASSERT_TRUE(volume_.remount());
  EXPECT_TRUE(volume_.in_mount("cmp -n 2097152 -i $((4095 << 20)):0 large ../edge"));
}

}  // namespace
}  // namespace kmsfs::testing
