// Random operations on a mount and on a native directory in lock step: every answer and every byte must be
// the same, also after the next mount, with either AEAD back end and with the kernel's write cache on and
// off.
//
// KMSFS_MODEL_SEED and KMSFS_MODEL_STEPS make another or a longer walk; KMSFS_MODEL_MINUTES goes on, seed
// after seed. A walk that fails is shrunk on fresh mounts, and told step by step.
#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <barrier>
#include <chrono>
#include <cstdlib>
#include <functional>
#include <optional>
#include <thread>
#include <vector>

#include "tests/mount/model_mount.h"
#include "tests/mount/model_shrink.h"
#include "tests/mount/model_sides.h"
#include "tests/mount/model_steps.h"
#include "tests/mount/model_watchdog.h"

namespace kmsfs::testing {
namespace {

constexpr std::chrono::seconds kHangs{60};

unsigned long setting(const char* name, unsigned long otherwise) {
  const char* value = ::getenv(name);
  return value != nullptr ? std::strtoul(value, nullptr, 10) : otherwise;
}

ShrinkLimits shrink_limits() {
  ShrinkLimits limits;
  limits.time = std::chrono::seconds(setting("KMSFS_MODEL_SHRINK_SECONDS", 25));
  limits.runs = static_cast<std::size_t>(limits.time.count()) * 20;
  return limits;
}

// A fresh mount and who watches it.
struct Place {
  explicit Place(const ModelSetup& setup, std::chrono::seconds hangs = kHangs) : mount(setup) {
    if (mount.failure().empty()) watchdog.emplace(mount.server(), mount.connection(), hangs);
  }
  std::string mounted(int walker) const { return mount.mounted() + "/walk" + std::to_string(walker); }
  std::string native(int walker) const { return mount.native() + "/walk" + std::to_string(walker); }

  ModelMount mount;
  std::optional<Watchdog> watchdog;  // after the mount, so that it ends before
};

struct Outcome {
  std::string difference;  // empty: none
  std::size_t steps = 0;   // done, the one that failed among them
  bool failed() const { return !difference.empty(); }
};

Outcome walk(Place& place, int walker, const Steps& steps, Sides::Fault fault = Sides::Fault::kNone) {
  Outcome outcome;
  Sides sides(place.mounted(walker), place.native(walker), fault);
  for (const Step& step : steps) {
    outcome.difference = sides.run(step);
    ++outcome.steps;
    place.watchdog->progress();
    if (!outcome.failed() && outcome.steps % 500 == 0) outcome.difference = sides.compare_trees();
    if (outcome.failed()) return outcome;
  }
  sides.close_handles();
  outcome.difference = sides.compare_trees();
  place.watchdog->progress();
  return outcome;
}

// What is there is the same after the next mount.
std::string compare_after_remount(Place& place, int walkers) {
  place.watchdog->progress();
  if (!place.mount.remount()) return "mounting again: " + place.mount.failure();
  // Another mount is another connection, which the watchdog does not know.
  place.watchdog.emplace(place.mount.server(), place.mount.connection(), kHangs);
  for (int i = 0; i < walkers; ++i) {
    const std::string mounted = describe(place.mounted(i)), native = describe(place.native(i));
    if (mounted != native) return "after the next mount:\n" + mounted + "native:\n" + native;
  }
  return "";
}

// The failed walk, told: where it hung, or the shortest that still fails.
std::string report(const ModelSetup& setup, const Steps& walked, const Outcome& outcome, bool hung,
                   Sides::Fault fault = Sides::Fault::kNone) {
  const Steps failed(walked.begin(), walked.begin() + static_cast<std::ptrdiff_t>(outcome.steps));
  const std::string last = outcome.difference + "\nafter\n" + to_string(failed, 20);
  if (hung) return "the mount hung at step " + std::to_string(outcome.steps - 1) + ": " + last;
  std::string difference;
  const Steps shortest = shrink(
      failed,
      [&](const Steps& steps) {
        Place place(setup);
        if (!place.mount.failure().empty()) return false;
        const Outcome again = walk(place, 0, steps, fault);
        if (again.failed()) difference = again.difference;
        return again.failed();
      },
      shrink_limits());
  if (difference.empty()) return "not when it is alone on a fresh mount: " + last;
  return "shrunk to " + std::to_string(shortest.size()) + " steps: " + difference + "\nafter\n" +
         to_string(shortest);
}

class Model : public ::testing::TestWithParam<ModelSetup> {
 protected:
  void SetUp() override {
    if (::access("/dev/fuse", R_OK | W_OK) != 0) GTEST_SKIP() << "no FUSE here";
    const ModelMount probe(GetParam());
    if (!probe.unsupported().empty()) GTEST_SKIP() << probe.unsupported();
  }

  // Once, or for KMSFS_MODEL_MINUTES with one seed after the other, until something fails.
  void for_each_seed(const std::function<void(unsigned long)>& test) {
    const auto end =
        std::chrono::steady_clock::now() + std::chrono::minutes(setting("KMSFS_MODEL_MINUTES", 0));
    unsigned long seed = setting("KMSFS_MODEL_SEED", 20261124);
    do {
      SCOPED_TRACE("KMSFS_MODEL_SEED=" + std::to_string(seed));
      test(seed++);
    } while (!HasFailure() && std::chrono::steady_clock::now() < end);
  }

  const unsigned long steps_ = setting("KMSFS_MODEL_STEPS", 6000);
};

TEST_P(Model, RandomOperationsEndAsInANativeDirectory) {
  for_each_seed([&](unsigned long seed) {
    Place place(GetParam());
    ASSERT_EQ(place.mount.failure(), "");
    const Steps steps = random_steps(seed, steps_);
    const Outcome outcome = walk(place, 0, steps);
    if (outcome.failed()) {
      ADD_FAILURE() << report(GetParam(), steps, outcome, place.watchdog->stepped_in());
      return;
    }
    EXPECT_EQ(compare_after_remount(place, 1), "");
  });
}

TEST_P(Model, ThreadsThatWalkAtTheSameTimeDoNotDisturbEachOther) {
  constexpr int kWalkers = 4;
  for_each_seed([&](unsigned long seed) {
    Place place(GetParam());
    ASSERT_EQ(place.mount.failure(), "");
    std::vector<Steps> steps;
    std::vector<Outcome> outcomes(kWalkers);
    std::vector<std::thread> threads;
    for (int i = 0; i < kWalkers; ++i) {
      steps.push_back(random_steps(seed + 1000 * static_cast<unsigned long>(i + 1), steps_ / 3));
    }
    for (std::size_t i = 0; i < kWalkers; ++i) {
      threads.emplace_back([&, i] { outcomes[i] = walk(place, static_cast<int>(i), steps[i]); });
    }
    for (std::thread& thread : threads) thread.join();
    for (std::size_t i = 0; i < kWalkers && !HasFailure(); ++i) {
      if (!outcomes[i].failed()) continue;
      ADD_FAILURE() << "walker " << i << " "
                    << report(GetParam(), steps[i], outcomes[i], place.watchdog->stepped_in());
    }
    if (!HasFailure()) {
      EXPECT_EQ(compare_after_remount(place, kWalkers), "");
    }
  });
}

// All threads work on the same files, each round at once; after each round all is compared.
Outcome walk_together(Place& place, const std::vector<Round>& rounds, unsigned threads) {
  std::vector<std::unique_ptr<Sides>> sides;
  for (unsigned t = 0; t < threads; ++t) {
    sides.push_back(std::make_unique<Sides>(place.mounted(0), place.native(0)));
    for (unsigned slot = 0; slot < 3; ++slot) {
      Step open;
      open.deed = Deed::kOpen;
      open.slot = slot;
      open.path = "/s" + std::to_string(slot);
      open.flags = O_RDWR | O_CREAT;
      sides.back()->run(open);
    }
  }
  Outcome outcome;
  std::vector<std::string> differences(threads);
  std::barrier round_ends(static_cast<std::ptrdiff_t>(threads), [&]() noexcept {
    place.watchdog->progress();
    for (const std::string& difference : differences) {
      if (!outcome.failed()) outcome.difference = difference;
    }
    if (!outcome.failed() && outcome.steps % 16 == 0) outcome.difference = sides[0]->compare_trees();
    ++outcome.steps;
  });
  std::vector<std::thread> running;
  for (unsigned t = 0; t < threads; ++t) {
    running.emplace_back([&, t] {
      for (const Round& round : rounds) {
        if (outcome.failed()) break;  // all see the same, for it changes between rounds only
        differences[t] = sides[t]->run(round[t]);
        round_ends.arrive_and_wait();
      }
    });
  }
  for (std::thread& thread : running) thread.join();
  if (!outcome.failed()) outcome.difference = sides[0]->compare_trees();
  return outcome;
}

std::string to_string(const std::vector<Round>& rounds) {
  std::string out;
  for (std::size_t i = rounds.size() > 12 ? rounds.size() - 12 : 0; i < rounds.size(); ++i) {
    out += "round " + std::to_string(i) + "\n" + to_string(rounds[i]);
  }
  return out;
}

TEST_P(Model, ThreadsOnTheSameFilesEndAsInANativeDirectory) {
  constexpr unsigned kThreads = 4;
  for_each_seed([&](unsigned long seed) {
    Place place(GetParam());
    ASSERT_EQ(place.mount.failure(), "");
    const std::vector<Round> rounds = random_rounds(seed, steps_ / 5, kThreads);
    const Outcome outcome = walk_together(place, rounds, kThreads);
    if (!outcome.failed()) {
      EXPECT_EQ(compare_after_remount(place, 1), "");
      return;
    }
    const std::vector<Round> failed(rounds.begin(),
                                    rounds.begin() + static_cast<std::ptrdiff_t>(outcome.steps));
    if (place.watchdog->stepped_in()) {
      ADD_FAILURE() << "the mount hung: " << outcome.difference << "\nafter\n" << to_string(failed);
      return;
    }
    std::string difference = outcome.difference;
    const std::vector<Round> shortest = shrink(
        failed,
        [&](const std::vector<Round>& fewer) {
          Place again(GetParam());
          if (!again.mount.failure().empty()) return false;
          const Outcome ended = walk_together(again, fewer, kThreads);
          if (ended.failed()) difference = ended.difference;
          return ended.failed();
        },
        shrink_limits());
    ADD_FAILURE() << difference << "\nafter\n" << to_string(shortest);
  });
}

// Each thread owns every eighth record; all share the blocks that the records stand in.
TEST_P(Model, ThreadsThatWriteIntoTheSameBlocksLoseNoWrite) {
  constexpr int kThreads = 8, kRecord = 97, kRecords = 4000;
  Place place(GetParam());
  ASSERT_EQ(place.mount.failure(), "");
  const std::string path = place.mount.mounted() + "/shared";
  std::atomic<int> failures{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      const UniqueFd fd(::open(path.c_str(), O_CREAT | O_RDWR | O_CLOEXEC, 0644));
      for (int pass = 0; pass < 3; ++pass) {
        for (int i = t; i < kRecords; i += kThreads) {
          const std::string record(kRecord, static_cast<char>('A' + (i + pass) % 26));
          failures += ::pwrite(fd.get(), record.data(), kRecord, static_cast<off_t>(i) * kRecord) != kRecord;
          std::string back(kRecord, '\0');
          failures += ::pread(fd.get(), back.data(), kRecord, static_cast<off_t>(i) * kRecord) != kRecord ||
                      back != record;
          place.watchdog->progress();
        }
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(failures, 0);
  ASSERT_TRUE(place.mount.remount()) << place.mount.failure();
  const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  for (int i = 0; i < kRecords; ++i) {
    std::string back(kRecord, '\0');
    ASSERT_EQ(::pread(fd.get(), back.data(), kRecord, static_cast<off_t>(i) * kRecord), kRecord);
    ASSERT_EQ(back, std::string(kRecord, static_cast<char>('A' + (i + 2) % 26))) << "record " << i;
  }
}

INSTANTIATE_TEST_SUITE_P(On, Model,
                         ::testing::Values(ModelSetup{"ipsec-mb", "writeback"},
                                           ModelSetup{"ipsec-mb", "no-writeback"},
                                           ModelSetup{"openssl", "writeback", "auto"},
                                           ModelSetup{"openssl", "no-writeback", "auto"}),
                         [](const auto& setup) {
                           return std::string(setup.param.aead == "openssl" ? "OpenSsl" : "IpsecMb") +
                                  (setup.param.writeback == "writeback" ? "WithWriteback"
                                                                        : "WithoutWriteback");
                         });

TEST(ModelItself, ShrinkingLeavesWhatIsNeededAndNothingElse) {
  std::vector<int> items(1000);
  for (int i = 0; i < 1000; ++i) items[static_cast<std::size_t>(i)] = i;
  const auto holds = [](const std::vector<int>& all, int item) {
    return std::find(all.begin(), all.end(), item) != all.end();
  };
  const auto shortest = shrink(items, [&](const std::vector<int>& all) {
    return holds(all, 17) && holds(all, 640) && holds(all, 641);
  });
  EXPECT_EQ(shortest, (std::vector<int>{17, 640, 641}));
}

TEST(ModelItself, AMountThatForgetsToPunchIsFoundOutInFewSteps) {
  if (::access("/dev/fuse", R_OK | W_OK) != 0) GTEST_SKIP() << "no FUSE here";
  const ModelSetup setup{"openssl", "writeback"};
  const Steps steps = random_steps(7, 3000);
  Outcome outcome;
  {
    Place place(setup);
    ASSERT_EQ(place.mount.failure(), "");
    outcome = walk(place, 0, steps, Sides::Fault::kForgetsPunching);
  }
  ASSERT_TRUE(outcome.failed());
  const std::string told = report(setup, steps, outcome, false, Sides::Fault::kForgetsPunching);
  ASSERT_TRUE(told.starts_with("shrunk to ")) << told;
  EXPECT_LE(std::stoul(told.substr(10)), 8U) << told;
  EXPECT_NE(told.find("fallocate"), std::string::npos) << told;
}

TEST(ModelItself, AMountThatAnswersNoMoreEndsTheWalk) {
  if (::access("/dev/fuse", R_OK | W_OK) != 0 || ::geteuid() != 0) GTEST_SKIP() << "needs FUSE, and root";
  const ModelSetup setup{"openssl", "writeback"};
  Place place(setup, std::chrono::seconds(1));
  ASSERT_EQ(place.mount.failure(), "");
  ::kill(place.mount.server(), SIGSTOP);
  const Steps steps = random_steps(7, 100);
  const Outcome outcome = walk(place, 0, steps);
  ::kill(place.mount.server(), SIGCONT);
  EXPECT_TRUE(outcome.failed());
  EXPECT_TRUE(place.watchdog->stepped_in());
}

}  // namespace
}  // namespace kmsfs::testing
