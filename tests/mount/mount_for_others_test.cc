// What other users may do in a mount of root's that lets them in, and to whom belongs what they make.
#include <fcntl.h>
#include <grp.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/mount/child.h"
#include "tests/support/crypto_environment.h"
#include "tests/support/mounted_volume.h"

namespace kmsfs::testing {
namespace {

// Runs as another user, in a process of its own.
template <typename Act>
int as_user(uid_t uid, gid_t gid, std::vector<gid_t> groups, Act&& act) {
  return in_child([&] {
    if (::setgroups(groups.size(), groups.data()) != 0 || ::setgid(gid) != 0 || ::setuid(uid) != 0) return 99;
    return act();
  });
}

class MountForOthers : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!MountedVolume::possible()) GTEST_SKIP() << "needs /dev/fuse";
    if (::geteuid() != 0) GTEST_SKIP() << "needs root";
  }
  static MountOptions for_others() {
    MountOptions options;
    options.allow_other = true;
    return options;
  }
};

TEST_F(MountForOthers, ClearsSetIdBitsWhenSomebodyElseWrites) {
  MountedVolume volume(for_others());
  const std::string file = volume.path("program");
  volume.write("program", "#!");
  const auto try_it = [&](auto&& act) {
    EXPECT_EQ(::chmod(file.c_str(), 06777), 0);
    EXPECT_EQ(volume.mode("program"), 06777U);
    EXPECT_EQ(as_user(1000, 1000, {}, act), 0);
    return volume.mode("program");
  };
  EXPECT_EQ(try_it([&] {
              const int fd = ::open(file.c_str(), O_WRONLY);
              return fd >= 0 && ::pwrite(fd, "x", 1, 0) == 1 && ::fsync(fd) == 0 ? 0 : 1;
            }),
            0777U);
  EXPECT_EQ(try_it([&] { return ::truncate(file.c_str(), 1) == 0 ? 0 : 1; }), 0777U);
  EXPECT_EQ(try_it([&] { return ::open(file.c_str(), O_WRONLY | O_TRUNC) >= 0 ? 0 : 1; }), 0777U);
  ASSERT_EQ(::chmod(file.c_str(), 06777), 0);
  ASSERT_EQ(::chown(file.c_str(), 1000, 1000), 0);
  EXPECT_EQ(volume.mode("program"), 0777U);
  volume.remount();
  EXPECT_EQ(volume.mode("program"), 0777U);
}

TEST_F(MountForOthers, CreatesAsTheCaller) {
  MountedVolume volume(for_others());
  ASSERT_EQ(::mkdir(volume.path("shared").c_str(), 0), 0);
  ASSERT_EQ(::chown(volume.path("shared").c_str(), 0, 2000), 0);
  ASSERT_EQ(::chmod(volume.path("shared").c_str(), 02770), 0);
  const std::string file = volume.path("shared/theirs");
  EXPECT_EQ(
      as_user(1000, 1000, {}, [&] { return ::open(file.c_str(), O_CREAT | O_WRONLY, 0666) >= 0 ? 0 : 1; }), 1)
      << "the directory let somebody in";
  ASSERT_EQ(as_user(1000, 1000, {2000},
                    [&] {
                      ::umask(027);
                      return ::open(file.c_str(), O_CREAT | O_WRONLY, 0666) >= 0 ? 0 : 1;
                    }),
            0);
  struct stat attributes {};
  ASSERT_EQ(::stat(file.c_str(), &attributes), 0);
  EXPECT_EQ(attributes.st_uid, 1000U);
  EXPECT_EQ(attributes.st_gid, 2000U);
  EXPECT_EQ(attributes.st_mode & 07777, 0640U);
}

TEST_F(MountForOthers, LetsAnAccessListDecide) {
  MountedVolume volume(for_others());
  ASSERT_TRUE(
      volume.run("echo secret > file; chmod 600 file; setfacl -m u:1000:r file; getfacl -cn file | grep -q "
                 "user:1000:r"));
  const auto can_read = [&](uid_t uid) {
    return as_user(uid, uid, {},
                   [&] { return ::open(volume.path("file").c_str(), O_RDONLY) >= 0 ? 0 : 1; }) == 0;
  };
  EXPECT_TRUE(can_read(1000));
  EXPECT_FALSE(can_read(1001));
  volume.remount();
  EXPECT_TRUE(can_read(1000));
  EXPECT_FALSE(can_read(1001));
}

TEST_F(MountForOthers, LetsAGroupOfAnAccessListCreate) {
  MountedVolume volume(for_others());
  ASSERT_TRUE(volume.run(
      "mkdir d; chmod 700 d; setfacl -m g:3000:rwx d; setfacl -d -m u::rwx,g::r,o::-,u:1001:rw d"));
  const std::string file = volume.path("d/file");
  EXPECT_EQ(as_user(1000, 1000, {3000},
                    [&] { return ::open(file.c_str(), O_CREAT | O_WRONLY, 0666) >= 0 ? 0 : 1; }),
            0);
  EXPECT_TRUE(volume.run("getfacl -cn d/file | grep -q user:1001:rw && stat -c %u d/file | grep -qx 1000"));
}

}  // namespace
}  // namespace kmsfs::testing
