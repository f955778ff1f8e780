// A live mount far from its KMS: what asks it, what does not, and how a wait for it ends.
#include <fcntl.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/wait.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <functional>
#include <optional>
#include <string>

#include "core/unique_fd.h"
#include "tests/support/crypto_environment.h"
#include "tests/support/eventually.h"
#include "tests/support/mounted_volume.h"

namespace kmsfs::testing {
namespace {

constexpr int kPatience = 45000;  // milliseconds; a limit, not an expectation

bool comes_true(const std::function<bool()>& condition) {
  return eventually(condition, std::chrono::milliseconds(kPatience));
}

// A program of its own. Killed when the test is done with it.
class Program {
 public:
  explicit Program(const std::function<int()>& body) : pid_(::fork()) {
    if (pid_ == 0) ::_exit(body());
  }
  Program(Program&& other) noexcept
      : pid_(std::exchange(other.pid_, -1)), status_(std::move(other.status_)) {}
  Program& operator=(Program&&) = delete;
  ~Program() {
    if (pid_ > 0 && !status_) {
      kill(SIGKILL);
      (void)ended();
    }
  }
  void kill(int signal) const { ::kill(pid_, signal); }
  bool has_ended() {
    int status = 0;
    if (!status_ && ::waitpid(pid_, &status, WNOHANG) == pid_) status_ = status;
    return status_.has_value();
  }
  bool ended() {
    return comes_true([this] { return has_ended(); });
  }
  int exit_code() const { return status_ && WIFEXITED(*status_) ? WEXITSTATUS(*status_) : -1; }

 private:
  pid_t pid_;
  std::optional<int> status_;
};

// Many programs that each open one file. Started from a process of their own, because a copy of this one,
// which serves the mount, costs more with each that waits.
class Crowd {
 public:
  Crowd(const std::string& directory, int count) {
    int ends[2] = {-1, -1};
    if (::pipe2(ends, O_CLOEXEC) != 0) return;
    hears_.reset(ends[0]);
    starter_ = ::fork();
    if (starter_ == 0) start(directory, count, ends[1]);
    ::setpgid(starter_, starter_);
    ::close(ends[1]);
  }
  Crowd(const Crowd&) = delete;
  Crowd& operator=(const Crowd&) = delete;
  ~Crowd() {
    kill();
    (void)all_gone();
    ::waitpid(starter_, nullptr, 0);
  }
  void kill() const { ::kill(-starter_, SIGKILL); }
  // Until the last one has ended.
  bool all_gone() {
    for (;;) {
      pollfd waited{hears_.get(), POLLIN, 0};
      if (::poll(&waited, 1, kPatience) <= 0) return false;
      std::array<char, 256> said{};
      const ssize_t got = ::read(hears_.get(), said.data(), said.size());
      if (got <= 0) return got == 0;
      opened_ += std::count(said.begin(), said.begin() + got, 'o');
    }
  }
  std::ptrdiff_t opened() const { return opened_; }

 private:
  [[noreturn]] static void start(const std::string& directory, int count, int says) {
    ::setpgid(0, 0);
    for (int i = 0; i < count; ++i) {
      if (::fork() != 0) continue;
      const std::string path = directory + "/" + std::to_string(i);
      if (::open(path.c_str(), O_RDONLY) >= 0 && ::write(says, "o", 1) == 1) ::_exit(0);
      ::_exit(1);
    }
    ::close(says);
    while (::wait(nullptr) > 0 || errno == EINTR) {
    }
    ::_exit(0);
  }

  UniqueFd hears_;
  pid_t starter_ = -1;
  std::ptrdiff_t opened_ = 0;
};

class FarKms : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!MountedVolume::possible()) GTEST_SKIP() << "needs /dev/fuse";
    MountedVolumeParts parts;
    parts.keys.probe_interval = std::chrono::hours(1);  // no question of the cache's own while we count
    volume_ = std::make_unique<MountedVolume>(parts);
  }
  void TearDown() override {
    if (volume_) volume_->server().release_answers();
    volume_.reset();
  }
  // Programs open what needs the KMS, and nobody answers.
  void hold() {
    volume_->remount();  // nothing is cached from here on
    volume_->server().hold_answers();
    asked_before_ = asked();
  }
  // That many questions have come since hold(), and wait.
  bool wait_for_questions(std::uint64_t count) const {
    return comes_true([&] { return asked() >= asked_before_ + count; });
  }
  std::uint64_t asked() const { return volume_->server().counters().all(); }
  std::function<int()> opening(const std::string& name, int flags = O_RDONLY) const {
    return [path = volume_->path(name), flags] { return ::open(path.c_str(), flags, 0600) >= 0 ? 0 : errno; };
  }

  std::unique_ptr<MountedVolume> volume_;
  std::uint64_t asked_before_ = 0;
};

TEST_F(FarKms, IsNotAskedForNamesAttributesOrOpenFiles) {
  ASSERT_TRUE(
      volume_->run("mkdir d; for i in $(seq 50); do echo $i > d/$i; done; head -c 300000 /dev/zero > open"));
  volume_->remount();
  volume_->server().set_delay(std::chrono::milliseconds(3));  // far enough for keys to be asked for ahead
  UniqueFd fd(::open(volume_->path("open").c_str(), O_RDWR | O_CLOEXEC));
  ASSERT_TRUE(fd);
  const auto before = asked();
  EXPECT_TRUE(volume_->run("ls -lR > /dev/null; find . > /dev/null; du -s . ; stat d/*; test -e d/1; df ."));
  EXPECT_TRUE(volume_->run(
      "mv d/1 d/one; mv d/one .; mv one d/1; rm d/2; ln d/3 d/link; rm d/link; ln -s d/4 symlink; readlink "
      "symlink; rm symlink; mkdir d/sub; rmdir d/sub; mkfifo d/fifo; rm d/fifo"));
  EXPECT_TRUE(volume_->run("chmod 600 d/5; chown 1 d/5; touch -h -d 2001-01-01 d/5"));
  std::array<char, 4096> text{};
  for (int i = 0; i < 64; ++i) ASSERT_EQ(::pread(fd.get(), text.data(), text.size(), i * 4096), 4096);
  EXPECT_EQ(::pwrite(fd.get(), text.data(), text.size(), 70000), 4096);
  EXPECT_EQ(::fsync(fd.get()), 0);
  EXPECT_EQ(::ftruncate(fd.get(), 200000), 0);
  EXPECT_EQ(::fallocate(fd.get(), 0, 200000, 10000), 0);
  void* mapped = ::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd.get(), 0);
  ASSERT_NE(mapped, MAP_FAILED);
  static_cast<char*>(mapped)[5] = 'x';
  EXPECT_EQ(::msync(mapped, 4096, MS_SYNC), 0);
  ::munmap(mapped, 4096);
  struct stat attributes {};
  EXPECT_EQ(::fstat(fd.get(), &attributes), 0);
  EXPECT_EQ(asked(), before);
  // The count can tell: one open is one question.
  EXPECT_EQ(volume_->read("d/7"), "7\n");
  EXPECT_EQ(asked(), before + 1);
}

TEST_F(FarKms, AKilledProgramGoesThoughNobodyAnswers) {
  volume_->write("closed", "text");
  ASSERT_TRUE(volume_->run("mkdir d"));
  hold();
  Program opener(opening("closed"));
  // Elsewhere: while it makes a file the kernel lets nobody look up a name in that directory.
  Program creator(opening("d/new", O_CREAT | O_WRONLY));
  ASSERT_TRUE(wait_for_questions(2));
  opener.kill(SIGKILL);
  EXPECT_TRUE(opener.ended()) << "it waits for a key";
  creator.kill(SIGTERM);
  EXPECT_TRUE(creator.ended()) << "it waits for a new key";
  EXPECT_NE(volume_->requests("interrupt"), 0U);
}

TEST_F(FarKms, AProgramThatCatchesARequestToEndHearsEintr) {
  volume_->write("closed", "text");
  hold();
  Program program([this] {
    struct sigaction action {};
    action.sa_handler = [](int) {};
    ::sigaction(SIGINT, &action, nullptr);
    return opening("closed")();
  });
  ASSERT_TRUE(wait_for_questions(1));
  program.kill(SIGINT);
  ASSERT_TRUE(program.ended());
  EXPECT_EQ(program.exit_code(), EINTR);
}

TEST_F(FarKms, ATimerDoesNotMakeAnOpenFail) {
  volume_->write("closed", "text");
  volume_->write("other", "text");
  hold();
  Program program([this] {
    struct sigaction action {};
    action.sa_handler = [](int) {};
    ::sigaction(SIGALRM, &action, nullptr);
    const itimerval soon{{0, 20000}, {0, 20000}};
    ::setitimer(ITIMER_REAL, &soon, nullptr);
    return opening("closed")();
  });
  ASSERT_TRUE(comes_true([this] { return volume_->requests("interrupt") != 0; }));
  // All who got a signal are looked at together: when this one goes, the timer was looked at as well.
  Program other(opening("other"));
  ASSERT_TRUE(wait_for_questions(2));
  other.kill(SIGKILL);
  EXPECT_TRUE(other.ended());
  EXPECT_FALSE(program.has_ended());
  volume_->server().release_answers();
  ASSERT_TRUE(program.ended());
  EXPECT_EQ(program.exit_code(), 0);
}

TEST_F(FarKms, AProgramThatATimerRangForAndThatIsKilledLaterGoes) {
  volume_->write("closed", "text");
  hold();
  Program program([this] {
    struct sigaction action {};
    action.sa_handler = [](int) {};
    ::sigaction(SIGALRM, &action, nullptr);
    return opening("closed")();
  });
  ASSERT_TRUE(wait_for_questions(1));
  program.kill(SIGALRM);
  ASSERT_TRUE(comes_true([this] { return volume_->requests("interrupt") != 0; }));
  program.kill(SIGKILL);  // of which the kernel tells nobody
  EXPECT_TRUE(program.ended());
}

TEST_F(FarKms, WhoIsKilledTakesNobodysKeyAlong) {
  volume_->write("closed", "text");
  hold();
  Program killed(opening("closed"));
  ASSERT_TRUE(wait_for_questions(1));
  Program stays(opening("closed"));
  ASSERT_TRUE(comes_true([this] { return volume_->keys().figures().shared_flights != 0; }));
  killed.kill(SIGKILL);
  ASSERT_TRUE(killed.ended());
  EXPECT_FALSE(stays.has_ended());
  const auto before = asked();
  volume_->server().release_answers();
  ASSERT_TRUE(stays.ended());
  EXPECT_EQ(stays.exit_code(), 0);
  EXPECT_EQ(asked(), before) << "one question was enough for both";
}

TEST_F(FarKms, AThousandWaitingProgramsHoldNobodyUpWhoReadsAnOpenFile) {
  constexpr int kPrograms = 1000;
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &before), 0);
  const rlimit more{std::min<rlim_t>(before.rlim_max, 65536), before.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &more), 0);
  // Each wait keeps a worker, and an eighth of the descriptors are for workers.
  if (more.rlim_cur < 10000) GTEST_SKIP() << "needs a limit of 10000 descriptors";
  ASSERT_TRUE(
      volume_->run("mkdir d; for i in $(seq 0 999); do echo $i > d/$i; done; seq 100000 > open; ls -l d"));
  volume_->remount();
  UniqueFd fd(::open(volume_->path("open").c_str(), O_RDWR | O_CLOEXEC));
  ASSERT_TRUE(fd);
  const auto opens_before = volume_->requests("open");
  volume_->server().hold_answers();
  Crowd crowd(volume_->path("d"), kPrograms);
  EXPECT_TRUE(comes_true([&] { return volume_->requests("open") - opens_before >= kPrograms; }))
      << volume_->requests("open") - opens_before << " of them wait";
  std::array<char, 4096> text{};
  const auto reads_before = volume_->requests("read");
  EXPECT_EQ(::pread(fd.get(), text.data(), text.size(), 400000), 4096) << "nothing of it was cached";
  EXPECT_GT(volume_->requests("read"), reads_before);
  EXPECT_EQ(::pwrite(fd.get(), text.data(), text.size(), 8192), 4096);
  EXPECT_EQ(::fsync(fd.get()), 0);
  EXPECT_TRUE(volume_->run("stat d/5 open; ls d | wc -l; mkdir sub; mv sub there; rmdir there", 30));
  volume_->server().release_answers();
  EXPECT_TRUE(crowd.all_gone());
  EXPECT_EQ(crowd.opened(), kPrograms);
  ::setrlimit(RLIMIT_NOFILE, &before);
}

TEST_F(FarKms, HundredsOfWaitingProgramsCanBeKilled) {
  constexpr int kPrograms = 300;
  ASSERT_TRUE(volume_->run("mkdir d; for i in $(seq 0 299); do echo $i > d/$i; done; ls -l d"));
  hold();
  Crowd crowd(volume_->path("d"), kPrograms);
  ASSERT_TRUE(wait_for_questions(1));
  crowd.kill();
  EXPECT_TRUE(crowd.all_gone());
  EXPECT_EQ(crowd.opened(), 0);
  const auto asked_by_then = asked();
  volume_->server().release_answers();
  EXPECT_EQ(volume_->read("d/0"), "0\n");
  EXPECT_LE(asked(), asked_by_then + 65) << "questions that nobody waits for any more were asked";
}

}  // namespace
}  // namespace kmsfs::testing
