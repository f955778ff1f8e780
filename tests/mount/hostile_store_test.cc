// A storage provider at work on the backing directory of a live mount, and between mounts.
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <atomic>
#include <filesystem>
#include <map>
#include <set>
#include <thread>

#include "core/unique_fd.h"
#include "fs/format.h"
#include "tests/mount/command_mount.h"
#include "tests/support/mounted_volume.h"

namespace kmsfs::testing {
namespace {

namespace stdfs = std::filesystem;

std::string file_bytes(const stdfs::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

class HostileStore : public ::testing::Test {
 protected:
  void SetUp() override {
    if (::geteuid() != 0 || !MountedVolume::possible()) GTEST_SKIP() << "needs root and /dev/fuse";
    ASSERT_TRUE(volume_.init());
    ASSERT_TRUE(volume_.mount());
  }
  void TearDown() override {
    if (!IsSkipped() && !HasFatalFailure()) {
      EXPECT_TRUE(volume_.unmount());
    }
  }
  // Where something in the mount stands in the backing directory.
  stdfs::path stored(const std::string& name) const {
    struct stat there {};
    EXPECT_EQ(::lstat(volume_.path(name).c_str(), &there), 0) << name;
    for (const auto& entry : stdfs::recursive_directory_iterator(volume_.backing())) {
      struct stat found {};
      if (::lstat(entry.path().c_str(), &found) == 0 && found.st_ino == there.st_ino) return entry.path();
    }
    ADD_FAILURE() << name << " stands nowhere";
    return {};
  }
  ::testing::AssertionResult in_store(const std::string& script) const {
    const ScriptResult ran = run_script("cd " + volume_.backing() + "\n" + script, 30);
    if (ran.status == 0) return ::testing::AssertionSuccess();
    return ::testing::AssertionFailure() << ran.output;
  }

  CommandMount volume_;
};

// Every nonce of every sealed page, and what it sealed.
class Nonces {
 public:
  void collect(const std::string& backing) {
    const Geometry geometry(kDefaultHeaderSize);
    for (const auto& entry : stdfs::recursive_directory_iterator(backing)) {
      const std::string name = entry.path().filename().string();
      if (!entry.is_regular_file() || entry.path().string().find("/.kmsfs") != std::string::npos) continue;
      const std::string bytes = file_bytes(entry.path());
      for (std::uint64_t block = 0;
           geometry.sealed_offset(block) + geometry.sealed_size(block) <= bytes.size(); ++block) {
        const std::string sealed = bytes.substr(geometry.sealed_offset(block), geometry.sealed_size(block));
        if (sealed.find_first_not_of('\0') == std::string::npos) continue;
        const auto [at, is_new] = seen_.emplace(sealed.substr(0, Xaes256Gcm::kNonceSize), sealed);
        if (!is_new && at->second != sealed) repeated_.insert(name + " block " + std::to_string(block));
      }
    }
  }
  std::size_t count() const { return seen_.size(); }
  const std::set<std::string>& repeated() const { return repeated_; }

 private:
  std::map<std::string, std::string> seen_;
  std::set<std::string> repeated_;
};

TEST_F(HostileStore, NoNonceComesTwiceOverRestoredSnapshotsAndMountsOneAfterTheOther) {
  Nonces nonces;
  const auto write_all = [&](int round) {
    return volume_.in_mount("for i in $(seq 20); do (yes " + std::to_string(round) +
                            "$i || true) | head -c 30000 > f$i; done; sync");
  };
  ASSERT_TRUE(write_all(0));
  ASSERT_TRUE(volume_.unmount());
  nonces.collect(volume_.backing());
  const std::string snapshot = volume_.top() + "/snapshot";
  ASSERT_EQ(run_script("cp -a " + volume_.backing() + " " + snapshot, 60).status, 0);
  // The same writes upon the same state, in daemon after daemon: what repeats in one of them, repeats here.
  for (int round = 1; round <= 4; ++round) {
    ASSERT_EQ(
        run_script("rsync -a --inplace --checksum --delete " + snapshot + "/ " + volume_.backing() + "/", 60)
            .status,
        0);
    ASSERT_TRUE(volume_.mount());
    ASSERT_TRUE(volume_.in_mount(
        "for i in $(seq 20); do test $(stat -c %s f$i) = 30000; (yes " + std::to_string(round) +
        "$i || true) | head -c 30000 | dd of=f$i conv=notrunc status=none; done; sync"));
    ASSERT_TRUE(volume_.unmount());
    nonces.collect(volume_.backing());
  }
  EXPECT_TRUE(nonces.repeated().empty()) << *nonces.repeated().begin();
  EXPECT_GE(nonces.count(), 5U * 20 * 8);
  ASSERT_TRUE(volume_.mount());
}

TEST_F(HostileStore, TwoDirectoriesOfOneIdAreNotConfused) {
  const std::string long_name(200, 'n');
  ASSERT_TRUE(volume_.in_mount("mkdir one two; echo 1 > one/same; echo 1 > one/" + long_name));
  const stdfs::path one = stored("one"), two = stored("two");
  const auto give_one_id = [&] {
    return in_store("cp -Pf " + (one / ".kmsfs-dir").string() + " " + two.string());
  };
  // While it is mounted, and when kmsfs reads the ids anew.
  for (int round = 0; round < 2; ++round) {
    ASSERT_TRUE(give_one_id());
    ASSERT_TRUE(volume_.remount());
    const std::string n = std::to_string(round);
    ASSERT_TRUE(volume_.in_mount(
        "rm -rf two/*; echo 1 > one/same; echo 2 > two/same; echo 2 > two/" + long_name +
            "; mkdir one/d two/d; echo 2d > two/d/f\n"
            "test \"$(cat one/same one/" +
            long_name + " two/same two/" + long_name +
            ")\" = \"$(printf '1\\n1\\n2\\n2')\"\n"
            "test $(stat -c %i one/same) != $(stat -c %i two/same); test ! -e one/d/f; test -e two/d/f\n"
            "exec 3< two/same; mv one/same two/moved; test ! -e one/same; test $(cat two/moved) = 1; test "
            "$(cat <&3) = 2; exec 3<&-\n"
            "mv two/moved one/same; rm two/same; test $(cat one/same) = 1; test ! -e two/same\n"
            "cd two; touch here; test ! -e ../one/here; mv ../two ../other; test -e ../other/here; touch "
            "there; test ! -e ../one/there; cd ..\n"
            "test -e other/there; mv other two; rm -r two/d; test -d one/d; rmdir one/d; test \"$(ls one | "
            "wc -l) $(ls two | wc -l)\" = '2 3'",
        40));
  }
  EXPECT_TRUE(volume_.in_mount("rm -r two; test $(cat one/same) = 1; rm -r one; test -z \"$(ls)\""));
}

TEST_F(HostileStore, WhatARacerPlantsWhileProgramsWorkIsNeverOpenedFollowedOrWaitedFor) {
  const std::string secret = volume_.top() + "/secret";
  std::ofstream(secret) << "DECOY";
  ASSERT_TRUE(volume_.in_mount(
      "mkdir d; for i in 1 2 3 4; do (yes content$i || true) | head -c 18000 > d/f$i; done; mkdir "
      "d/sub; echo x > d/sub/x; "
      "echo long > d/" +
      std::string(200, 'n') + "; sync"));
  const stdfs::path directory = stored("d");
  std::vector<stdfs::path> targets;
  for (const char* name : {"d/f1", "d/f2", "d/f3", "d/sub"}) targets.push_back(stored(name));
  targets.push_back(directory / ".kmsfs-dir");
  for (const auto& entry : stdfs::directory_iterator(directory)) {
    if (entry.path().filename().string().starts_with(".kmsfs-name")) targets.push_back(entry.path());
  }
  std::atomic<bool> done{false};
  std::atomic<std::uint64_t> planted{0};
  std::thread racer([&] {
    std::error_code ignored;
    for (unsigned turn = 0; !done; ++turn) {
      const stdfs::path target = targets[turn % targets.size()];
      const std::string kept = volume_.top() + "/kept";
      if (::rename(target.c_str(), kept.c_str()) != 0) continue;
      switch (turn / targets.size() % 5) {
        case 0:
          ::mkfifo(target.c_str(), 0666);
          break;
        case 1:
          stdfs::create_symlink(secret, target, ignored);
          break;
        case 2:
          ::mknod(target.c_str(), S_IFCHR | 0666, makedev(1, 5));
          break;  // /dev/zero
        case 3:
          ::mkdir(target.c_str(), 0777);
          break;
        case 4:
          stdfs::create_hard_link(secret, target, ignored);
          break;
      }
      ::usleep(300);
      ::rename(target.c_str(), (volume_.top() + "/planted").c_str());
      stdfs::remove_all(volume_.top() + "/planted", ignored);
      ::rename(kept.c_str(), target.c_str());
      ++planted;
    }
  });
  // Every call ends (of a FIFO that is shown as one, the program must say that it does not wait for a
  // writer); what is read is right, or an error.
  const auto worked = volume_.in_mount(
      R"sh(
      ends() { timeout 10 "$@" 2> ../error || test $? != 124 || { echo "$* waited"; exit 1; }; }
      end=$((SECONDS + 4)); while [ $SECONDS -lt $end ]; do
        for i in 1 2 3 4; do
          ends dd if=d/f$i bs=1M iflag=nonblock status=none > ../seen
          if grep -qv content$i ../seen; then echo "f$i is not itself"; exit 1; fi
        done
        ends ls -lR d > ../listing
        for f in d/sub/x d/n*; do ends dd if=$f bs=1M iflag=nonblock status=none > ../seen; if grep -q DECOY ../seen; then exit 1; fi; done
        ends touch d/f4 d/new; ends rm -f d/new
      done)sh",
      60);
  done = true;
  racer.join();
  EXPECT_TRUE(worked);
  EXPECT_GT(planted, 20U);
  EXPECT_EQ(file_bytes(secret), "DECOY");
  ASSERT_TRUE(volume_.remount());
  EXPECT_TRUE(
      volume_.in_mount("for i in 1 2 3 4; do test $(stat -c %s d/f$i) = 18000; ! grep -qv content$i d/f$i; "
                       "done; test $(cat d/sub/x) = x; "
                       "test $(cat d/n*) = long"));
}

TEST_F(HostileStore, UndecryptableNamesAreShownAndCanBeRemovedAndSpoilNothing) {
  ASSERT_TRUE(volume_.in_mount("mkdir d; echo good > d/good; sync"));
  const stdfs::path directory = stored("d");
  ASSERT_TRUE(
      in_store("cd " + directory.string() +
               "; touch AAAAAAAAAAAAAAAAAAAAAAAAAAAA 'not ours'; mkdir BBBBBBBBBBBBBBBBBBBBBBBBBBBB; "
               "mkfifo CCCCCCCCCCCCCCCCCCCCCCCCCCCC; ln -s /etc/passwd DDDDDDDDDDDDDDDDDDDDDDDDDDDD"));
  ASSERT_TRUE(volume_.remount());
  EXPECT_TRUE(
      volume_.in_mount("test $(cat d/good) = good; test $(ls d | grep -c '^.kmsfs-unreadable') = 0; test "
                       "$(ls -A d | grep -c '^.kmsfs-unreadable') = 5\n"
                       "for f in d/.kmsfs-unreadable*; do test ! -p $f || continue; timeout 10 cat \"$f\" > "
                       "../seen 2>&1 && exit 1; ! "
                       "grep -q root: ../seen; done\n"
                       "echo more > d/more; rm -r d; test ! -e d",
                       40));
  EXPECT_FALSE(stdfs::exists(directory));
}

TEST_F(HostileStore, ASideLinkThatIsMissingSpoilsItsOwnNameOnly) {
  ASSERT_TRUE(
      volume_.in_mount("mkdir d; for c in a b c; do echo $c > d/$(printf \"$c%.0s\" {1..200}); done; echo "
                       "short > d/short; sync"));
  const stdfs::path directory = stored("d");
  const stdfs::path entry = stored("d/" + std::string(200, 'b'));
  std::set<stdfs::path> before;
  for (const auto& there : stdfs::directory_iterator(directory)) before.insert(there.path());
  stdfs::path side;
  for (const auto& there : before) {
    if (there != entry && there.filename().string().find(entry.filename().string().substr(
                              entry.filename().string().size() - 20)) != std::string::npos)
      side = there;
  }
  ASSERT_FALSE(side.empty()) << "which is the side link?";
  ASSERT_TRUE(volume_.unmount());
  ASSERT_TRUE(stdfs::remove(side));
  ASSERT_TRUE(volume_.mount());
  EXPECT_TRUE(volume_.in_mount(
      "b=d/" + std::string(200, 'b') +
          "; test $(cat d/aaa* d/ccc* d/short | wc -l) = 3; test $(ls -A "
          "d | wc -l) = 4\n"
          "test $(ls -A d | grep -c unreadable) = 1; rm d/.kmsfs-unreadable*; test $(ls -A d | wc -l) = 3\n"
          "echo again > $b; test $(cat d/bbb*) = again; rm -r d; test ! -e d",
      40));
}

}  // namespace
}  // namespace kmsfs::testing
