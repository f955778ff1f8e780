// One volume, two mounts of two principals, at the same time: what docs/SHARING.md promises, under load.
//
// Each test runs in PID, mount and network namespaces of its own, which end with it: nothing stays behind,
// mounts, daemons of Gluster and programs that wait for a lock included. Two mounts of the program itself,
// not two in this process: locks are kept apart by open file descriptions, and nothing else may be shared.
#include <gtest/gtest.h>
#include <unistd.h>

#include "tests/support/mounted_volume.h"

namespace kmsfs::testing {
namespace {

class Shared : public ::testing::Test {
 protected:
  void SetUp() override {
    if (::geteuid() != 0 || !MountedVolume::possible()) GTEST_SKIP() << "needs root and /dev/fuse";
    for (const char* tool : {"unshare", "ip", "/usr/bin/python3"}) {
      if (run_script(std::string("command -v ") + tool, 10).status != 0) GTEST_SKIP() << "needs " << tool;
    }
    top_ = "/tmp/kmsfs-shared.XXXXXX";
    ASSERT_NE(::mkdtemp(top_.data()), nullptr);
  }
  void TearDown() override {
    if (top_.ends_with("XXXXXX")) return;
    run_script("chattr -i " + top_ + "/* 2>/dev/null || true; rm -rf " + top_, 30);
  }

  // `prepare` sets BACKING_A and BACKING_B.
  void expect_success(const std::string& script,
                      const std::string& prepare = "BACKING_A=$TOP/backing BACKING_B=$TOP/backing") {
    const std::string all =
        "TOP=" + top_ + " KMSFS=" KMSFS_BINARY " LOAD=" KMSFS_TEST_DIRECTORY "/shared_load.py\ncd $TOP\n" +
        prepare +
        "\ntouch prepared\nsource " KMSFS_TEST_DIRECTORY
        "/shared_mounts.sh\nmake_volume\nmount_of a\nmount_of b\n" +
        script;
    const ScriptResult result = run_script(
        "exec unshare --mount --propagation private --net --pid --fork --kill-child --mount-proc bash -euo "
        "pipefail -c " +
            quoted(all),
        100);
    if (::access((top_ + "/prepared").c_str(), F_OK) != 0) {
      GTEST_SKIP() << "what the test needs could not be made here: " << result.output;
    }
    EXPECT_EQ(result.status, 0) << result.output;
  }

  std::string top_;
};

constexpr const char* kAtRest = "\nnothing_corrupt\nkmsfs_of a umount $TOP/a\nkmsfs_of b umount $TOP/b\n";

TEST_F(Shared, WritersOfDifferentRangesLoseNothingAndReadersSeeWholeRecords) {
  expect_success(std::string("load records") + kAtRest);
}

TEST_F(Shared, ABlockNeverMixesTwoWrites) { expect_success(std::string("load blocks") + kAtRest); }

TEST_F(Shared, FilesThatGrowAndShrinkAndGetHolesAreNeverCorrupt) {
  expect_success(std::string("load sizes") + kAtRest);
}

TEST_F(Shared, AppendersOfTwoMountsLoseNoRecordAndTearNone) {
  expect_success(std::string("load appenders") + kAtRest);
}

TEST_F(Shared, LocksOfProgramsHoldAcrossMountsAndASignalEndsTheirWait) {
  expect_success(std::string("load locks") + kAtRest);
}

TEST_F(Shared, ADatabaseThatProgramsOfTwoMountsChangeKeepsEveryRow) {
  expect_success(std::string("load database") + kAtRest);
}

TEST_F(Shared, NamesMayBeMadeRenamedAndRemovedByBoth) { expect_success(std::string("load names") + kAtRest); }

TEST_F(Shared, TheNextOpenSeesWhatTheOtherMountClosedAndOpenFilesOutliveTheirNames) {
  expect_success(std::string("load open_close") + kAtRest);
}

TEST_F(Shared, AMountThatIsKilledLosesItsLocksAndLeavesNoFileThatCannotBeRead) {
  expect_success(R"sh(
    load kill $(pid_of a)
    umount -l $TOP/a; mount_of a
    cat $TOP/a/records $TOP/a/log $TOP/a/sizes > /dev/null
    echo more >> $TOP/a/log; test "$(tail -c5 $TOP/b/log)" = more
  )sh" + std::string(kAtRest));
}

TEST_F(Shared, AMountThatDoesNotShareIsKeptOutAndKeepsOthersOut) {
  expect_success(R"sh(
    mkdir c
    if kmsfs_of a mount $BACKING_A c 2> said; then exit 1; fi
    grep -q 'mounted already' said
    kmsfs_of a doctor $BACKING_A > said || true
    grep -q '^ok *mounted *on /' said
    kmsfs_of a umount a; kmsfs_of b umount b
    kmsfs_of a mount $BACKING_A c
    if mount_of b 2> said; then exit 1; fi
    grep -q 'without --shared' said
    kmsfs_of a umount c; mount_of b; echo text > b/file; kmsfs_of b umount b
  )sh");
}

// Programs that wait for a lock hold up neither each other nor the end of the mount.
TEST_F(Shared, ManyWaitersForALockStopNobodyElse) {
  expect_success(R"sh(
    echo 1 > a/held; echo text > a/other
    exec 8<> b/held; flock -x 8
    for i in $(seq 30); do (timeout -k 5 40 flock -x a/held true; echo done >> $TOP/ended) 8>&- & done
    for i in $(seq 30); do test "$(timeout 20 cat a/other)" = text; done
    test ! -e ended; touch ended
    exec 8>&-
    for i in $(seq 300); do [ "$(wc -l < ended)" != 30 ] || break; sleep 0.1; done
    test "$(wc -l < ended)" = 30
    exec 8<> b/held; flock -x 8
    timeout -k 5 40 flock -x a/held true 8>&- & sleep 0.3
    timeout 20 umount -l a
    kill %% 2>/dev/null || true; wait || true
    exec 8>&-; kmsfs_of b umount b
  )sh");
}

// A Gluster volume in the network namespace, mounted twice as docs/SHARING.md says.
class SharedOverGluster : public Shared {
 protected:
  void SetUp() override {
    Shared::SetUp();
    if (IsSkipped() || HasFatalFailure()) return;
    for (const char* tool : {"glusterd", "gluster", "mount.glusterfs", "mkfs.ext4"}) {
      if (run_script(std::string("command -v ") + tool, 10).status != 0) GTEST_SKIP() << "needs " << tool;
    }
  }
  static std::string prepare() {
    return R"sh(
      BACKING_A=$TOP/gluster-a/backing BACKING_B=$TOP/gluster-b/backing
      ip link set lo up; ip address add 10.99.99.1/32 dev lo
      for directory in /var/lib/glusterd /var/log/glusterfs /run; do mount -t tmpfs tmpfs $directory; done
      truncate -s 200M brick.img; mkfs.ext4 -q brick.img; mkdir brick gluster-a gluster-b
      mount -o loop brick.img brick; mkdir brick/data
      glusterd --log-level ERROR
      for i in $(seq 100); do if gluster volume list > /dev/null 2>&1; then break; fi; sleep 0.1; done
      gluster --mode=script volume create files 10.99.99.1:$TOP/brick/data force > said
      for option in write-behind io-cache quick-read read-ahead stat-prefetch open-behind readdir-ahead; do
        gluster volume set files performance.$option off > said
      done
      gluster volume start files > said
      for mount in a b; do
        mount -t glusterfs -o attribute-timeout=0,entry-timeout=0,negative-timeout=0,direct-io-mode=enable \
          10.99.99.1:/files $TOP/gluster-$mount
      done
    )sh";
  }
  void expect_over_gluster(const std::string& script) { expect_success(script, prepare()); }
};

TEST_F(SharedOverGluster, ContentSizesAndAppendsOfTwoMountsAreKept) {
  expect_over_gluster(std::string("load records; load blocks; load sizes; load appenders") + kAtRest);
}

TEST_F(SharedOverGluster, LocksNamesAndOpensOfTwoMountsAgree) {
  expect_over_gluster(std::string("load locks; load names; load open_close; load database") + kAtRest);
}

TEST_F(SharedOverGluster, AMountThatIsKilledLosesItsLocksAndLeavesNoFileThatCannotBeRead) {
  expect_over_gluster(R"sh(
    load kill $(pid_of a)
    umount -l $TOP/a; mount_of a
    cat $TOP/a/records $TOP/a/log $TOP/a/sizes > /dev/null
  )sh" + std::string(kAtRest));
}

}  // namespace
}  // namespace kmsfs::testing
