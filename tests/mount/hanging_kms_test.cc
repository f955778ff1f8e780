// A KMS that takes calls and does not answer, below a live mount.
#include <fcntl.h>
#include <sys/wait.h>

#include <atomic>
#include <future>
#include <thread>

#include "core/unique_fd.h"
#include "tests/support/crypto_environment.h"
#include "tests/support/mounted_volume.h"

namespace kmsfs::testing {
namespace {

class HangingKms : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!MountedVolume::possible()) GTEST_SKIP() << "needs /dev/fuse";
    volume_ = std::make_unique<MountedVolume>();
    volume_->write("open", "open");
    volume_->write("closed", "closed");
    volume_->remount();  // nothing is cached from here on
    fd_.reset(::open(volume_->path("open").c_str(), O_RDWR | O_CLOEXEC));
    ASSERT_TRUE(fd_);
    volume_->server().hold_answers();
  }
  void TearDown() override {
    if (IsSkipped()) return;
    volume_->server().release_answers();
    if (waiting_.joinable()) waiting_.join();
    fd_.reset();
    volume_.reset();
  }
  // A program that opens what needs the KMS, and waits for it. Its errno goes to `heard_`.
  void start_to_wait() {
    waiting_ = std::thread([this] {
      const UniqueFd fd(::open(volume_->path("closed").c_str(), O_RDONLY | O_CLOEXEC));
      heard_ = fd ? 0 : errno;
    });
    volume_->server().wait_for_held(1);
  }

  std::unique_ptr<MountedVolume> volume_;
  UniqueFd fd_;
  std::thread waiting_;
  std::atomic<int> heard_{-1};
};

TEST_F(HangingKms, HoldsUpNeitherNamesNorAttributesNorOpenFiles) {
  start_to_wait();
  EXPECT_TRUE(
      volume_->run("ls -l; stat open closed; mkdir d; mv closed d/moved; mv d/moved closed; rmdir d; "
                   "chmod 600 closed; touch -h -d 2001-01-01 closed; ln closed link; rm link; df .",
                   20));
  char text[5] = {};
  EXPECT_EQ(::pread(fd_.get(), text, 4, 0), 4);
  EXPECT_STREQ(text, "open");
  EXPECT_EQ(::pwrite(fd_.get(), "good", 4, 0), 4);
  EXPECT_EQ(::fsync(fd_.get()), 0);
  EXPECT_EQ(heard_, -1) << "nobody answered yet";
}

TEST_F(HangingKms, DoesNotKeepTheMountpoint) {
  start_to_wait();
  fd_.reset();
  // Lazily, as the program still waits in there: the mountpoint is free at once, and nothing new comes in.
  auto stopping = std::async(std::launch::async, [&] { volume_->mounted().stop(); });
  bool free = false;
  for (int i = 0; i < 2000 && !free; ++i) {
    free = run_script("mountpoint -q " + volume_->path(), 5).status != 0;
    if (!free) ::usleep(10000);
  }
  EXPECT_TRUE(free) << "the mountpoint is still taken";
  // The daemon itself ends with the call under way, which providers give up at their deadline.
  volume_->server().release_answers();
  EXPECT_EQ(stopping.wait_for(std::chrono::seconds(30)), std::future_status::ready);
}

TEST_F(HangingKms, TellsAProgramWhenItGivesUp) {
  start_to_wait();
  volume_->server().set_reachable(false);  // from now on; the first call was decided before
  std::thread second([&] {
    const UniqueFd fd(::open(volume_->path("new").c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
    EXPECT_EQ(fd ? 0 : errno, EKEYEXPIRED);
  });
  volume_->server().wait_for_held(2);
  volume_->server().release_answers();
  second.join();
  waiting_.join();
  EXPECT_EQ(heard_, 0);
}

}  // namespace
}  // namespace kmsfs::testing
