// Every prefix of what was written, with what was not synced lost or torn: each state mounts, what was synced
// is whole, each block is old or new, no directory is lost, and nothing needs a hand. KMSFS_CRASH_SAMPLES
// tries more states after each call.
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <functional>

#include "tests/crash/history.h"
#include "tests/crash/replay.h"
#include "tests/support/crypto_environment.h"
#include "tests/support/fake_kms.h"
#include "tests/support/shell.h"

namespace kmsfs::crash {
namespace {

// A volume in a directory, opened as a mount would.
class OpenVolume {
 public:
  OpenVolume(Disk& disk, const std::string& backing, Kms& kms, const Clock& clock, bool recover) {
    UniqueFd fd(::open(backing.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    auto volume = Volume::open(disk, fd.get(), kms);
    if (!volume) {
      fail(volume.error());
      return;
    }
    volume_ = std::move(*volume);
    KeyCache::Options cache_options;
    cache_options.index_directory = "/dev/shm/kmsfs-crash-index." + std::to_string(::getpid());
    cache_options.maintenance_thread = false;
    auto keys = KeyCache::make(kms, clock, make_null_logger(), cache_options);
    if (!keys) {
      fail(keys.error());
      return;
    }
    keys_ = std::move(*keys);
    FileSystem::Options options;
    options.recover = recover;
    options.maintenance_thread = false;
    auto file_system =
        FileSystem::make(disk, std::move(fd), *volume_, *keys_, clock, make_null_logger(), options);
    if (!file_system) {
      fail(file_system.error());
      return;
    }
    file_system_ = std::move(*file_system);
    if (auto recovered = file_system_->recover_all(); recover && !recovered) fail(recovered.error());
  }
  ~OpenVolume() {
    if (file_system_) file_system_->shut_down();
  }

  const std::string& failure() const { return failure_; }
  FileSystem& file_system() { return *file_system_; }

 private:
  void fail(const Error& error) { failure_ = "the volume does not open: " + error.text; }

  std::unique_ptr<Volume> volume_;
  std::unique_ptr<KeyCache> keys_;
  std::unique_ptr<FileSystem> file_system_;
  std::string failure_;
};

std::string text_of(std::size_t size, char start) {
  std::string text(size, '\0');
  for (std::size_t i = 0; i < size; ++i)
    text[i] = static_cast<char>('!' + (static_cast<std::size_t>(start) * 7 + i * 11 + i / 89) % 90);
  return text;
}

class Crash : public ::testing::Test {
 protected:
  void SetUp() override {
    char pattern[] = "/dev/shm/kmsfs-crash.XXXXXX";
    ASSERT_NE(::mkdtemp(pattern), nullptr);
    top_ = pattern;
    key_ = server_.create_key();
    std::filesystem::create_directory(top_ + "/start");
    RealDisk disk;
    const UniqueFd fd(::open((top_ + "/start").c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    auto made = Volume::create(disk, fd.get(), kms_, key_, "fake:");
    ASSERT_TRUE(made.ok()) << made.error().text;
  }
  void TearDown() override { std::filesystem::remove_all(top_); }

  // Records the workload, then looks at every state that a crash could have left.
  void survive(const std::function<void(History&)>& workload) {
    const std::string backing = top_ + "/backing";
    std::filesystem::copy(top_ + "/start", backing, std::filesystem::copy_options::recursive);
    RecordingDisk disk(backing);
    std::unique_ptr<History> history;
    {
      OpenVolume volume(disk, backing, kms_, clock_, false);
      ASSERT_EQ(volume.failure(), "");
      testing::PlainTree tree(volume.file_system());
      history = std::make_unique<History>(disk, tree);
      workload(*history);
    }
    const char* setting = ::getenv("KMSFS_CRASH_SAMPLES");
    const std::size_t samples = setting != nullptr ? std::strtoul(setting, nullptr, 10) : 4;
    std::mt19937_64 random(20261124);
    std::size_t states = 0;
    for (std::size_t end = 0; end <= disk.operations().size(); ++end) {
      for (const CrashState& state : states_after(disk.operations(), end, samples, random)) {
        ++states;
        const std::string wrong = look_at(disk.operations(), state, *history);
        if (!wrong.empty()) {
          ADD_FAILURE() << state.to_string() << ": " << wrong << "\n" << around(disk.operations(), end);
          if (++failures_ >= 5) return;
        }
      }
    }
    RecordProperty("states", static_cast<int>(states));
    std::printf("%zu operations, %zu crash states\n", disk.operations().size(), states);
  }

  std::string look_at(const std::vector<Operation>& operations, const CrashState& state,
                      const History& history) {
    const std::string crashed = top_ + "/crashed";
    std::filesystem::remove_all(crashed);
    std::filesystem::copy(top_ + "/start", crashed, std::filesystem::copy_options::recursive);
    if (auto replayed = replay(operations, state, crashed); !replayed)
      return "replay: " + replayed.error().text;
    RealDisk disk;
    {
      OpenVolume volume(disk, crashed, kms_, clock_, true);
      if (!volume.failure().empty()) return volume.failure();
      testing::PlainTree tree(volume.file_system());
      if (std::string wrong = history.judge(state.end, tree); !wrong.empty()) return wrong;
      if (std::string wrong = work_in(tree); !wrong.empty()) return wrong;
    }
    // The next mount needs no recovery any more, and finds the same.
    OpenVolume again(disk, crashed, kms_, clock_, false);
    if (!again.failure().empty()) return "the second time, " + again.failure();
    testing::PlainTree tree(again.file_system());
    if (std::string wrong = history.judge(state.end, tree); !wrong.empty())
      return "the second time, " + wrong;
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
      const Operation& o = operations[i];
      out += (i == end ? "--- crash\n" : "") + std::to_string(i) + ": type " +
             std::to_string(static_cast<int>(o.type)) + " object " + std::to_string(o.object) + " " +
             o.name.substr(0, 20) + " " + o.new_name.substr(0, 20) + " offset " + std::to_string(o.offset) +
             " size " + std::to_string(o.size + o.data.size()) + (o.extends ? " extends" : "") + "\n";
    }
    return out;
  }

  std::string top_, key_;
  testing::FakeKmsServer server_;
  testing::FakeKms kms_{server_};
  const SystemClock clock_;
  int failures_ = 0;
};

TEST_F(Crash, CreatedFilesAreThereWholeOrNotAtAll) {
  survive([](History& h) {
    for (const std::string name : {"/a", "/b", "/c"}) {
      h.create(name);
      h.write(name, 0, text_of(5000, name[1]));
      if (name != "/b") h.sync(name);
      h.close(name);
    }
    h.sync_directory("/");
    h.create("/d");
    h.close("/d");
  });
}

TEST_F(Crash, OverwrittenBlocksAreOldOrNew) {
  survive([](History& h) {
    h.create("/f");
    h.write("/f", 0, text_of(30000, 'a'));
    h.sync("/f");
    for (int i = 0; i < 6; ++i)
      h.write("/f", static_cast<std::size_t>(i) * 4500 + 7,
              text_of(static_cast<std::size_t>(i) * 900 + 1, 'b'));
    h.sync("/f");
    h.write("/f", 2000, text_of(20000, 'c'));
    h.close("/f");
  });
}

TEST_F(Crash, AnAppendedLogKeepsEveryRecordThatWasSynced) {
  survive([](History& h) {
    h.create("/log");
    for (int i = 0; i < 12; ++i) {
      h.append("/log", text_of(static_cast<std::size_t>(700 + i * 137), static_cast<char>('a' + i)));
      if (i % 3 != 2) h.sync("/log");
    }
    h.close("/log");
    h.open("/log");
    h.append("/log", text_of(9000, 'z'));
    h.sync("/log");
    h.append("/log", text_of(1, 'y'));
    h.close("/log");
  });
}

TEST_F(Crash, TruncatedUpAndDownAcrossBlockEdgesNothingOldReturns) {
  survive([](History& h) {
    h.create("/f");
    h.write("/f", 0, text_of(20000, 'a'));
    h.sync("/f");
    for (const std::size_t size : {3032U, 3031U, 3033U, 7088U, 7087U, 7089U, 19000U, 1U, 12000U, 0U, 5000U}) {
      h.truncate("/f", size);
      if (size % 2 == 0) h.sync("/f");
    }
    h.write("/f", 4900, text_of(200, 'b'));
    h.sync("/f");
    h.close("/f");
  });
}

TEST_F(Crash, AFileOpenedWithTruncationIsOldOrEmptyOrNew) {
  survive([](History& h) {
    h.create("/f");
    h.write("/f", 0, text_of(15000, 'a'));
    h.sync("/f");
    h.close("/f");
    h.open("/f");
    h.truncate("/f", 0);
    h.write("/f", 0, text_of(9000, 'b'));
    h.close("/f");
    h.open("/f");
    h.truncate("/f", 0);
    h.write("/f", 0, text_of(4000, 'c'));
    h.sync("/f");
    h.close("/f");
  });
}

TEST_F(Crash, RenamedOverTheNewContentIsWholeOrTheOldIs) {
  survive([](History& h) {
    h.create("/f");
    h.write("/f", 0, text_of(8000, 'a'));
    h.sync("/f");
    h.close("/f");
    h.sync_directory("/");
    for (int i = 0; i < 3; ++i) {
      h.create("/f.new");
      h.write("/f.new", 0, text_of(6000 + static_cast<std::size_t>(i) * 1000, static_cast<char>('b' + i)));
      h.sync("/f.new");
      h.close("/f.new");
      h.rename("/f.new", "/f");
      if (i == 1) h.sync_directory("/");
    }
  });
}

TEST_F(Crash, NoDirectoryIsEverLost) {
  survive([](History& h) {
    h.make_directory("/a");
    h.make_directory("/a/b");
    h.create("/a/b/f");
    h.write("/a/b/f", 0, text_of(100, 'x'));
    h.sync("/a/b/f");
    h.close("/a/b/f");
    h.make_directory("/c");
    h.rename("/a/b", "/c/moved");
    h.sync_directory("/c");
    h.remove_directory("/a");
    h.unlink("/c/moved/f");
    h.remove_directory("/c/moved");
    h.make_directory("/a");
    h.sync_directory("/");
  });
}

TEST_F(Crash, LongNamesNeverLoseTheirOtherHalf) {
  survive([](History& h) {
    const std::string one = "/" + std::string(255, 'l'), two = "/" + std::string(230, 'm'),
                      deep = "/" + std::string(200, 'd');
    h.create(one);
    h.write(one, 0, text_of(50, 'x'));
    h.sync(one);
    h.close(one);
    h.rename(one, two);
    h.sync_directory("/");
    h.make_directory(deep);
    h.rename(two, deep + two);
    h.create(one);
    h.close(one);
    h.rename(deep + two, one);
    h.unlink(one);
    h.remove_directory(deep);
  });
}

TEST_F(Crash, AHoleOfTwoMebibytesIsAHoleAndNothingElse) {
  survive([](History& h) {
    h.create("/sparse");
    h.write("/sparse", 0, text_of(5000, 'a'));
    h.sync("/sparse");
    h.write("/sparse", 2 << 20, text_of(5000, 'b'));
    h.sync("/sparse");
    h.truncate("/sparse", 4 << 20);
    h.write("/sparse", 3 << 20, text_of(100, 'c'));
    h.close("/sparse");
  });
}

TEST_F(Crash, ADatabasesWayOfWritingKeepsWhatItCommitted) {
  survive([](History& h) {  // as sqlite3 with a rollback journal: journal, sync, database, sync, journal away
    h.create("/db");
    h.write("/db", 0, text_of(16384, 'a'));
    h.sync("/db");
    for (int i = 0; i < 4; ++i) {
      h.create("/db-journal");
      h.write("/db-journal", 0, text_of(512, 'j'));
      h.append("/db-journal", text_of(4096 + 8, static_cast<char>('k' + i)));
      h.sync("/db-journal");
      h.write("/db", 4096 * static_cast<std::size_t>(i), text_of(4096, static_cast<char>('b' + i)));
      h.append("/db", text_of(4096, static_cast<char>('p' + i)));
      h.sync("/db");
      h.close("/db-journal");
      h.unlink("/db-journal");
      h.sync_directory("/");
    }
    h.close("/db");
  });
}

}  // namespace
}  // namespace kmsfs::crash
