// Mounts of a user without root, through fusermount3; and what mount options do.
//
// The user is a uid that nobody has. /dev/fuse and /etc/fuse.conf are replaced in a mount namespace of the
// test's own, and every process of it ends with it, so that nothing stays behind whatever happens.
#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>

#include "tests/mount/command_mount.h"
#include "tests/support/mounted_volume.h"

namespace kmsfs::testing {
namespace {

class UserMount : public ::testing::Test {
 protected:
  void SetUp() override {
    if (::geteuid() != 0 || ::access("/dev/fuse", F_OK) != 0)
      GTEST_SKIP() << "needs root, to become somebody else, and /dev/fuse";
    for (const char* tool : {"unshare", "setpriv", "fusermount3", "findmnt", "mknod"}) {
      if (run_script(std::string("command -v ") + tool, 10).status != 0) GTEST_SKIP() << "needs " << tool;
    }
  }

  // As root in the namespace, with `user COMMAND...` to run a shell command as the user, whose home is the
  // current directory; `mounted` is a volume mounted by him on mnt.
  ScriptResult run(const std::string& script, const std::string& fuse_conf = "") {
    const std::string prelude =
        R"sh(
      cd )sh" +
        volume_.top() + R"sh(
      rm -f fuse; mknod fuse c 10 229; chmod 666 fuse; mount --bind fuse /dev/fuse
      printf '%s\n' ')sh" +
        fuse_conf +
        R"sh(' > fuse.conf; touch /etc/fuse.conf; mount --bind fuse.conf /etc/fuse.conf
      { cat /etc/passwd; echo nobody-else:x:54321:54321::/tmp/home:/bin/bash; } > passwd; mount --bind passwd /etc/passwd
      cp )sh" KMSFS_BINARY
        R"sh( program  # while it is in sight: it may lie under /tmp
      mount -t tmpfs -o mode=755 tmpfs /run; mount -t tmpfs -o mode=1777 tmpfs /tmp
      mkdir /tmp/home; cp program /tmp/kmsfs; chmod 755 /tmp/kmsfs; chown 54321:54321 /tmp/home; cd /tmp/home
      cat > /tmp/user <<'END'
      exec setpriv --reuid 54321 --regid 54321 --clear-groups env HOME=/tmp/home XDG_RUNTIME_DIR= XDG_DATA_HOME= XDG_STATE_HOME= \
        PATH=/tmp:/usr/bin:/bin:/usr/sbin:/sbin bash -euc "$1"
END
      user() { bash /tmp/user "$1"; }
      made() { user 'mkdir -p mnt; kmsfs init --allow-unlocked-memory --kms local:/tmp/home/kms --seal keyfile backing > said'; }
      mounted() { user "kmsfs mount --allow-unlocked-memory $* backing mnt"; }
    )sh";
    return run_script(
        "exec unshare --mount --propagation private --pid --fork --kill-child --mount-proc bash -euo "
        "pipefail -c " +
            quoted(prelude + script),
        40);
  }
  void expect_success(const ScriptResult& result) { EXPECT_EQ(result.status, 0) << result.output; }

  CommandMount volume_;  // for its directory alone
};

TEST_F(UserMount, AnOrdinaryUserMountsWorksAndUnmountsThroughFusermount3) {
  expect_success(run(R"sh(
    made; mounted
    findmnt -no FSTYPE,OPTIONS mnt | grep -q '^fuse.kmsfs .*nosuid.*nodev.*user_id=54321,group_id=54321'
    user 'cd mnt; echo content > file; mkdir d; cp -r /usr/include/rpc d/; diff -r /usr/include/rpc d/rpc; mv file d/; ln -s file d/link
          truncate -s 3M sparse; chmod 640 d/file; setfattr -n user.name -v value d/file; test "$(stat -c %u:%a d/file)" = 54321:640'
    user 'kmsfs status --json mnt | grep -q "\"process\""; kmsfs info mnt/d/file | grep -q clean'
    ! ls mnt 2>/dev/null
    user 'kmsfs umount mnt'; ! mountpoint -q mnt
    mounted; user 'test "$(cat mnt/d/link)" = content; diff -r /usr/include/rpc mnt/d/rpc; kmsfs umount mnt'
    ! mountpoint -q mnt; ! grep -rq content backing
  )sh"));
}

TEST_F(UserMount, AllowOtherIsRefusedUnlessFuseConfAllowsIt) {
  expect_success(run(R"sh(
    made; if mounted -o allow_other > said 2>&1; then exit 1; fi
    grep -q user_allow_other said; ! mountpoint -q mnt
    mounted; user 'echo mine > mnt/file'; ! cat mnt/file 2>/dev/null; user 'kmsfs umount mnt'
  )sh"));
  expect_success(run(R"sh(
    made; mounted -o allow_other; chmod 755 .; findmnt -no OPTIONS mnt | grep -q allow_other
    user 'chmod 755 mnt; echo mine > mnt/file; chmod 644 mnt/file; echo hidden > mnt/other; chmod 600 mnt/other'
    test "$(cat mnt/file)" = mine
    setpriv --reuid 54322 --regid 54322 --clear-groups bash -euc 'test "$(cat mnt/file)" = mine; ! cat mnt/other 2>/dev/null; ! touch mnt/x 2>/dev/null'
    user 'kmsfs umount mnt'
  )sh",
                     "user_allow_other"));
}

TEST_F(UserMount, AUserGetsNeitherSetIdProgramsNorDevicesWhateverHeAsksFor) {
  expect_success(run(R"sh(
    made
    for option in suid dev; do
      if mounted -o $option > said 2>&1; then
        findmnt -no OPTIONS mnt | tr , '\n' | grep -qx nosuid; findmnt -no OPTIONS mnt | tr , '\n' | grep -qx nodev
        user 'kmsfs umount mnt'
      fi
      ! mountpoint -q mnt
    done
  )sh"));
}

TEST_F(UserMount, AMountThatTheDaemonLeftBehindIsFreedByTheUser) {
  expect_success(run(R"sh(
    made; mounted; user 'echo kept > mnt/file; sync mnt/file; kill -9 $(kmsfs status --json mnt | grep -o "\"process\": *[0-9]*" | grep -o "[0-9]*$")'
    for i in $(seq 200); do user 'ls mnt' > /dev/null 2>&1 || break; sleep 0.05; done
    user 'kmsfs umount mnt || fusermount3 -u mnt'; ! mountpoint -q mnt
    mounted; user 'test $(cat mnt/file) = kept; kmsfs umount mnt'
  )sh"));
}

class MountOptionsOfRoot : public ::testing::Test {
 protected:
  void SetUp() override {
    if (::geteuid() != 0 || !MountedVolume::possible()) GTEST_SKIP() << "needs root and /dev/fuse";
    ASSERT_TRUE(volume_.init());
  }
  ::testing::AssertionResult shown(const std::string& column, const std::string& words) {
    return volume_.in_mount("for word in " + words + "; do findmnt -no " + column +
                                " . | tr , '\\n' | grep -qx -- $word || { findmnt .; exit 1; }; done",
                            20);
  }
  CommandMount volume_;
};

TEST_F(MountOptionsOfRoot, AreShownByFindmntAndHonoured) {
  ASSERT_TRUE(volume_.mount());
  EXPECT_TRUE(shown("OPTIONS", "rw nosuid nodev"));
  EXPECT_TRUE(shown("FSTYPE", "fuse.kmsfs"));
  EXPECT_TRUE(shown("SOURCE", volume_.backing()));
  ASSERT_TRUE(
      volume_.in_mount("cp /usr/bin/id id; chmod 4755 id; mknod null c 1 3; chmod 666 null; printf "
                       "'#!/bin/sh\\necho ran\\n' > program; chmod 755 program .\n"
                       "test \"$(./program)\" = ran; if echo x > null; then exit 1; fi 2>/dev/null"));
  ASSERT_TRUE(volume_.unmount());

  ASSERT_TRUE(volume_.mount("-o suid,dev,allow_other,fsname=a\\\\,name,subtype=special"));
  EXPECT_TRUE(shown("FSTYPE", "fuse.special"));
  EXPECT_TRUE(volume_.in_mount("test \"$(findmnt -no SOURCE .)\" = a,name"));
  EXPECT_TRUE(shown("OPTIONS", "rw allow_other default_permissions"));
  EXPECT_TRUE(
      volume_.in_mount("! findmnt -no OPTIONS . | grep -q 'nosuid\\|nodev'; echo x > null; chmod 755 .. ; "
                       "test $(setpriv --reuid 54321 --regid 54321 --clear-groups ./id -u) = 0"));
  ASSERT_TRUE(volume_.unmount());

  ASSERT_TRUE(volume_.mount("-o ro,noexec,nosuid,allow_other"));
  EXPECT_TRUE(shown("OPTIONS", "ro noexec nosuid nodev"));
  EXPECT_TRUE(volume_.in_mount(
      "! ./program 2>/dev/null; ! touch new 2>/dev/null; ! rm program 2>/dev/null; cat program > /dev/null; "
      "! setpriv --reuid 54321 --regid 54321 --clear-groups ./id -u 2>/dev/null"));
  ASSERT_TRUE(volume_.unmount());
}

TEST_F(MountOptionsOfRoot, WithoutAllowOtherNobodyElseSeesAnything) {
  ASSERT_TRUE(volume_.mount());
  ASSERT_TRUE(
      volume_.in_mount("echo x > file; chmod 666 file; chmod 755 . ..; cd /; ! setpriv --reuid 54321 --regid "
                       "54321 --clear-groups "
                       "cat " +
                       volume_.path("file") + " 2>/dev/null"));
  ASSERT_TRUE(volume_.unmount());
}

}  // namespace
}  // namespace kmsfs::testing
