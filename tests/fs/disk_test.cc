#include "fs/disk.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <limits>

#include "core/random.h"
#include "fs/errno.h"
#include "tests/support/temporary_directory.h"

namespace kmsfs::testing {
namespace {

class DiskTest : public ::testing::Test {
 protected:
  UniqueFd path_of(const std::string& name) {
    auto fd = disk_.open_at(directory_.get(), name, O_PATH, 0);
    EXPECT_TRUE(fd.ok()) << name;
    return fd ? std::move(*fd) : UniqueFd();
  }

  TemporaryDirectory scratch_;
  UniqueFd directory_ = scratch_.open();
  RealDisk disk_;
};

TEST_F(DiskTest, AReadComesBackShortOnlyAtTheEndOfTheFile) {
  scratch_.write("file", "hello");
  auto fd = disk_.open_at(directory_.get(), "file", O_RDWR, 0);
  ASSERT_TRUE(fd.ok());
  std::array<std::byte, 8> out{};
  EXPECT_EQ(*disk_.read_at(fd->get(), 1, out), 4U);
  EXPECT_EQ(as_text(std::span(out).first(4)), "ello");
  EXPECT_EQ(*disk_.read_at(fd->get(), 5, out), 0U);
  ASSERT_TRUE(disk_.write_at(fd->get(), 5, as_bytes(" world")).ok());
  EXPECT_EQ(scratch_.read("file"), "hello world");
  ASSERT_TRUE(disk_.resize(fd->get(), 4).ok());
  EXPECT_EQ(scratch_.read("file"), "hell");
}

TEST_F(DiskTest, OffsetsThatNoFileHasAreErrorsNotNegativeNumbers) {
  scratch_.write("file", "hello");
  auto fd = disk_.open_at(directory_.get(), "file", O_RDWR, 0);
  const std::uint64_t beyond = std::uint64_t{1} << 63;
  std::array<std::byte, 8> buffer{};
  EXPECT_FALSE(disk_.read_at(fd->get(), beyond, buffer).ok());
  EXPECT_EQ(disk_.write_at(fd->get(), beyond - 4, buffer).error().system_errno, EFBIG);
  EXPECT_EQ(disk_.resize(fd->get(), beyond).error().system_errno, EFBIG);
  EXPECT_EQ(disk_.allocate(fd->get(), 0, 1, ~std::uint64_t{0}).error().system_errno, EFBIG);
  EXPECT_EQ(disk_.seek(fd->get(), beyond, SEEK_DATA).error().system_errno, ENXIO);
}

TEST_F(DiskTest, ASymbolicLinkIsNeverFollowed) {
  scratch_.write("target", "secret");
  ASSERT_TRUE(disk_.symlink_at("target", directory_.get(), "link").ok());
  EXPECT_EQ(disk_.open_at(directory_.get(), "link", O_RDONLY, 0).error().system_errno, ELOOP);
  EXPECT_TRUE(S_ISLNK(disk_.stat_at(directory_.get(), "link")->st_mode));
  const UniqueFd link = path_of("link");
  EXPECT_TRUE(S_ISLNK(disk_.stat(link.get())->st_mode));
  EXPECT_EQ(*disk_.read_link(link.get()), "target");
  EXPECT_FALSE(disk_.reopen(link.get(), O_RDONLY).ok());
}

TEST_F(DiskTest, AttributesOfALinkAreTheLinksOwn) {
  scratch_.write("target", "x");
  ASSERT_TRUE(disk_.symlink_at("target", directory_.get(), "link").ok());
  const UniqueFd link = path_of("link");
  const timespec times[2] = {{1000, 1}, {2000, 2}};
  ASSERT_TRUE(disk_.change_times(link.get(), times).ok());
  EXPECT_EQ(disk_.stat_at(directory_.get(), "link")->st_mtim.tv_sec, 2000);
  EXPECT_EQ(disk_.stat_at(directory_.get(), "link")->st_mtim.tv_nsec, 2);
  EXPECT_NE(disk_.stat_at(directory_.get(), "target")->st_mtim.tv_sec, 2000);
  EXPECT_TRUE(disk_.change_owner(link.get(), ::getuid(), ::getgid()).ok());
  EXPECT_FALSE(disk_.set_xattr(link.get(), "user.a", as_bytes("1"), 0).ok()) << "Linux has none on links";
  EXPECT_FALSE(disk_.get_xattr(path_of("target").get(), "user.a").ok()) << "and the target gets none";
  ASSERT_TRUE(disk_.link_at(link.get(), directory_.get(), "second").ok());
  EXPECT_TRUE(S_ISLNK(disk_.stat_at(directory_.get(), "second")->st_mode));
}

TEST_F(DiskTest, AnOPathDescriptorIsEnoughForAttributesLinksAndReopening) {
  scratch_.write("file", "content");
  const UniqueFd path = path_of("file");
  ASSERT_TRUE(disk_.change_mode(path.get(), 0640).ok());
  EXPECT_EQ(disk_.stat(path.get())->st_mode & 07777U, 0640U);
  ASSERT_TRUE(disk_.change_owner(path.get(), ::getuid(), static_cast<gid_t>(-1)).ok());
  const timespec times[2] = {{0, UTIME_OMIT}, {1234, 5678}};
  ASSERT_TRUE(disk_.change_times(path.get(), times).ok());
  EXPECT_EQ(disk_.stat(path.get())->st_mtim.tv_nsec, 5678);
  ASSERT_TRUE(disk_.link_at(path.get(), directory_.get(), "second").ok());
  EXPECT_EQ(disk_.stat(path.get())->st_nlink, 2U);
  EXPECT_EQ(disk_.link_at(path.get(), directory_.get(), "second").error().kind, Kind::kExists);
  auto opened = disk_.reopen(path.get(), O_RDONLY);
  ASSERT_TRUE(opened.ok());
  std::array<std::byte, 7> out{};
  EXPECT_EQ(*disk_.read_at(opened->get(), 0, out), 7U);
  EXPECT_TRUE(disk_.stat_file_system(path.get()).ok());
  const auto born = disk_.birth_time(path.get());
  ASSERT_TRUE(born.ok());
  if (*born) {
    EXPECT_GT((*born)->tv_sec, 1'000'000'000);
  }
}

TEST_F(DiskTest, ExtendedAttributesOfAnySizeComeBackWhole) {
  scratch_.write("file", "");
  const UniqueFd path = path_of("file");
  for (std::size_t size : {0, 1, 255, 256, 257, 2000}) {
    Bytes value(size);
    random_bytes(value);
    const auto set = disk_.set_xattr(path.get(), "user.value", value, 0);
    if (!set && set.error().system_errno == EOPNOTSUPP) GTEST_SKIP() << "no xattrs on this file system";
    ASSERT_TRUE(set.ok()) << size;
    EXPECT_EQ(*disk_.get_xattr(path.get(), "user.value"), value);
  }
  EXPECT_EQ(disk_.set_xattr(path.get(), "user.value", {}, XATTR_CREATE).error().system_errno, EEXIST);
  for (int i = 0; i < 20; ++i) {
    ASSERT_TRUE(
        disk_.set_xattr(path.get(), "user." + std::string(60, 'n') + std::to_string(i), as_bytes("1"), 0)
            .ok());
  }
  EXPECT_EQ(disk_.list_xattr(path.get())->size(), 21U);
  ASSERT_TRUE(disk_.remove_xattr(path.get(), "user.value").ok());
  EXPECT_EQ(disk_.get_xattr(path.get(), "user.value").error().system_errno, ENODATA);
}

TEST_F(DiskTest, APlantedFifoBlocksNobody) {
  ASSERT_TRUE(disk_.make_node_at(directory_.get(), "fifo", S_IFIFO | 0600, 0).ok());
  EXPECT_TRUE(
      disk_.open_at(directory_.get(), "fifo", O_RDONLY, 0).ok());  // returns, with nobody at the other end
}

TEST_F(DiskTest, EntriesAreMadeRenamedAndRemoved) {
  ASSERT_TRUE(disk_.make_directory_at(directory_.get(), "directory", 0700).ok());
  scratch_.write("file", "1");
  ASSERT_TRUE(disk_.rename_at(directory_.get(), "file", directory_.get(), "other", RENAME_NOREPLACE).ok());
  scratch_.write("file", "2");
  EXPECT_EQ(
      disk_.rename_at(directory_.get(), "file", directory_.get(), "other", RENAME_NOREPLACE).error().kind,
      Kind::kExists);
  ASSERT_TRUE(disk_.rename_at(directory_.get(), "file", directory_.get(), "other", RENAME_EXCHANGE).ok());
  EXPECT_EQ(scratch_.read("file"), "1");
  ASSERT_TRUE(disk_.unlink_at(directory_.get(), "file", 0).ok());
  EXPECT_EQ(disk_.unlink_at(directory_.get(), "file", 0).error().kind, Kind::kNotFound);
  ASSERT_TRUE(disk_.unlink_at(directory_.get(), "directory", AT_REMOVEDIR).ok());
}

TEST_F(DiskTest, AFileWithoutANameCanBeMade) {
  auto fd = disk_.open_at(directory_.get(), ".", O_TMPFILE | O_RDWR, 0600);
  if (!fd && fd.error().system_errno == EOPNOTSUPP) GTEST_SKIP() << "no O_TMPFILE on this file system";
  ASSERT_TRUE(fd.ok());
  ASSERT_TRUE(disk_.write_at(fd->get(), 0, as_bytes("x")).ok());
  ASSERT_TRUE(disk_.link_at(fd->get(), directory_.get(), "named").ok());
  EXPECT_EQ(scratch_.read("named"), "x");
}

TEST(Errno, AuthenticationAndKeysAreNeverENOENTOrEPERM) {
  const std::pair<Kind, int> expected[] = {{Kind::kDenied, EACCES},
                                           {Kind::kDisabled, EKEYREVOKED},
                                           {Kind::kKeyGone, ENOKEY},
                                           {Kind::kExpired, EKEYEXPIRED},
                                           {Kind::kUnavailable, EKEYEXPIRED},
                                           {Kind::kThrottled, EKEYEXPIRED},
                                           {Kind::kCorrupt, EIO},
                                           {Kind::kUnsupported, EOPNOTSUPP},
                                           {Kind::kNoSpace, ENOSPC},
                                           {Kind::kNotFound, ENOENT},
                                           {Kind::kExists, EEXIST},
                                           {Kind::kInvalid, EINVAL},
                                           {Kind::kNoMemory, ENOMEM},
                                           {Kind::kBusy, EBUSY},
                                           {Kind::kInternal, EIO}};
  for (const auto& [kind, number] : expected)
    EXPECT_EQ(to_errno(error(kind, "x")), number) << to_string(kind);
  EXPECT_EQ(to_errno(Error::from_errno(EXDEV)), EXDEV);
}

}  // namespace
}  // namespace kmsfs::testing
