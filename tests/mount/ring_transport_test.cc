// What only the transport over io_uring can get wrong: its beginning and end, many programs at once, and a
// machine that has no rings.
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>
#include <random>
#include <thread>

#include "tests/mount/one_file_session.h"

namespace kmsfs::testing {
namespace {

using Clock = std::chrono::steady_clock;

class RingTransport : public ::testing::Test {
 protected:
  void SetUp() override {
    if (::geteuid() != 0 || ::access("/dev/fuse", R_OK | W_OK) != 0)
      GTEST_SKIP() << "needs root and /dev/fuse";
    if (const auto possible = fuse_over_io_uring_possible(); !possible) GTEST_SKIP() << possible.error().text;
  }
};

// Runs `program` in some threads until the time is up.
template <typename Program>
void run_together(int count, std::chrono::milliseconds time, Program program) {
  std::atomic<bool> stop{false};
  std::vector<std::thread> threads;
  for (int i = 0; i < count; ++i)
    threads.emplace_back([&, i] {
      for (std::mt19937 random(static_cast<unsigned>(i)); !stop;) program(i, random);
    });
  std::this_thread::sleep_for(time);
  stop = true;
  for (auto& thread : threads) thread.join();
}

std::size_t resident_kib() {
  std::ifstream file("/proc/self/status");
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with("VmRSS:")) return std::stoul(line.substr(6));
  }
  return 0;
}

// Of this process, which the transport is part of.
std::chrono::nanoseconds processor_time() {
  timespec now{};
  ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
  return std::chrono::seconds(now.tv_sec) + std::chrono::nanoseconds(now.tv_nsec);
}

TEST_F(RingTransport, SaysWhatItIs) {
  OneFileSession over_rings(4, TransportChoice::kRing);
  EXPECT_EQ(over_rings.transport->name(), "io_uring");
}

TEST_F(RingTransport, ServesEveryProgramWhileItsRingsComeAndGo) {
  const auto until = Clock::now() + std::chrono::seconds(5);
  for (int mounts = 0; mounts < 50 && Clock::now() < until; ++mounts) {
    OneFileSession session(4, TransportChoice::kRing);
    std::vector<std::thread> programs;
    std::atomic<int> served{0};
    for (int i = 0; i < 8; ++i)
      programs.emplace_back([&] {
        char byte = 0;
        const UniqueFd fd(::open(session.file().c_str(), O_RDONLY));
        served += fd && ::pread(fd.get(), &byte, 1, 0) == 1 ? 1 : 0;
      });
    for (auto& program : programs) program.join();
    ASSERT_EQ(served, 8);
    ASSERT_EQ(::umount2(session.directory().c_str(), 0), 0);
    ASSERT_TRUE(session.transport->wait_for(std::chrono::seconds(10)));
  }
}

TEST_F(RingTransport, StopsInTheMiddleOfALoadWithoutHoldingAnybodyUp) {
  const auto until = Clock::now() + std::chrono::seconds(5);
  for (int mounts = 0; mounts < 20 && Clock::now() < until; ++mounts) {
    OneFileSession session(4, TransportChoice::kRing);
    std::thread stopping([&] {
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
      session.transport->stop();
      session.transport->wait();
      session.transport->close();
    });
    run_together(6, std::chrono::milliseconds(60), [&](int i, std::mt19937&) {
      std::vector<char> bytes(64 << 10);
      const UniqueFd fd(::open(session.file().c_str(), O_RDWR));
      if (!fd) return;
      static_cast<void>(::pwrite(fd.get(), bytes.data(), bytes.size(), i << 20) == 1);
      static_cast<void>(::pread(fd.get(), bytes.data(), bytes.size(), i << 20) == 1);
    });
    stopping.join();
  }
}

TEST_F(RingTransport, LosesNoWriteAndLeavesNoProgramWaitingUnderWriteback) {
  OneFileSession session(4, TransportChoice::kRing, true);
  constexpr std::size_t kPart = OneFileSession::kSize / 4, kUnit = 4096;
  std::vector<std::vector<char>> written(4, std::vector<char>(kPart));
  std::atomic<std::size_t> rounds{0};
  // Each writes its part, small and large, syncs, drops the pages and reads them back.
  run_together(4, std::chrono::seconds(6), [&](int i, std::mt19937& random) {
    auto& mine = written[static_cast<std::size_t>(i)];
    const off_t start = i * static_cast<off_t>(kPart);
    const UniqueFd fd(::open(session.file().c_str(), O_RDWR));
    ASSERT_TRUE(fd);
    for (int writes = 0; writes < 40; ++writes) {
      const std::size_t size = writes % 10 == 0 ? kPart / 2 : 1 + random() % kUnit;
      const std::size_t at = random() % (kPart - size);
      std::memset(mine.data() + at, static_cast<int>(random() % 256), size);
      ASSERT_EQ(::pwrite(fd.get(), mine.data() + at, size, start + static_cast<off_t>(at)),
                static_cast<ssize_t>(size));
    }
    ASSERT_EQ(::fdatasync(fd.get()) == 0 || errno == ENOSYS, true);
    ::posix_fadvise(fd.get(), start, kPart, POSIX_FADV_DONTNEED);
    std::vector<char> back(kPart);
    ASSERT_EQ(::pread(fd.get(), back.data(), kPart, start), static_cast<ssize_t>(kPart));
    ASSERT_TRUE(back == mine);
    ++rounds;
  });
  EXPECT_GE(rounds, 4U);
  ASSERT_EQ(::umount2(session.directory().c_str(), 0), 0);
  EXPECT_TRUE(session.transport->wait_for(std::chrono::seconds(10)));
  for (std::size_t i = 0; i < 4; ++i)
    EXPECT_EQ(std::memcmp(session.content.data() + i * kPart, written[i].data(), kPart), 0);
}

TEST_F(RingTransport, ServesOthersWhileThreeHundredProgramsOfOneProcessorWait) {
  OneFileSession session(4, TransportChoice::kRing);
  cpu_set_t before, one;
  ASSERT_EQ(::sched_getaffinity(0, sizeof before, &before), 0);
  CPU_ZERO(&one);
  CPU_SET(0, &one);
  const bool together = ::sched_setaffinity(0, sizeof one, &one) == 0;  // where a machine lets us
  session.gate.hold();
  std::vector<std::thread> programs;
  for (int i = 0; i < 300; ++i)
    programs.emplace_back(
        [&, i] { ::access((session.directory() + "/slow" + std::to_string(i)).c_str(), F_OK); });
  if (together && std::thread::hardware_concurrency() <= 4) {  // a queue has fewer entries with more
    EXPECT_TRUE(session.gate.wait_for_inside(300));
    EXPECT_NE(::access((session.directory() + "/quick").c_str(), F_OK), 0);
    EXPECT_EQ(errno, ENOENT);
  }
  session.gate.let_go();
  for (auto& program : programs) program.join();
  ::sched_setaffinity(0, sizeof before, &before);
}

// Each worker has an io_uring, which is a descriptor; without one it serves all the same.
TEST_F(RingTransport, ServesOthersWhileProgramsWaitAndNoDescriptorIsLeft) {
  OneFileSession session(2, TransportChoice::kRing);
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &before), 0);
  const UniqueFd next(::dup(STDIN_FILENO));
  ASSERT_TRUE(next);
  const rlimit few{static_cast<rlim_t>(next.get()) + 1, before.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &few), 0);
  session.gate.hold();
  std::vector<std::thread> programs;
  for (int i = 0; i < 20; ++i)
    programs.emplace_back(
        [&, i] { ::access((session.directory() + "/slow" + std::to_string(i)).c_str(), F_OK); });
  EXPECT_TRUE(session.gate.wait_for_inside(20));
  EXPECT_NE(::access((session.directory() + "/quick").c_str(), F_OK), 0);
  EXPECT_EQ(errno, ENOENT);
  session.gate.let_go();
  for (auto& program : programs) program.join();
  EXPECT_NE(::access((session.directory() + "/quick2").c_str(), F_OK), 0);
  EXPECT_EQ(errno, ENOENT);
  ::setrlimit(RLIMIT_NOFILE, &before);
}

TEST_F(RingTransport, KeepsNoMoreMemoryThanRequestsWereUnderWay) {
  OneFileSession session(4, TransportChoice::kRing);
  constexpr int kPrograms = 8;
  std::vector<UniqueFd> files;
  for (int i = 0; i < kPrograms; ++i) files.emplace_back(::open(session.file().c_str(), O_RDWR | O_DIRECT));
  const std::size_t before = resident_kib();
  session.gate.hold();
  std::vector<std::thread> programs;
  for (const UniqueFd& fd : files)
    programs.emplace_back([&] {
      void* memory = ::mmap(nullptr, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
      EXPECT_EQ(::pread(fd.get(), memory, 1 << 20, 0), 1 << 20);
      ::munmap(memory, 1 << 20);
    });
  EXPECT_TRUE(session.gate.wait_for_inside(kPrograms));
  session.gate.let_go();
  for (auto& program : programs) program.join();
  // A mebibyte for each, and a little for its worker; not the address space of all entries.
  EXPECT_LT(resident_kib(), before + (kPrograms + 8) * 1024);
}

// Workers look for their next request for a moment (fs/busy_wait.h), and no longer.
TEST_F(RingTransport, TakesNoProcessorTimeAtRest) {
  OneFileSession session(4, TransportChoice::kRing);
  for (int i = 0; i < 2000; ++i) ::access((session.directory() + "/quick" + std::to_string(i)).c_str(), F_OK);
  const auto before = processor_time();
  std::this_thread::sleep_for(std::chrono::milliseconds(500));
  EXPECT_LT(processor_time() - before, std::chrono::milliseconds(100));
}

TEST_F(RingTransport, FreesItsProgramsWhenItsProcessIsKilled) {
  int ready[2];
  ASSERT_EQ(::pipe2(ready, O_CLOEXEC), 0);
  const pid_t server = ::fork();
  if (server == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    OneFileSession session(4, TransportChoice::kRing);
    session.gate.hold();
    std::string path = session.directory();
    static_cast<void>(::write(ready[1], path.c_str(), path.size() + 1) > 0);
    for (;;) ::pause();
  }
  ASSERT_GT(server, 0);
  char path[256] = {};
  ASSERT_GT(::read(ready[0], path, sizeof path - 1), 0);
  const MountWatchdog watchdog(path, std::chrono::seconds(40));
  std::vector<std::thread> programs;
  std::atomic<int> heard{0};
  for (int i = 0; i < 6; ++i)
    programs.emplace_back([&, i] {
      const std::string name = std::string(path) + (i % 2 == 0 ? "/slow" : "/absent") + std::to_string(i);
      if (::access(name.c_str(), F_OK) != 0 && errno != ENOENT) ++heard;
    });
  std::this_thread::sleep_for(std::chrono::milliseconds(100));  // most of them are inside by now
  ASSERT_EQ(::kill(server, SIGKILL), 0);
  ASSERT_EQ(::waitpid(server, nullptr, 0), server);
  for (auto& program : programs) program.join();
  EXPECT_EQ(heard, 6);
  EXPECT_TRUE(::umount2(path, MNT_DETACH) == 0 || errno == EINVAL);  // the session's watchdog was quicker
  std::filesystem::remove(path);
  ::close(ready[0]);
  ::close(ready[1]);
}

// For this thread and those that it starts, io_uring does not exist, as in many containers.
bool forbid_io_uring() {
  sock_filter filter[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_io_uring_setup, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  const sock_fprog program{static_cast<unsigned short>(std::size(filter)), filter};
  return ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
         ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

TEST_F(RingTransport, UsesTheDeviceAndSaysWhyWhereIoUringIsForbidden) {
  std::thread confined([] {
    if (!forbid_io_uring()) return;
    OneFileSession session(4, TransportChoice::kAutomatic);
    ASSERT_TRUE(session.transport);
    EXPECT_TRUE(session.transport->name().starts_with("/dev/fuse (")) << session.transport->name();
    EXPECT_EQ(::access(session.file().c_str(), F_OK), 0);
  });
  confined.join();
}

}  // namespace
}  // namespace kmsfs::testing
