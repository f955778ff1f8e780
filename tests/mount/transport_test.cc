// The transport over real mounts of a file system that has one file.
#include <fcntl.h>
#include <sys/mount.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <fstream>
#include <thread>

#include "tests/mount/one_file_session.h"
#include "tests/support/eventually.h"

namespace kmsfs::testing {
namespace {

std::size_t open_descriptors() {
  const std::filesystem::directory_iterator entries("/proc/self/fd");
  return static_cast<std::size_t>(std::distance(begin(entries), end(entries)));
}

std::vector<char> aligned_pattern(std::size_t size) {
  std::vector<char> bytes(size);
  for (std::size_t i = 0; i < size; ++i) bytes[i] = static_cast<char>(i * 31 + i / 4096);
  return bytes;
}

class Reader {
 public:
  explicit Reader(std::string path)
      : thread_([path = std::move(path), this] {
          std::vector<char> buffer(64 << 10);
          while (!stop_) {
            const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_DIRECT));
            if (!fd) return;
            void* aligned = buffer.data();
            std::size_t room = buffer.size();
            std::align(4096, 32 << 10, aligned, room);
            for (off_t at = 0; at < static_cast<off_t>(OneFileSession::kSize) && !stop_; at += 32 << 10) {
              if (::pread(fd.get(), aligned, 32 << 10, at) < 0) return;
            }
          }
        }) {}
  ~Reader() {
    stop_ = true;
    thread_.join();
  }

 private:
  std::atomic<bool> stop_{false};
  std::thread thread_;
};

std::ptrdiff_t threads() {
  return std::distance(begin(std::filesystem::directory_iterator("/proc/self/task")), {});
}

class Transport : public ::testing::TestWithParam<TransportChoice> {
 protected:
  void SetUp() override {
    if (::geteuid() != 0 || ::access("/dev/fuse", R_OK | W_OK) != 0)
      GTEST_SKIP() << "needs root and /dev/fuse";
    if (const auto possible = fuse_over_io_uring_possible(); over_rings() && !possible)
      GTEST_SKIP() << possible.error().text;
  }
  static bool over_rings() { return GetParam() == TransportChoice::kRing; }
};
INSTANTIATE_TEST_SUITE_P(Over, Transport, ::testing::Values(TransportChoice::kDevice, TransportChoice::kRing),
                         [](const auto& over) {
                           return over.param == TransportChoice::kRing ? "Rings" : "TheDevice";
                         });

TEST_P(Transport, AgreesOnWhatDebiansLibfuseCannotAskFor) {
  OneFileSession session(4, GetParam());
  const auto negotiated = session.transport->figures().negotiated;
  for (const char* flag :
       {"parallel_dirops", "handle_killpriv_v2", "setxattr_ext", "posix_acl", "dont_mask", "cache_symlinks",
        "explicit_inval_data", "readdirplus", "max_pages", "async_read"}) {
    EXPECT_NE(std::find(negotiated.begin(), negotiated.end(), flag), negotiated.end()) << flag;
  }
  EXPECT_EQ(std::find(negotiated.begin(), negotiated.end(), "writeback_cache"), negotiated.end());
}

TEST(AutomaticTransport, IsTheDeviceWithTwoProcessorsAndRingsWithMoreIfTheKernelHasThem) {
  if (::geteuid() != 0 || ::access("/dev/fuse", R_OK | W_OK) != 0) GTEST_SKIP() << "needs root and /dev/fuse";
  OneFileSession session(4, TransportChoice::kAutomatic);
  const std::string name = session.transport->name();
  if (LeaderFollowers::is_for_this_machine()) {
    EXPECT_EQ(name, "/dev/fuse (with two processors it is the quicker one)");
  } else if (const auto possible = fuse_over_io_uring_possible(); possible) {
    EXPECT_EQ(name, "io_uring");
  } else {
    EXPECT_EQ(name, "/dev/fuse (" + possible.error().text + ")");
  }
}

TEST_P(Transport, ShowsItsTypeAndSourceInTheMountTable) {
  OneFileSession session(4, GetParam());
  std::ifstream mounts("/proc/self/mounts");
  const std::string all(std::istreambuf_iterator<char>(mounts), {});
  EXPECT_NE(all.find("one\\040file " + session.directory() + " fuse.kmsfs rw,nosuid,nodev"),
            std::string::npos);
}

TEST_P(Transport, CarriesAMebibyteInOneRequestEachWay) {
  OneFileSession session(4, GetParam());
  const UniqueFd fd(::open(session.file().c_str(), O_RDWR | O_DIRECT));
  ASSERT_TRUE(fd);
  constexpr std::size_t kMiB = 1 << 20;
  void* memory = nullptr;
  ASSERT_EQ(::posix_memalign(&memory, 4096, kMiB), 0);
  const std::unique_ptr<void, decltype(&::free)> owner(memory, &::free);
  const auto pattern = aligned_pattern(kMiB);
  std::memcpy(memory, pattern.data(), kMiB);
  ASSERT_EQ(::pwrite(fd.get(), memory, kMiB, kMiB), static_cast<ssize_t>(kMiB));
  std::memset(memory, 0, kMiB);
  ASSERT_EQ(::pread(fd.get(), memory, kMiB, kMiB), static_cast<ssize_t>(kMiB));
  EXPECT_EQ(std::memcmp(memory, pattern.data(), kMiB), 0);
  EXPECT_EQ(std::memcmp(session.content.data() + kMiB, pattern.data(), kMiB), 0);
  EXPECT_EQ(session.largest_write, kMiB);
  EXPECT_EQ(session.largest_read, kMiB);
}

TEST_P(Transport, HasAsManyRequestsUnderWayAsItHasWorkers) {
  OneFileSession session(3, GetParam());
  session.gate.hold();
  std::vector<std::thread> lookups;
  for (int i = 0; i < 3; ++i)
    lookups.emplace_back(
        [&, i] { ::access((session.directory() + "/absent" + std::to_string(i)).c_str(), F_OK); });
  // Three at once in one directory: workers run together, and the kernel does not put lookups in a row.
  EXPECT_TRUE(session.gate.wait_for_inside(3));
  session.gate.let_go();
  for (auto& lookup : lookups) lookup.join();
}

// As many programs as there may be workers are too many for a test; a hundred need several rounds of more.
TEST_P(Transport, ServesOthersWhileHundredProgramsWaitForSomethingSlow) {
  OneFileSession session(4, GetParam());
  session.gate.hold();
  std::vector<std::thread> programs;
  for (int i = 0; i < 100; ++i)
    programs.emplace_back(
        [&, i] { ::access((session.directory() + "/slow" + std::to_string(i)).c_str(), F_OK); });
  const bool all_wait = session.gate.wait_for_inside(100);
  EXPECT_TRUE(all_wait);
  if (all_wait) {  // and one that was added answers this
    EXPECT_NE(::access((session.directory() + "/quick").c_str(), F_OK), 0);
    EXPECT_EQ(errno, ENOENT);
  }
  session.gate.let_go();
  for (auto& program : programs) program.join();
}

TEST_P(Transport, KeepsNoMoreWorkersThanUsualOnceNobodyWaits) {
  OneFileSession session(2, GetParam());
  // The directory's attributes are known from here on. (Over rings, as many more workers may stay as had
  // quick requests at once: there are none but that of the end, on either queue.)
  EXPECT_EQ(::access(session.directory().c_str(), X_OK), 0);
  const auto usual = threads() + (over_rings() ? ::sysconf(_SC_NPROCESSORS_CONF) : 0);
  session.gate.hold();
  std::vector<std::thread> programs;
  for (int i = 0; i < 30; ++i)
    programs.emplace_back(
        [&, i] { ::access((session.directory() + "/slow" + std::to_string(i)).c_str(), F_OK); });
  EXPECT_TRUE(session.gate.wait_for_inside(30));
  session.gate.let_go();
  for (auto& program : programs) program.join();
  // Those that are idle end with the next request that they get.
  int asked = 0;
  EXPECT_TRUE(eventually([&] {
    ::access((session.directory() + "/quick" + std::to_string(++asked)).c_str(), F_OK);
    return threads() <= usual;
  })) << threads()
      << " threads instead of " << usual;
}

TEST_P(Transport, StopsWhileWorkersThatWereAddedAreAtWork) {
  OneFileSession session(2, GetParam());
  session.gate.hold();
  std::vector<std::thread> programs;
  for (int i = 0; i < 20; ++i)
    programs.emplace_back(
        [&, i] { ::access((session.directory() + "/slow" + std::to_string(i)).c_str(), F_OK); });
  EXPECT_TRUE(session.gate.wait_for_inside(20));
  std::thread releaser([&] { session.gate.let_go(); });
  session.transport->stop();
  releaser.join();
  EXPECT_TRUE(session.transport->wait_for(std::chrono::seconds(0)));
  session.transport->close();
  for (auto& program : programs) program.join();
}

TEST_P(Transport, HandsOnExtendedAttributesWithoutLosingBytes) {
  OneFileSession session(4, GetParam());
  ASSERT_EQ(::setxattr(session.file().c_str(), "user.a-long-enough-name", "value", 5, XATTR_CREATE), 0);
  session.last_attribute.with([](const OneFileSession::Attribute& attribute) {
    EXPECT_EQ(attribute.name, "user.a-long-enough-name");
    EXPECT_EQ(attribute.value, "value");
    EXPECT_EQ(attribute.flags, XATTR_CREATE);
  });
}

TEST_P(Transport, AsksForAnAnswerToWhatLibfuseDoesNotKnow) {
  OneFileSession session(4, GetParam());
  EXPECT_EQ(::open(session.directory().c_str(), O_TMPFILE | O_RDWR, 0600), -1);
  EXPECT_EQ(errno, EOPNOTSUPP);
  EXPECT_EQ(session.last_unknown, static_cast<std::uint32_t>(FUSE_TMPFILE));
}

TEST_P(Transport, CountsRequestsByNameAndErrorsByErrno) {
  OneFileSession session(4, GetParam());
  EXPECT_NE(::access((session.directory() + "/absent").c_str(), F_OK), 0);
  const auto figures = session.transport->figures();
  EXPECT_EQ(figures.operations.at("init"), 1U);
  EXPECT_GE(figures.operations.at("lookup"), 1U);
  EXPECT_GE(figures.errors.at("ENOENT"), 1U);
}

TEST_P(Transport, EndsWhenItIsUnmountedFromOutside) {
  OneFileSession session(4, GetParam());
  ASSERT_EQ(::access(session.file().c_str(), F_OK), 0);
  ASSERT_EQ(::umount2(session.directory().c_str(), 0), 0);
  EXPECT_TRUE(session.transport->wait_for(std::chrono::seconds(10)));
  EXPECT_FALSE(session.point.mounted());
}

TEST_P(Transport, EndsUnderLoadAfterALazyUnmountWhenTheLastFileIsClosed) {
  OneFileSession session(4, GetParam());
  {
    Reader one(session.file()), two(session.file()), three(session.file());
    while (session.largest_read == 0) std::this_thread::yield();
    EXPECT_EQ(::umount2(session.directory().c_str(), 0), -1);
    EXPECT_EQ(errno, EBUSY);
    ASSERT_EQ(::umount2(session.directory().c_str(), MNT_DETACH), 0);
  }
  EXPECT_TRUE(session.transport->wait_for(std::chrono::seconds(10)));
}

TEST_P(Transport, StopsWhileProgramsReadAndRepliesToWhatIsUnderWay) {
  OneFileSession session(4, GetParam());
  Reader one(session.file()), two(session.file());
  while (session.largest_read == 0) std::this_thread::yield();
  session.gate.hold();
  ASSERT_TRUE(session.gate.wait_for_inside(1));
  std::thread stopping([&] { session.transport->stop(); });
  EXPECT_FALSE(session.transport->wait_for(std::chrono::milliseconds(50))) << "a handler was abandoned";
  session.gate.let_go();
  stopping.join();
  session.transport->wait();
  session.transport->close();  // and the readers hear ENOTCONN, or this test would not end
}

TEST_P(Transport, StopsWhenAllWorkersAreIdle) {
  OneFileSession session(4, GetParam());
  session.transport->stop();
  EXPECT_TRUE(session.transport->wait_for(std::chrono::seconds(0)));
}

TEST_P(Transport, EndsWhenTheKernelAbortsTheConnection) {
  OneFileSession session(4, GetParam());
  const UniqueFd busy(::open(session.file().c_str(), O_RDONLY));
  ASSERT_TRUE(busy);
  EXPECT_EQ(::umount2(session.directory().c_str(), MNT_FORCE), -1);  // aborts, and stays because it is in use
  EXPECT_TRUE(session.transport->wait_for(std::chrono::seconds(10)));
  EXPECT_TRUE(session.point.mounted());
  EXPECT_TRUE(session.point.unmount(true).ok());
}

TEST_P(Transport, LeavesNoDescriptorBehind) {
  { OneFileSession first(4, GetParam()); }
  const std::size_t before = open_descriptors();
  for (int i = 0; i < 10; ++i) {
    OneFileSession session(4, GetParam());
    ASSERT_EQ(::access(session.file().c_str(), F_OK), 0);
  }
  EXPECT_EQ(open_descriptors(), before);
}

TEST_P(Transport, LeavesTheMountpointFree) {
  std::string directory;
  {
    OneFileSession session(4, GetParam());
    directory = session.directory();
    ASSERT_EQ(::access(session.file().c_str(), F_OK), 0);
  }
  std::ifstream mounts("/proc/self/mounts");
  const std::string all(std::istreambuf_iterator<char>(mounts), {});
  EXPECT_EQ(all.find(directory), std::string::npos);
}

}  // namespace
}  // namespace kmsfs::testing
