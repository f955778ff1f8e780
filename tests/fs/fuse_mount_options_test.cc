#include <gtest/gtest.h>
#include <unistd.h>

#include "fs/mount_point.h"
#include "tests/support/temporary_directory.h"

namespace kmsfs {
namespace {

TEST(MountOptions, TakeTheWordsOfMount8) {
  MountOptions options;
  for (const char* word :
       {"ro", "noexec", "suid", "dev", "allow_other", "noatime", "fsname=here", "subtype=mine"}) {
    const auto taken = options.take(word);
    ASSERT_TRUE(taken.ok()) << word;
    EXPECT_TRUE(*taken) << word;
  }
  EXPECT_TRUE(options.read_only && options.noexec && options.allow_other && options.noatime);
  EXPECT_FALSE(options.nosuid || options.nodev);
  EXPECT_EQ(options.source, "here");
  EXPECT_EQ(options.subtype, "mine");
}

TEST(MountOptions, TheLastWordCounts) {
  MountOptions options;
  for (const char* word : {"ro", "rw", "exec", "noexec", "xattr", "noxattr", "busywait", "nobusywait"})
    ASSERT_TRUE(options.take(word).ok());
  EXPECT_FALSE(options.read_only);
  EXPECT_TRUE(options.noexec);
  EXPECT_FALSE(options.extended_attributes);
  EXPECT_FALSE(options.busy_wait);
}

TEST(MountOptions, LetTheKernelCheckPermissionsWhereOthersMayEnter) {
  MountOptions options;
  EXPECT_EQ(options.kernel_checks_permissions(), ::geteuid() != 0);
  for (const char* word : {"allow_other", "default_permissions"}) {
    MountOptions more;
    ASSERT_TRUE(more.take(word).ok());
    EXPECT_TRUE(more.kernel_checks_permissions()) << word;
  }
}

TEST(MountOptions, IgnoreWhatIsForOthers) {
  MountOptions options;
  for (const char* word : {"defaults", "_netdev", "nofail", "x-systemd.automount"}) {
    const auto taken = options.take(word);
    ASSERT_TRUE(taken.ok()) << word;
    EXPECT_TRUE(*taken) << word;
  }
}

TEST(MountOptions, LeaveUnknownWordsToTheCaller) {
  MountOptions options;
  for (const char* word : {"", "key_age=5", "nonsense", "ro=1", "=", "RO"}) {
    const auto taken = options.take(word);
    ASSERT_TRUE(taken.ok()) << word;
    EXPECT_FALSE(*taken) << word;
  }
}

TEST(MountOptions, RefuseValuesThatCannotBe) {
  MountOptions options;
  for (const char* word : {"workers=0", "workers=65", "workers=two", "workers=4x",
                           "workers=", "subtype=", "transport=", "transport=uring"})
    EXPECT_FALSE(options.take(word).ok()) << word;
}

TEST(MountOptions, ChooseATransport) {
  MountOptions options;
  EXPECT_EQ(options.transport, TransportChoice::kAutomatic);
  for (const auto& [word, choice] : {std::pair("transport=device", TransportChoice::kDevice),
                                     {"transport=ring", TransportChoice::kRing},
                                     {"transport=auto", TransportChoice::kAutomatic}}) {
    ASSERT_TRUE(options.take(word).ok());
    EXPECT_EQ(options.transport, choice) << word;
  }
}

TEST(MountPoint, RefusesAFileAndANameThatIsNotThere) {
  const testing::TemporaryDirectory directory;
  directory.write("file", "x");
  MountOptions options;
  options.mountpoint = (directory.path() / "file").string();
  EXPECT_EQ(MountPoint::mount(options).error().kind, Kind::kInvalid);
  options.mountpoint = (directory.path() / "absent").string();
  EXPECT_EQ(MountPoint::mount(options).error().kind, Kind::kNotFound);
}

}  // namespace
}  // namespace kmsfs
