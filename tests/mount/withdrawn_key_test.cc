// A master key disabled, or permission to use it withdrawn, while programs work in a mount.
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include <chrono>
#include <functional>
#include <thread>

#include "core/unique_fd.h"
#include "tests/mount/command_mount.h"
#include "tests/mount/owner_of_kms.h"
#include "tests/support/crypto_environment.h"
#include "tests/support/eventually.h"
#include "tests/support/mounted_volume.h"

namespace kmsfs::testing {
namespace {

// The bound of these mounts: keys live two seconds, and are looked at once a second. Slow machines get more.
constexpr auto kPatience = std::chrono::seconds(25);

bool comes_true(const std::function<bool()>& condition) { return eventually(condition, kPatience); }

// 0, or the errno with which the call failed.
int error_of(ssize_t result) { return result < 0 ? errno : 0; }
int error_of_reading(int fd) {
  char byte = 0;
  return error_of(::pread(fd, &byte, 1, 0));
}
int error_of_opening(const std::string& path, int flags = O_RDONLY) {
  const UniqueFd fd(::open(path.c_str(), flags | O_CLOEXEC, 0600));
  return fd ? 0 : errno;
}

// A file mapped whole, touched by a process of its own: the signal that ended that, or 0.
class Mapping {
 public:
  Mapping(int fd, std::size_t size)
      : size_(size),
        at_(static_cast<char*>(::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0))) {}
  ~Mapping() { ::munmap(at_, size_); }
  Mapping(const Mapping&) = delete;
  Mapping& operator=(const Mapping&) = delete;

  bool good() const { return at_ != MAP_FAILED; }
  int signal_of_reading() const {
    return signal_of([this] { static_cast<void>(*static_cast<volatile char*>(at_ + size_ - 1)); });
  }
  int signal_of_writing() const {
    return signal_of([this] { *static_cast<volatile char*>(at_) = 'm'; });
  }

 private:
  template <typename Act>
  static int signal_of(Act&& act) {
    const pid_t child = ::fork();
    if (child == 0) {
      ::signal(SIGBUS, SIG_DFL);
      act();
      ::_exit(0);
    }
    int status = -1;
    ::waitpid(child, &status, 0);
    return WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status);
  }

  std::size_t size_;
  char* at_;
};

class WithdrawnKey : public ::testing::Test {
 protected:
  static constexpr std::size_t kSize = 100000;

  void SetUp() override {
    if (!MountedVolume::possible()) GTEST_SKIP() << "needs /dev/fuse";
    ASSERT_TRUE(volume_.init("--key " + owner_.key()));
    ASSERT_TRUE(volume_.mount("--key-age 2"));
    volume_.write("file", content_);
    fd_.reset(::open(volume_.path("file").c_str(), O_RDWR | O_CLOEXEC));
    ASSERT_TRUE(fd_);
    mapping_ = std::make_unique<Mapping>(fd_.get(), kSize);
    ASSERT_TRUE(mapping_->good());
    ASSERT_EQ(mapping_->signal_of_reading(), 0);
    ASSERT_EQ(::fsync(fd_.get()), 0);
  }
  void TearDown() override {
    mapping_.reset();
    fd_.reset();
    if (!IsSkipped() && !HasFatalFailure()) {
      EXPECT_TRUE(volume_.unmount());
    }
  }

  // All that a program can do with content ends in `error_number`; names stay.
  void expect_nothing_works(int error_number) {
    ASSERT_TRUE(comes_true([&] { return error_of_reading(fd_.get()) != 0; }))
        << "an open descriptor still reads";
    EXPECT_EQ(error_of_reading(fd_.get()), error_number);
    EXPECT_EQ(error_of_opening(volume_.path("file")), error_number);
    EXPECT_EQ(error_of_opening(volume_.path("file"), O_WRONLY | O_TRUNC), error_number);
    EXPECT_EQ(error_of_opening(volume_.path("new"), O_WRONLY | O_CREAT), error_number);
    EXPECT_EQ(error_of(::truncate(volume_.path("file").c_str(), 1)), error_number);
    EXPECT_TRUE(comes_true([&] { return mapping_->signal_of_reading() == SIGBUS; }))
        << "a mapping still reads";
    EXPECT_EQ(mapping_->signal_of_writing(), SIGBUS);
    EXPECT_TRUE(volume_.in_mount("ls -l file && mv file other && mv other file && mkdir d && rmdir d", 20));
  }
  void expect_all_works() {
    ASSERT_TRUE(comes_true([&] { return error_of_reading(fd_.get()) == 0; })) << "it did not heal";
    EXPECT_TRUE(comes_true([&] { return mapping_->signal_of_reading() == 0; })) << "a mapping did not heal";
    EXPECT_EQ(volume_.read("file"), content_);
    EXPECT_EQ(error_of(::pwrite(fd_.get(), "again", 5, 0)), 0);
    EXPECT_EQ(error_of(::fsync(fd_.get())), 0);
    EXPECT_EQ(volume_.read("file"), "again" + content_.substr(5));
    EXPECT_EQ(error_of_opening(volume_.path("new"), O_WRONLY | O_CREAT | O_EXCL), 0);
  }

  const std::string content_ = std::string(kSize, 'x');
  CommandMount volume_;
  OwnerOfKms owner_{volume_.top() + "/kms"};
  UniqueFd fd_;
  std::unique_ptr<Mapping> mapping_;
};

TEST_F(WithdrawnKey, ADisabledKeyEndsOpenFilesMappingsAndOpensWithEKEYREVOKEDAndEnablingItHeals) {
  owner_.disable(owner_.key());
  expect_nothing_works(EKEYREVOKED);
  owner_.enable(owner_.key());
  expect_all_works();
  ASSERT_TRUE(volume_.in_mount("test -e new; rm new"));
}

TEST_F(WithdrawnKey, PermissionTakenAwayIsEACCESAndGivenBackHeals) {
  owner_.withdraw_permission();
  expect_nothing_works(EACCES);
  owner_.give_permission_back();
  expect_all_works();
}

TEST_F(WithdrawnKey, WhatWasWrittenBeforeIsThereAfterItHeals) {
  ASSERT_EQ(error_of(::pwrite(fd_.get(), "before", 6, 0)), 0);
  owner_.disable(owner_.key());
  ASSERT_TRUE(comes_true([&] { return error_of_reading(fd_.get()) != 0; }));
  owner_.enable(owner_.key());
  ASSERT_TRUE(comes_true([&] { return error_of_reading(fd_.get()) == 0; }));
  EXPECT_EQ(volume_.read("file").substr(0, 6), "before");
  mapping_.reset();
  fd_.reset();
  ASSERT_TRUE(volume_.remount());
  EXPECT_EQ(volume_.read("file"), "before" + content_.substr(6));
}

TEST_F(WithdrawnKey, AMountUnderAnotherKeyOfTheSameKmsGoesOn) {
  const std::string other = volume_.top() + "/other", there = volume_.top() + "/other-mnt";
  ASSERT_EQ(::mkdir(there.c_str(), 0755), 0);
  auto made = volume_.kmsfs("init --kms " + volume_.kms() + " --key " + owner_.create_key() + " " + other);
  ASSERT_EQ(made.status, 0) << made.output;
  const MountWatchdog watchdog(there);
  made = volume_.kmsfs("mount --key-age 2 " + other + " " + there);
  ASSERT_EQ(made.status, 0) << made.output;
  const UniqueFd file(::open((there + "/file").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  ASSERT_EQ(error_of(::write(file.get(), "goes on", 7)), 0);
  owner_.disable(owner_.key());
  ASSERT_TRUE(comes_true([&] { return error_of_reading(fd_.get()) == EKEYREVOKED; }));
  EXPECT_EQ(error_of_reading(file.get()), 0);
  EXPECT_EQ(error_of(::fsync(file.get())), 0);
  EXPECT_EQ(error_of_opening(there + "/file"), 0);
  EXPECT_EQ(error_of_opening(there + "/new", O_CREAT | O_WRONLY), 0);
  EXPECT_EQ(volume_.kmsfs("umount --lazy " + there).status, 0);
}

// Long before its age is over: a key in use is asked after.
TEST(WithdrawnKeyInProcess, AProbeHearsOfItWithinItsInterval) {
  if (!MountedVolume::possible()) GTEST_SKIP() << "needs /dev/fuse";
  MountedVolumeParts parts;
  parts.keys.probe_interval = std::chrono::seconds(1);
  MountedVolume volume(std::move(parts));
  const std::string content(20000, 'x');
  volume.write("file", content);
  UniqueFd fd(::open(volume.path("file").c_str(), O_RDWR | O_CLOEXEC));
  {
    const Mapping mapping(fd.get(), content.size());
    ASSERT_EQ(mapping.signal_of_reading(), 0);
    volume.server().disable(volume.key());
    EXPECT_TRUE(comes_true([&] { return error_of_reading(fd.get()) == EKEYREVOKED; }));
    EXPECT_TRUE(comes_true([&] { return mapping.signal_of_reading() == SIGBUS; }));
    volume.server().enable(volume.key());
    EXPECT_TRUE(comes_true([&] { return mapping.signal_of_reading() == 0; }));
    EXPECT_EQ(volume.read("file"), content);
  }
  fd.reset();
}

}  // namespace
}  // namespace kmsfs::testing
