// The sqlite3 program at work in a real mount, and the power fails at any moment: the database opens, is
// whole, and has every transaction that the program was told to be committed. KMSFS_CRASH_SAMPLES tries that
// many states after each call.
#include <gtest/gtest.h>
#include <sys/mount.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <ostream>

#include "fs/fuse_mount.h"
#include "tests/crash/crash_place.h"
#include "tests/crash/open_volume.h"
#include "tests/crash/sqlite_session.h"
#include "tests/support/crypto_environment.h"
#include "tests/support/plain_tree.h"

namespace kmsfs::crash {
namespace {

constexpr int kTransactions = 10;
constexpr std::size_t kStates = 240;  // in each journal mode

struct Journal {
  std::string mode, synchronous;
};
void PrintTo(const Journal& journal, std::ostream* out) {
  *out << journal.mode << " " << journal.synchronous;
}

class SqliteCrash : public ::testing::TestWithParam<Journal> {
 protected:
  void SetUp() override {
    if (::access("/dev/fuse", R_OK | W_OK) != 0) GTEST_SKIP() << "no FUSE here";
  }

  struct Record {
    std::vector<Operation> operations;
    std::size_t tables = 0;                // operations that had been done when they were there
    std::vector<std::size_t> begun, told;  // ... when each transaction began, and was told to be committed

    int begun_at(std::size_t end) const { return count(begun, end); }
    int told_at(std::size_t end) const { return count(told, end); }
    static int count(const std::vector<std::size_t>& moments, std::size_t end) {
      return static_cast<int>(
          std::count_if(moments.begin(), moments.end(), [&](auto moment) { return moment <= end; }));
    }
  };

  Record record() {
    Record record;
    place_.copy_start_to(place_.backing());
    RecordingDisk disk(place_.backing());
    {
      OpenVolume volume(disk, place_.backing(), place_.kms(), place_.clock(), false);
      EXPECT_EQ(volume.failure(), "");
      MountOptions options;
      options.mountpoint = place_.top() + "/mnt";
      options.source = place_.backing();
      std::filesystem::create_directory(options.mountpoint);
      auto mounted = Mounted::mount(volume.file_system(), options, make_null_logger());
      EXPECT_TRUE(mounted.ok()) << mounted.error().text;
      if (!mounted) return record;
      work(options.mountpoint + "/db", disk, record);
      if (HasFailure()) ::umount2(options.mountpoint.c_str(), MNT_FORCE);
    }
    record.operations = disk.operations();
    return record;
  }

  static void work(const std::string& database, RecordingDisk& disk, Record& record) {
    SqliteSession sqlite(database);
    ASSERT_TRUE(sqlite.run("PRAGMA journal_mode=" + GetParam().mode + "; PRAGMA synchronous=" +
                           GetParam().synchronous + "; PRAGMA wal_autocheckpoint=12;"));
    ASSERT_TRUE(sqlite.run(sqlite_tables()));
    record.tables = disk.count();
    for (int i = 1; i <= kTransactions; ++i) {
      record.begun.push_back(disk.count());
      ASSERT_TRUE(sqlite.run(sqlite_transaction(i))) << i;
      record.told.push_back(disk.count());
    }
  }

  // What is wrong with crashed(); empty if nothing is.
  std::string judge(const Record& record, std::size_t end) {
    const std::string found = place_.top() + "/found";
    std::filesystem::remove_all(found);
    std::filesystem::create_directory(found);
    {
      RealDisk disk;
      OpenVolume volume(disk, place_.crashed(), place_.kms(), place_.clock(), true);
      if (!volume.failure().empty()) return volume.failure();
      testing::PlainTree tree(volume.file_system());
      for (const std::string name : {"/db", "/db-journal", "/db-wal"}) {  // shared memory does not survive
        auto content = tree.read_all(name);
        if (!content && content.error().system_errno == ENOENT) continue;
        if (!content) return name + ": " + content.error().text;
        std::ofstream(found + name, std::ios::binary) << *content;
      }
    }
    if (end < record.tables)
      return "";  // it mounts and reads; what sqlite3 makes of its first steps is its own
    const SqliteFindings findings = look_into(found + "/db");
    if (!findings.wrong.empty()) return findings.wrong;
    if (findings.transactions < record.told_at(end)) {
      return "of " + std::to_string(record.told_at(end)) + " committed transactions " +
             std::to_string(findings.transactions) + " are there";
    }
    if (findings.transactions > record.begun_at(end)) return "transactions from the future";
    return "";
  }

  // Spread over all that was recorded.
  static std::vector<CrashState> states_of(const Record& record) {
    const char* setting = ::getenv("KMSFS_CRASH_SAMPLES");
    const std::size_t more = setting != nullptr ? std::strtoul(setting, nullptr, 10) : 0;
    const std::size_t calls = record.operations.size();
    std::mt19937_64 random(20261128);
    std::vector<CrashState> states;
    for (std::size_t i = 0; i < kStates; ++i) {
      const auto all = states_after(record.operations, i * calls / (kStates - 1), 4, random);
      states.push_back(all[random() % all.size()]);
    }
    for (std::size_t end = 0; more > 0 && end <= calls; ++end) {
      for (const CrashState& state : states_after(record.operations, end, more, random))
        states.push_back(state);
    }
    return states;
  }

  // Of the first that fail.
  std::vector<std::string> failures_of(const Record& record, const std::vector<CrashState>& states) {
    std::vector<std::string> failures;
    for (const CrashState& state : states) {
      auto replayed = place_.crash(record.operations, state);
      const std::string wrong = replayed ? judge(record, state.end) : replayed.error().text;
      if (!wrong.empty()) failures.push_back(state.to_string() + ": " + wrong);
      if (failures.size() >= 3) break;
    }
    RecordProperty("states", static_cast<int>(states.size()));
    return failures;
  }

  CrashPlace place_;
};

TEST_P(SqliteCrash, KeepsEveryTransactionThatWasCommitted) {
  const Record record = this->record();
  ASSERT_FALSE(HasFailure());
  ASSERT_EQ(record.told.size(), static_cast<std::size_t>(kTransactions));
  EXPECT_EQ(failures_of(record, states_of(record)), std::vector<std::string>());
}

// kill -9 loses nothing that the file system below was given.
TEST_P(SqliteCrash, WhereverTheDaemonIsKilledKeepsThemToo) {
  const Record record = this->record();
  ASSERT_FALSE(HasFailure());
  std::vector<CrashState> states;
  for (std::size_t end = 0; end <= record.operations.size(); ++end) states.push_back({end, end, 100, 0});
  EXPECT_EQ(failures_of(record, states), std::vector<std::string>());
}

// In the mode DELETE what commits is that the journal is gone, and only EXTRA makes that durable.
INSTANTIATE_TEST_SUITE_P(With, SqliteCrash,
                         ::testing::Values(Journal{"DELETE", "EXTRA"}, Journal{"TRUNCATE", "FULL"},
                                           Journal{"WAL", "FULL"}),
                         [](const auto& journal) { return journal.param.mode; });

// What the states are worth: where sqlite3 syncs nothing they must lose something.
class SqliteCrashWithoutSyncs : public SqliteCrash {};

TEST_P(SqliteCrashWithoutSyncs, LosesTransactions) {
  const Record record = this->record();
  ASSERT_FALSE(HasFailure());
  EXPECT_NE(failures_of(record, states_of(record)), std::vector<std::string>());
}

INSTANTIATE_TEST_SUITE_P(With, SqliteCrashWithoutSyncs, ::testing::Values(Journal{"WAL", "OFF"}),
                         [](const auto& journal) { return journal.param.mode; });

}  // namespace
}  // namespace kmsfs::crash
