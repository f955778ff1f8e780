// The kernel's mount table, and which mount a user's path means.
#include "cli/mount_table.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

namespace kmsfs::cli {
namespace {

constexpr const char* kTable =
    "22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw\n"
    "40 22 0:51 / /home/ada/my\\040files rw,nosuid,nodev shared:7 master:2 - fuse.kmsfs /srv/box "
    "rw,user_id=1000,group_id=1000\n"
    "41 22 0:52 / /home/ada/my\\040files rw - fuse.kmsfs /srv/upper rw,user_id=0\n"
    "not a line of that form\n";

TEST(MountTable, NamesWithSpacesAreReadBack) {
  const auto table = parse_mount_table(kTable);
  ASSERT_EQ(table.size(), 3u);
  EXPECT_EQ(table[1].mountpoint, "/home/ada/my files");
  EXPECT_EQ(table[1].type, "fuse.kmsfs");
  EXPECT_EQ(table[1].source, "/srv/box");
  EXPECT_EQ(table[1].device, makedev(0, 51));
  EXPECT_EQ(table[1].owner(), 1000u);
}

TEST(MountTable, OfTwoMountsOnOnePlaceTheLastIsSeen) {
  const auto found = find_mount(parse_mount_table(kTable), std::string("/home/ada/my files"));
  // The directory does not exist here; a mount is found by its name all the same where the parent does.
  EXPECT_FALSE(found);
  const auto by_device = find_mount(parse_mount_table(kTable), makedev(0, 52));
  ASSERT_TRUE(by_device);
  EXPECT_EQ(by_device->source, "/srv/upper");
}

TEST(MountTable, OneNameIsFoundHoweverItIsTyped) {
  auto table = parse_mount_table("40 22 0:51 / /proc/sys rw - fuse.kmsfs /box rw\n");
  for (const char* typed : {"/proc/sys", "/proc/sys/", "/proc/./sys", "/proc/self/../sys/"}) {
    EXPECT_TRUE(find_mount(table, std::string(typed))) << typed;
  }
  EXPECT_FALSE(find_mount(table, std::string("/proc/sys/kernel")));
}

TEST(MountTable, TheRunningKernelsTableHasTheRoot) {
  const auto table = read_mount_table();
  ASSERT_TRUE(table);
  EXPECT_TRUE(find_mount(*table, std::string("/")));
}

}  // namespace
}  // namespace kmsfs::cli
