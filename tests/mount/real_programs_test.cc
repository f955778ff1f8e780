// Real programs do real work in a mount, and find it whole after the next mount.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>

#include <cstdlib>
#include <cstring>
#include <sstream>
#include <utility>
#include <vector>

#include "core/random.h"
#include "core/unique_fd.h"
#include "tests/mount/command_mount.h"

namespace kmsfs {
namespace {

class RealPrograms : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_TRUE(volume_.init());
    ASSERT_TRUE(volume_.mount());
  }
  void TearDown() override {
    if (HasFatalFailure()) return;
    EXPECT_TRUE(volume_.unmount());
  }

  // Every byte, mode, time, owner, link and attribute, by the eyes of rsync; prints what differs.
  ::testing::AssertionResult same_tree(const std::string& original, const std::string& copy) {
    return volume_.in_mount(
        "differences=$(rsync -aHAXn --checksum --delete --itemize-changes " + original + "/ " + copy +
        "/); if [ -n \"$differences\" ]; then echo \"$differences\" | head -20; exit 1; fi");
  }

  testing::CommandMount volume_;
};

TEST_F(RealPrograms, CopiedSystemTreesAreTheSameToTheLastBitTimeAndLink) {
  if (::geteuid() != 0) GTEST_SKIP() << "only root may copy files with their owners";
  // Some thousands of files of every size. The whole of /usr/include and /usr/lib can be tens of thousands.
  const char* const wanted = std::getenv("KMSFS_TEST_TREES");
  std::istringstream trees(wanted != nullptr ? wanted
                                             : "/usr/include/linux /usr/include/c++ /usr/lib/git-core");
  std::vector<std::pair<std::string, std::string>> copies;
  for (std::string tree; trees >> tree;) {
    if (::access(tree.c_str(), R_OK) != 0) continue;
    copies.emplace_back(tree, "copy" + std::to_string(copies.size()));
    ASSERT_TRUE(volume_.in_mount("cp -a " + tree + " " + copies.back().second));
  }
  ASSERT_FALSE(copies.empty());
  // Hard links, symbolic links of every sort and odd names, which those trees have few of.
  const char* const make_odd_tree = R"sh(
    original=$PWD/../original; mkdir "$original"; cd "$original"
    echo one > one; ln one two; ln -s one link; ln -s /nowhere dangling; ln -s "$(printf 'x%.0s' {1..1000})" long-link
    mkdir -p deep/er/still; chmod 1777 deep; chmod 6755 one; mkfifo pipe; : > empty; truncate -s 5000000 holes
    : > "$(printf 'n%.0s' {1..255})"; : > "$(printf '\xff\xfe not utf-8')"; : > "$(printf 'line\nbreak')"
    mkdir "$(printf 'd%.0s' {1..255})"
    setfattr -n user.colour -v blue one; setfattr -n user.empty deep; chown 1234:4321 empty
    touch -d '1999-12-31 23:59:59.123456789' one; touch -hd '2001-01-01' link; touch -d '1970-01-01 00:00:01' deep/er
    cp -a "$original" ../mnt/odd)sh";
  ASSERT_TRUE(volume_.in_mount(make_odd_tree));
  for (int round = 0; round < 2; ++round) {
    for (const auto& [tree, copy] : copies) EXPECT_TRUE(same_tree(tree, copy));
    EXPECT_TRUE(same_tree("../original", "odd"));
    if (round == 0) {
      ASSERT_TRUE(volume_.remount());
    }
  }
}

TEST_F(RealPrograms, GitKeepsItsRepositoryThroughCommitGcCloneAndFsck) {
  const char* const use_git = R"sh(
    export GIT_CONFIG_GLOBAL=/dev/null GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a@b GIT_COMMITTER_NAME=a GIT_COMMITTER_EMAIL=a@b
    mkdir repository; cp -a /usr/include/linux /usr/include/c++ repository/; cd repository
    git init -q .; git add .; git commit -qm first
    for i in 1 2 3 4 5; do
      find . -name '*.h' -not -path './.git/*' | sort | sed -n 1,50p | while read -r f; do echo "// $i" >> "$f"; done
      git commit -qam "change $i"
    done
    git gc -q --prune=now; git fsck --full --strict
    cd ..; git clone -q repository clone; git -C clone fsck --full
    test -z "$(git -C clone status --porcelain)"
    test "$(git -C clone rev-parse HEAD)" = "$(git -C repository rev-parse HEAD)"
    diff -r --exclude=.git repository clone)sh";
  ASSERT_TRUE(volume_.in_mount(use_git));
  ASSERT_TRUE(volume_.remount());
  EXPECT_TRUE(volume_.in_mount(
      "git -C clone fsck --full; git -C repository status --porcelain | wc -l | grep -qx 0"));
}

TEST_F(RealPrograms, MakeBuildsAProgramOfSixtyFilesWithTwoJobs) {
  const char* const build = R"sh(
    mkdir program; cd program
    for i in $(seq 60); do echo "int part$i(void) { return $i; }" > part$i.c; echo "int part$i(void);" >> parts.h; done
    { echo '#include <stdio.h>'; echo '#include "parts.h"'; echo 'int main(void) { int sum = 0;'
      for i in $(seq 60); do echo "sum += part$i();"; done; echo 'printf("%d\n", sum); return 0; }'; } > main.c
    printf 'objects = $(patsubst %%.c,%%.o,$(wildcard *.c))\nprogram: $(objects)\n\t$(CC) -o $@ $^\n' > Makefile
    printf '%%.o: %%.c parts.h\n\t$(CC) -c -g -o $@ $<\n' >> Makefile
    make -s -j2; test "$(./program)" = 1830
    make -q; sleep 0.01; touch part7.c; make -n > todo; grep -q part7.o todo; test $(grep -c -- -c todo) = 1)sh";
  ASSERT_TRUE(volume_.in_mount(build));
  ASSERT_TRUE(volume_.remount());
  EXPECT_TRUE(volume_.in_mount(
      "cd program; test $(./program) = 1830; make -s -j2; make -q; test $(./program) = 1830"));
}

TEST_F(RealPrograms, SqliteKeepsAHundredThousandRowsInBothJournalModes) {
  const std::string fill = R"sh(
    sqlite3 $mode.db "PRAGMA journal_mode=$mode; CREATE TABLE t(id INTEGER PRIMARY KEY, v TEXT); BEGIN;
      WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i < 100000)
      INSERT INTO t SELECT i, hex(randomblob(20)) FROM n; COMMIT;
      CREATE INDEX x ON t(v); UPDATE t SET v = 'changed' || v WHERE id % 3 = 0; DELETE FROM t WHERE id % 7 = 0; VACUUM;"
    for i in $(seq 50); do sqlite3 $mode.db "INSERT INTO t(v) VALUES('one by one $i');"; done)sh";
  ASSERT_TRUE(volume_.in_mount("mode=wal\n" + fill));
  ASSERT_TRUE(volume_.in_mount("mode=delete\n" + fill));
  ASSERT_TRUE(volume_.remount());
  for (const std::string mode : {"wal", "delete"}) {
    EXPECT_TRUE(volume_.in_mount(
        "test \"$(sqlite3 " + mode +
        ".db 'PRAGMA integrity_check; SELECT count(*) FROM t')\" = \"$(printf 'ok\\n85765')\""));
  }
}

TEST_F(RealPrograms, TarPacksAndUnpacksTheSameTree) {
  ASSERT_TRUE(
      volume_.in_mount("tar --xattrs --acls -C /usr/include -cf linux.tar linux asm-generic; mkdir out; tar "
                       "--xattrs --acls -C out -xpf linux.tar; "
                       "tar -C out -df linux.tar"));
  ASSERT_TRUE(volume_.remount());
  EXPECT_TRUE(same_tree("/usr/include/linux", "out/linux"));
  EXPECT_TRUE(volume_.in_mount("tar -C out -df linux.tar; rm -r out; test ! -e out"));
}

TEST_F(RealPrograms, AGibibyteWrittenByWriteAndByMmapIsTheSame) {
  constexpr std::size_t kSize = std::size_t{1} << 30, kStep = std::size_t{1} << 20;
  const std::string by_write = volume_.mountpoint() + "/by-write",
                    by_mmap = volume_.mountpoint() + "/by-mmap";
  const std::string outside = volume_.top() + "/outside";
  {
    std::vector<std::byte> chunk(kStep);
    random_bytes(chunk);
    const UniqueFd writer(::open(by_write.c_str(), O_CREAT | O_RDWR | O_CLOEXEC, 0600));
    const UniqueFd plain(::open(outside.c_str(), O_CREAT | O_RDWR | O_CLOEXEC, 0600));
    const UniqueFd mapped(::open(by_mmap.c_str(), O_CREAT | O_RDWR | O_CLOEXEC, 0600));
    ASSERT_TRUE(writer && plain && mapped);
    ASSERT_EQ(::ftruncate(mapped.get(), kSize), 0);
    void* map = ::mmap(nullptr, kSize, PROT_READ | PROT_WRITE, MAP_SHARED, mapped.get(), 0);
    ASSERT_NE(map, MAP_FAILED);
    for (std::size_t at = 0; at < kSize; at += kStep) {
      for (std::size_t i = 0; i < kStep; i += 512) std::memcpy(chunk.data() + i, &at, sizeof at);
      ASSERT_EQ(::write(writer.get(), chunk.data(), kStep), static_cast<ssize_t>(kStep));
      ASSERT_EQ(::write(plain.get(), chunk.data(), kStep), static_cast<ssize_t>(kStep));
      std::memcpy(static_cast<std::byte*>(map) + at, chunk.data(), kStep);
    }
    ASSERT_EQ(::munmap(map, kSize), 0);
  }
  for (int round = 0; round < 2; ++round) {
    EXPECT_TRUE(
        volume_.in_mount("sum() { sha256sum < $1; }; test \"$(sum by-write)\" = \"$(sum ../outside)\"; test "
                         "\"$(sum by-mmap)\" = \"$(sum ../outside)\""));
    if (round == 0) {
      ASSERT_TRUE(volume_.remount());
    }
  }
}

TEST_F(RealPrograms, FioVerifiesWhatItWrote) {
  const char* const verify = R"sh(
    common="--directory=. --verify=crc32c --verify_fatal=1 --do_verify=1 --size=64M --output-format=terse"
    fio --name=random $common --rw=randwrite --bs=4k --ioengine=psync >/dev/null
    fio --name=odd $common --rw=randwrite --bsrange=512-300k --bs_unaligned --ioengine=psync >/dev/null
    fio --name=mapped $common --rw=randwrite --bs=4k --ioengine=mmap >/dev/null
    fio --name=parallel $common --rw=randwrite --bs=16k --ioengine=libaio --iodepth=16 --numjobs=3 --fsync=64 >/dev/null)sh";
  ASSERT_TRUE(volume_.in_mount(verify));
  ASSERT_TRUE(volume_.remount());
  EXPECT_TRUE(
      volume_.in_mount("fio --name=random --directory=. --verify=crc32c --verify_only=1 --size=64M "
                       "--rw=randwrite --bs=4k --ioengine=psync >/dev/null"));
}

}  // namespace
}  // namespace kmsfs
