// What programs do to a mount while permission to use its key comes and goes: a reader through the page
// cache, a direct reader, a writer, one that opens, and a mapping. Each notes when something last succeeded
// and failed.
//
// Always: it ends with its object; a mount that hangs is the watchdog's. Threads: one test at a time; begins
// a process, so it is made before other threads that hold locks.
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <setjmp.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <memory>
#include <new>
#include <string>
#include <thread>
#include <vector>

#include "core/unique_fd.h"

namespace kmsfs::testing {

class WithdrawalLoad {
 public:
  enum Role : std::size_t { kReader, kDirectReader, kWriter, kOpener, kMapping, kRoles };
  static constexpr std::array<const char*, kRoles> kNames = {"reads", "direct reads", "writes", "opens",
                                                             "mappings"};
  using Time = std::chrono::steady_clock::time_point;

  // Makes its files in `directory`, and goes to work.
  explicit WithdrawalLoad(const std::string& directory) : directory_(directory) {
    void* memory = ::mmap(nullptr, sizeof(Shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) std::abort();
    shared_ = new (memory) Shared;
    for (const char* name : {"read", "open", "map"}) {
      std::ofstream(path(name), std::ios::binary) << std::string(kPage * kPages, 'x');
    }
    reader_.reset(::open(path("read").c_str(), O_RDONLY | O_CLOEXEC));
    direct_reader_.reset(::open(path("read").c_str(), O_RDONLY | O_DIRECT | O_CLOEXEC));
    writer_.reset(::open(path("write").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
    const UniqueFd map(::open(path("map").c_str(), O_RDWR | O_CLOEXEC));
    mapped_ = ::mmap(nullptr, kPage * kPages, PROT_READ, MAP_SHARED, map.get(), 0);
    EXPECT_TRUE(reader_ && direct_reader_ && writer_ && mapped_ != MAP_FAILED) << "in " << directory;
    toucher_ = ::fork();
    if (toucher_ == 0) touch_pages();
    threads_.emplace_back([this] { repeat(kReader, [this](std::size_t i) { return read(reader_, i); }); });
    threads_.emplace_back(
        [this] { repeat(kDirectReader, [this](std::size_t i) { return read(direct_reader_, i); }); });
    threads_.emplace_back([this] { repeat(kWriter, [this](std::size_t i) { return write(i); }); });
    threads_.emplace_back([this] { repeat(kOpener, [this](std::size_t) { return open(); }); });
  }
  WithdrawalLoad(const WithdrawalLoad&) = delete;
  WithdrawalLoad& operator=(const WithdrawalLoad&) = delete;
  ~WithdrawalLoad() {
    shared_->stop = true;
    for (std::thread& thread : threads_) thread.join();
    if (toucher_ > 0) {
      ::kill(toucher_, SIGKILL);
      ::waitpid(toucher_, nullptr, 0);
    }
    ::munmap(mapped_, kPage * kPages);
    ::munmap(shared_, sizeof(Shared));
  }

  bool all_fail_since(Time then) const {
    return every([&](const Seen& seen) { return seen.failed > ns(then) && seen.failed > seen.succeeded; });
  }
  bool all_succeed_since(Time then) const {
    return every([&](const Seen& seen) { return seen.succeeded > ns(then) && seen.succeeded > seen.failed; });
  }
  bool none_failed() const {
    return every([](const Seen& seen) { return seen.failed == 0; });
  }
  int error(Role role) const { return shared_->seen[role].error; }
  // When something of this role last succeeded, counted from `then`.
  double seconds_to_last_success(Role role, Time then) const {
    return seconds(shared_->seen[role].succeeded - ns(then));
  }
  // When it went on, counted from `then`.
  double seconds_to_recovery(Role role, Time then) const {
    return seconds(shared_->seen[role].recovered - ns(then));
  }

 private:
  static constexpr std::size_t kPage = 4096, kPages = 64;

  struct Seen {  // nanoseconds of the steady clock; 0: never
    std::atomic<std::int64_t> succeeded{0}, failed{0}, recovered{0};
    std::atomic<int> error{0};
  };
  struct Shared {
    std::array<Seen, kRoles> seen;
    std::atomic<bool> stop{false};
  };

  static std::int64_t ns(Time time) { return std::chrono::nanoseconds(time.time_since_epoch()).count(); }
  static double seconds(std::int64_t span_ns) { return span_ns < 0 ? 0 : static_cast<double>(span_ns) / 1e9; }
  template <typename Condition>
  bool every(Condition&& condition) const {
    for (const Seen& seen : shared_->seen) {
      if (!condition(seen)) return false;
    }
    return true;
  }
  std::string path(const char* name) const { return directory_ + "/" + name; }

  void note(Role role, int error) {
    Seen& seen = shared_->seen[role];
    const std::int64_t now = ns(std::chrono::steady_clock::now());
    if (error != 0) {
      seen.error = error;
      seen.failed = now;
    } else {
      if (seen.failed > seen.succeeded) seen.recovered = now;
      seen.succeeded = now;
    }
  }
  template <typename Act>
  void repeat(Role role, Act&& act) {
    for (std::size_t i = 0; !shared_->stop; ++i) {
      note(role, act(i));
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
    }
  }

  static int read(const UniqueFd& fd, std::size_t i) {
    alignas(kPage) std::array<char, kPage> page{};
    const ssize_t got = ::pread(fd.get(), page.data(), kPage, static_cast<off_t>(i % kPages * kPage));
    if (got < 0) return errno;
    return got == kPage && page[i % kPage] == 'x' ? 0 : EBADMSG;
  }
  int write(std::size_t i) const {
    const std::string page(kPage, static_cast<char>('a' + i % 26));
    if (::pwrite(writer_.get(), page.data(), kPage, static_cast<off_t>(i % kPages * kPage)) < 0) return errno;
    return ::fdatasync(writer_.get()) == 0 ? 0 : errno;
  }
  int open() const {
    const UniqueFd fd(::open(path("open").c_str(), O_RDONLY | O_CLOEXEC));
    return fd ? 0 : errno;
  }
  // A process of its own, as a mapping fails by a signal.
  [[noreturn]] void touch_pages() {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    struct sigaction action {};
    action.sa_handler = [](int) { ::siglongjmp(bus_error(), 1); };
    ::sigaction(SIGBUS, &action, nullptr);
    std::atomic<std::size_t> i{0};  // outlives the jump
    for (; !shared_->stop; ++i) {
      if (sigsetjmp(bus_error(), 1) == 0) {
        static_cast<void>(*(static_cast<volatile char*>(mapped_) + i % kPages * kPage));
        note(kMapping, 0);
      } else {
        note(kMapping, EFAULT);
      }
      ::usleep(2000);
    }
    ::_exit(0);
  }
  static sigjmp_buf& bus_error() {
    static sigjmp_buf buffer;
    return buffer;
  }

  const std::string directory_;
  Shared* shared_ = nullptr;
  UniqueFd reader_, direct_reader_, writer_;
  void* mapped_ = MAP_FAILED;
  pid_t toucher_ = -1;
  std::vector<std::thread> threads_;
};

}  // namespace kmsfs::testing
