// Every prefix of what was written, with what was not synced lost or torn, and the process killed before
// every call: each state mounts, what was synced is whole, each block is old or new, no directory is lost,
// and nothing needs a hand. KMSFS_CRASH_SAMPLES tries more states after each call.
#include <gtest/gtest.h>
#include <spawn.h>
#include <sys/wait.h>

#include <cstdlib>
#include <filesystem>

#include "tests/crash/crash_place.h"
#include "tests/crash/open_volume.h"
#include "tests/crash/replay.h"
#include "tests/crash/synced_first.h"
#include "tests/crash/workloads.h"
#include "tests/support/crypto_environment.h"

namespace kmsfs::crash {
namespace {

class Crash : public ::testing::TestWithParam<Workload> {
 protected:
  // Does the workload to its end, and tells what was done and what programs were told.
  struct Record {
    std::vector<Operation> operations;
    std::unique_ptr<History> history;
    std::unique_ptr<RecordingDisk> disk;
  };
  Record record(bool order_is_kept = true) {
    const std::string backing = place_.backing();
    place_.copy_start_to(backing);
    Record record;
    record.disk = std::make_unique<RecordingDisk>(backing);
    if (!order_is_kept) record.disk->keep_no_order();
    OpenVolume volume(*record.disk, backing, place_.kms(), place_.clock(), false);
    EXPECT_EQ(volume.failure(), "");
    testing::PlainTree tree(volume.file_system());
    record.history = std::make_unique<History>(*record.disk, tree);
    GetParam().run(*record.history);
    record.operations = record.disk->operations();
    return record;
  }

  // What is wrong with crashed(), in which `end` operations had been done; empty if nothing is.
  std::string judge(const History& history, std::size_t end) {
    RealDisk disk;
    {
      OpenVolume volume(disk, place_.crashed(), place_.kms(), place_.clock(), true);
      if (!volume.failure().empty()) return volume.failure();
      testing::PlainTree tree(volume.file_system());
      if (std::string wrong = history.judge(end, tree); !wrong.empty()) return wrong;
      if (std::string wrong = work_in(tree); !wrong.empty()) return wrong;
    }
    // The next mount needs no recovery any more, and finds the same.
    OpenVolume again(disk, place_.crashed(), place_.kms(), place_.clock(), false);
    if (!again.failure().empty()) return "the second time, " + again.failure();
    testing::PlainTree tree(again.file_system());
    if (std::string wrong = history.judge(end, tree); !wrong.empty()) return "the second time, " + wrong;
    return "";
  }

  // Nothing needs a hand: what there is can be written to, and new things be made.
  static std::string work_in(testing::PlainTree& tree) {
    auto made = tree.create("/made-after-the-crash");
    if (!made) return "no file can be made: " + made.error().text;
    if (auto written = tree.write(*made, 100, "text"); !written) return "a new file cannot be written";
    tree.close(*made);
    auto back = tree.read_all("/made-after-the-crash");
    if (!back || *back != std::string(100, '\0') + "text") return "a new file does not read back";
    if (!tree.unlink("/made-after-the-crash")) return "a new file cannot be removed";
    return "";
  }

  static std::string around(const std::vector<Operation>& operations, std::size_t end) {
    std::string out;
    for (std::size_t i = end > 12 ? end - 12 : 0; i < std::min(end + 2, operations.size()); ++i) {
      if (i == end) out += "--- crash\n";
      out += std::to_string(i) + ": " + operations[i].to_string() + "\n";
    }
    return out;
  }

  CrashPlace place_;
};

TEST_P(Crash, WhateverPartOfThePagesReachedTheDisk) {
  const Record record = this->record();
  const char* setting = ::getenv("KMSFS_CRASH_SAMPLES");
  const std::size_t samples = setting != nullptr ? std::strtoul(setting, nullptr, 10) : 4;
  std::mt19937_64 random(20261124);
  std::size_t states = 0;
  int failures = 0;
  for (std::size_t end = 0; end <= record.operations.size() && failures < 5; ++end) {
    for (const CrashState& state : states_after(record.operations, end, samples, random)) {
      ++states;
      auto replayed = place_.crash(record.operations, state);
      ASSERT_TRUE(replayed.ok()) << replayed.error().text;
      const std::string wrong = judge(*record.history, end);
      if (wrong.empty()) continue;
      ADD_FAILURE() << state.to_string() << ": " << wrong << "\n" << around(record.operations, end);
      ++failures;
    }
  }
  RecordProperty("states", static_cast<int>(states));
}

TEST_P(Crash, WhereverTheProcessWasKilled) {
  const Record record = this->record();
  const std::string uri = place_.uri();
  int failures = 0;
  for (std::size_t end = 0; end < record.operations.size() && failures < 5; ++end) {
    place_.copy_start_to(place_.crashed());
    const std::string number = std::to_string(end);
    const char* arguments[] = {KMSFS_CRASH_WORKER,         uri.c_str(),    place_.crashed().c_str(),
                               GetParam().promise.c_str(), number.c_str(), nullptr};
    std::string backing = place_.crashed();
    arguments[2] = backing.c_str();
    pid_t worker = 0;
    ASSERT_EQ(::posix_spawn(&worker, arguments[0], nullptr, nullptr, const_cast<char**>(arguments), environ),
              0);
    int status = 0;
    ASSERT_EQ(::waitpid(worker, &status, 0), worker);
    ASSERT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL)
        << "the worker was to be killed before call " << end;
    const std::string wrong = judge(*record.history, end);
    if (wrong.empty()) continue;
    ADD_FAILURE() << "killed before call " << end << ": " << wrong << "\n" << around(record.operations, end);
    ++failures;
  }
}

// As btrfs does it.
class CrashWithoutOrder : public Crash {
 protected:
  std::vector<std::string> failures_of(const Record& record, std::size_t stride) {
    std::vector<std::string> failures;
    const auto states = logged_states(record.operations, stride);
    for (const LoggedState& state : states) {
      auto replayed = replay_logged(record.operations, state, place_.start(), place_.crashed());
      EXPECT_TRUE(replayed.ok());
      const std::string wrong = judge_what_was_synced(*record.history, state.end);
      if (wrong.empty()) continue;
      failures.push_back(state.to_string() + ": " + wrong + "\n" + around(record.operations, state.end));
      if (failures.size() >= 3) break;
    }
    RecordProperty("states", static_cast<int>(states.size()));
    return failures;
  }

 private:
  std::string judge_what_was_synced(const History& history, std::size_t end) {
    RealDisk disk;
    OpenVolume volume(disk, place_.crashed(), place_.kms(), place_.clock(), true);
    if (!volume.failure().empty()) return volume.failure();
    testing::PlainTree tree(volume.file_system());
    return history.judge_what_was_synced(end, tree);
  }
};

TEST_P(CrashWithoutOrder, NothingThatWasSyncedIsBehindWhatWasNot) {
  EXPECT_EQ(failures_of(record(false), 3), std::vector<std::string>());
}

INSTANTIATE_TEST_SUITE_P(Promise, CrashWithoutOrder, ::testing::ValuesIn(workloads_of_names()),
                         [](const auto& workload) { return workload.param.promise; });

// What those states are worth: a writer that relies on an order that is not kept loses something.
class CrashOfTheCareless : public CrashWithoutOrder {};

TEST_P(CrashOfTheCareless, LosesWhatWasSynced) {
  EXPECT_NE(failures_of(record(true), 3), std::vector<std::string>());
}

INSTANTIATE_TEST_SUITE_P(Promise, CrashOfTheCareless, ::testing::Values(workloads_of_names().back()),
                         [](const auto& workload) { return workload.param.promise; });

INSTANTIATE_TEST_SUITE_P(Promise, Crash, ::testing::ValuesIn(workloads()),
                         [](const auto& workload) { return workload.param.promise; });

}  // namespace
}  // namespace kmsfs::crash
