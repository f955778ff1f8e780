// The arena is one per process, so each test that starts one does it in a child of its own.
#include "core/locked_memory.h"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <set>
#include <thread>
#include <vector>

#include "core/secret.h"
#include "tests/support/memory_scan.h"

namespace kmsfs {
namespace {

using testing::mapping_of;
using testing::raw_memory_is_zero;

LockedMemory::Options only(LockedMemory::Mode mode, std::size_t capacity = 0) {
  return {.allow_secret = mode == LockedMemory::Mode::kSecret,
          .allow_locked = mode == LockedMemory::Mode::kLocked,
          .allow_unlocked = mode == LockedMemory::Mode::kUnlocked,
          .capacity = capacity};
}

// In a child: what must hold, or the child says what did not and fails.
#define MUST(condition)                                                    \
  do {                                                                     \
    if (!(condition)) {                                                    \
      std::fprintf(stderr, "line %d: not so: %s\n", __LINE__, #condition); \
      std::_Exit(1);                                                       \
    }                                                                      \
  } while (false)

template <typename F>
void in_a_child(F&& body) {
  std::fflush(nullptr);
  const pid_t child = ::fork();
  if (child == 0) {
    body();
    std::_Exit(0);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << "status " << status;
}

void start_or_die(const LockedMemory::Options& options) {
  const auto started = LockedMemory::start(options);
  if (!started) std::fprintf(stderr, "%s\n", started.error().text.c_str());
  MUST(started.ok());
}

bool mode_works(LockedMemory::Mode mode) {
  std::fflush(nullptr);
  const pid_t child = ::fork();
  if (child == 0) std::_Exit(LockedMemory::start(only(mode, 1 << 20)) ? 0 : 1);
  int status = 0;
  ::waitpid(child, &status, 0);
  return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

class EveryMode : public ::testing::TestWithParam<LockedMemory::Mode> {
 protected:
  void SetUp() override {
    if (!mode_works(GetParam())) GTEST_SKIP() << to_string(GetParam()) << " does not work on this host";
  }
};

INSTANTIATE_TEST_SUITE_P(LockedMemory, EveryMode,
                         ::testing::Values(LockedMemory::Mode::kSecret, LockedMemory::Mode::kLocked,
                                           LockedMemory::Mode::kUnlocked),
                         [](const auto& mode) { return std::string(to_string(mode.param)); });

TEST(LockedMemory, BeforeStartThereIsNone) {
  in_a_child([] {
    MUST(LockedMemory::allocate(32) == nullptr);
    MUST(LockedMemory::usage().capacity == 0);
    MUST(DataKey::make().error().kind == Kind::kNoMemory);
  });
}

TEST(LockedMemory, WithoutAnyAllowedModeItRefuses) {
  in_a_child([] {
    const auto started = LockedMemory::start({.allow_secret = false, .allow_locked = false});
    MUST(!started.ok() && started.error().kind == Kind::kUnsupported);
    MUST(LockedMemory::allocate(32) == nullptr);
  });
}

TEST(LockedMemory, StartingTwiceIsRefused) {
  in_a_child([] {
    start_or_die(only(LockedMemory::Mode::kUnlocked, 1 << 20));
    MUST(!LockedMemory::start(only(LockedMemory::Mode::kUnlocked, 1 << 20)).ok());
  });
}

TEST_P(EveryMode, MemoryIsZeroAlignedAndApart) {
  in_a_child([mode = GetParam()] {
    start_or_die(only(mode, 8 << 20));
    MUST(LockedMemory::mode() == mode);
    std::set<std::pair<std::byte*, std::byte*>> taken;
    for (const std::size_t size : {1, 32, 64, 65, 256, 1000, 1024, 2048, 4096, 4097, 70000, 1 << 20}) {
      for (int i = 0; i < 3; ++i) {
        auto* memory = static_cast<std::byte*>(LockedMemory::allocate(size));
        MUST(memory != nullptr);
        MUST(reinterpret_cast<std::uintptr_t>(memory) % 64 == 0);
        MUST(LockedMemory::contains(memory) && LockedMemory::size_of(memory) >= size);
        MUST(all_zero({memory, LockedMemory::size_of(memory)}));
        std::memset(memory, 0xee, LockedMemory::size_of(memory));
        for (const auto& [begin, end] : taken) MUST(memory >= end || memory + size <= begin);
        taken.insert({memory, memory + LockedMemory::size_of(memory)});
      }
    }
    for (const auto& [begin, end] : taken) LockedMemory::release(begin);
    MUST(LockedMemory::usage().used == 0);
  });
}

TEST_P(EveryMode, ReleasedMemoryIsZero) {
  in_a_child([mode = GetParam()] {
    start_or_die(only(mode, 2 << 20));
    for (const std::size_t size : {64, 256, 1024, 2048, 4096, 20000}) {
      auto* memory = static_cast<std::byte*>(LockedMemory::allocate(size));
      auto* keeps_page = LockedMemory::allocate(size);
      std::memset(memory, 0x5a, LockedMemory::size_of(memory));
      const std::size_t held = LockedMemory::size_of(memory);
      LockedMemory::release(memory);
      MUST(raw_memory_is_zero(memory, held));
      LockedMemory::release(keeps_page);
    }
  });
}

TEST_P(EveryMode, FullMeansNullptrAndRoomComesBack) {
  in_a_child([mode = GetParam()] {
    start_or_die(only(mode, 2 << 20));
    std::vector<void*> all;
    while (void* memory = LockedMemory::allocate(64)) all.push_back(memory);
    MUST(all.size() == (2 << 20) / 64);  // 64 bytes of arena for each, and nothing else
    MUST(LockedMemory::usage().used == LockedMemory::usage().capacity);
    MUST(LockedMemory::allocate(4096) == nullptr);
    for (void* memory : all) LockedMemory::release(memory);
    MUST(LockedMemory::usage().used == 0);
    MUST(LockedMemory::usage().mapped <= 2 << 20);
    void* whole = LockedMemory::allocate(1 << 20);
    MUST(whole != nullptr);
    MUST(LockedMemory::allocate((1 << 20) + 1) == nullptr);
  });
}

TEST_P(EveryMode, EmptyChunksAreGivenBack) {
  in_a_child([mode = GetParam()] {
    start_or_die(only(mode, 8 << 20));
    MUST(LockedMemory::usage().mapped == 1 << 20);
    std::vector<void*> all;
    for (int i = 0; i < 6; ++i) all.push_back(LockedMemory::allocate(1 << 20));
    MUST(LockedMemory::usage().mapped == 6 << 20);
    for (void* memory : all) LockedMemory::release(memory);
    MUST(LockedMemory::usage().mapped <= 2 << 20);
    for (int i = 0; i < 8; ++i) MUST(LockedMemory::allocate(1 << 20) != nullptr);
    MUST(LockedMemory::allocate(64) == nullptr);
  });
}

TEST_P(EveryMode, ReadingPastAChunkFaults) {
  in_a_child([mode = GetParam()] {
    start_or_die(only(mode, 3 << 20));
    for (int i = 0; i < 3; ++i) {
      auto* memory = static_cast<volatile char*>(LockedMemory::allocate(1 << 20));
      for (volatile char* at : {memory - 1, memory + (1 << 20)}) {
        std::fflush(nullptr);
        const pid_t child = ::fork();
        if (child == 0) {
          // Our copy of the chunk is absent in secret mode: the guard pages are there in every mode.
          ::signal(SIGSEGV, SIG_DFL);
          const rlimit no_core{0, 0};
          ::setrlimit(RLIMIT_CORE, &no_core);
          static_cast<void>(*at);
          std::_Exit(0);
        }
        int status = 0;
        ::waitpid(child, &status, 0);
        MUST(!WIFEXITED(status) || WEXITSTATUS(status) != 0);
        // And in the parent's own map they allow nothing.
        MUST(mapping_of(const_cast<char*>(at)).permissions.substr(0, 3) == "---");
      }
    }
  });
}

TEST_P(EveryMode, ItIsLeftOutOfCoreFiles) {
  in_a_child([mode = GetParam()] {
    start_or_die(only(mode, 1 << 20));
    auto key = DataKey::random();
    const auto mapping = mapping_of(key->reveal().data());
    MUST(mapping.flags.find(" dd") != std::string::npos);
    if (mode != LockedMemory::Mode::kUnlocked) MUST(mapping.flags.find(" lo") != std::string::npos);
  });
}

TEST_P(EveryMode, AChildSeesNoKey) {
  in_a_child([mode = GetParam()] {
    start_or_die(only(mode, 1 << 20));
    auto key = DataKey::random();
    std::fflush(nullptr);
    const pid_t child = ::fork();
    if (child == 0) {
      const rlimit no_core{0, 0};
      ::setrlimit(RLIMIT_CORE, &no_core);
      ::signal(SIGSEGV, [](int) { std::_Exit(7); });  // absent: as good as zero
      std::_Exit(raw_memory_is_zero(key->reveal().data(), 32) ? 7 : 1);
    }
    int status = 0;
    ::waitpid(child, &status, 0);
    MUST(WIFEXITED(status) && WEXITSTATUS(status) == 7);
    MUST(!raw_memory_is_zero(key->reveal().data(), 32));
  });
}

TEST(LockedMemory, InSecretModeEvenRootCannotReadItThroughTheKernel) {
  if (!mode_works(LockedMemory::Mode::kSecret)) GTEST_SKIP() << "no memfd_secret here";
  in_a_child([] {
    start_or_die(only(LockedMemory::Mode::kSecret, 1 << 20));
    auto key = DataKey::random();
    std::array<std::byte, 32> stolen{};
    iovec to{stolen.data(), stolen.size()};
    iovec from{const_cast<std::byte*>(key->reveal().data()), 32};
    MUST(::process_vm_readv(::getpid(), &to, 1, &from, 1, 0) < 0);
    const UniqueFd memory(::open("/proc/self/mem", O_RDONLY));
    MUST(::pread(memory.get(), stolen.data(), 32,
                 static_cast<off_t>(reinterpret_cast<std::uintptr_t>(from.iov_base))) < 0);
    MUST(all_zero(stolen));
    // The negative control: ordinary memory is read that way.
    from.iov_base = &to;
    from.iov_len = sizeof to;
    MUST(::process_vm_readv(::getpid(), &to, 1, &from, 1, 0) == sizeof to);
  });
}

TEST(LockedMemory, ASmallLimitGivesASmallArena) {
  in_a_child([] {
    if (::setgid(65534) != 0 || ::setuid(65534) != 0) return;  // root's CAP_IPC_LOCK knows no limit
    const rlimit limit{64 << 10, 64 << 10};
    MUST(::setrlimit(RLIMIT_MEMLOCK, &limit) == 0);
    start_or_die({});
    MUST(LockedMemory::usage().capacity <= 64 << 10);
    std::size_t count = 0;
    while (LockedMemory::allocate(64) != nullptr) ++count;
    MUST(count > 0 && count <= 1024);
  });
}

TEST(LockedMemory, NoLimitAtAllIsRefusedWithAdvice) {
  in_a_child([] {
    if (::setgid(65534) != 0 || ::setuid(65534) != 0) return;
    const rlimit limit{0, 0};
    MUST(::setrlimit(RLIMIT_MEMLOCK, &limit) == 0);
    const auto started = LockedMemory::start({});
    MUST(!started.ok() && started.error().kind == Kind::kUnsupported);
    MUST(started.error().text.find("RLIMIT_MEMLOCK") != std::string::npos);
  });
}

TEST_P(EveryMode, ReleasingTwiceAborts) {
  in_a_child([mode = GetParam()] {
    start_or_die(only(mode, 1 << 20));
    std::fflush(nullptr);
    void* keeps_page = LockedMemory::allocate(64);
    void* memory = LockedMemory::allocate(64);
    MUST(keeps_page != nullptr);
    MUST(LockedMemory::size_of(static_cast<std::byte*>(memory) + 1) == 0);  // not the start of an allocation
    LockedMemory::release(memory);
    ::signal(SIGABRT, [](int) { std::_Exit(0); });
    LockedMemory::release(memory);
    std::_Exit(1);
  });
}

TEST(LockedMemory, ManyThreadsShareItWithoutMixingTheirKeys) {
  in_a_child([] {
    start_or_die(only(LockedMemory::Mode::kUnlocked, 32 << 20));
    std::vector<std::thread> threads;
    for (unsigned char mark = 1; mark <= 4; ++mark) {
      threads.emplace_back([mark] {
        constexpr std::array<std::size_t, 6> kSizes = {64, 64, 256, 1024, 4096, 12000};
        std::vector<std::byte*> mine;
        for (std::size_t i = 0; i < 4000; ++i) {
          const std::size_t size = kSizes[i % kSizes.size()];
          auto* memory = static_cast<std::byte*>(LockedMemory::allocate(size));
          MUST(memory != nullptr && all_zero({memory, size}));
          std::memset(memory, mark, size);
          mine.push_back(memory);
          if (mine.size() < 100) continue;
          std::byte* oldest = mine[i % mine.size()];
          MUST(*oldest == std::byte{mark});
          LockedMemory::release(oldest);
          mine.erase(mine.begin() + static_cast<std::ptrdiff_t>(i % mine.size()));
        }
        for (std::byte* memory : mine) LockedMemory::release(memory);
      });
    }
    for (auto& thread : threads) thread.join();
    MUST(LockedMemory::usage().used == 0);
  });
}

TEST(Secret, MovesAndIsWipedWhenItDies) {
  in_a_child([] {
    start_or_die(only(LockedMemory::Mode::kUnlocked, 1 << 20));
    static_assert(!std::is_copy_constructible_v<DataKey> && !std::is_copy_assignable_v<DataKey>);
    const std::byte* at = nullptr;
    {
      auto key = DataKey::random();
      at = key->reveal().data();
      DataKey moved = std::move(*key);
      MUST(moved.reveal().data() == at && !raw_memory_is_zero(at, 32));
    }
    MUST(raw_memory_is_zero(at, 64));
  });
}

}  // namespace
}  // namespace kmsfs
