// kmsfs with a mount: beginning, being asked, and ending in every way there is.
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <csignal>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>
#include <thread>

#include "cli/mount_table.h"
#include "core/unique_fd.h"
#include "tests/cli/kmsfs_command.h"

namespace kmsfs {
namespace {

using cli::ExitCode;
using nlohmann::json;

class Mount : public testing::KmsfsCommand {
 protected:
  void SetUp() override {
    if (::access("/dev/fuse", R_OK | W_OK) != 0) GTEST_SKIP() << "there is no /dev/fuse to use";
    ASSERT_EQ(::mkdir(mountpoint().c_str(), 0755), 0);
    ASSERT_TRUE(succeeds({"init", "--kms", kms(), "--seal", "keyfile", backing()}));
  }
  void TearDown() override {
    if (is_mounted()) kmsfs({"umount", "--lazy", mountpoint()});
    kmsfs({"umount", "--unguard", mountpoint()});
  }

  std::string backing() const { return path("box"); }
  std::string mountpoint() const { return path("mnt"); }

  void mount(Arguments options = {}) {
    Arguments arguments = {"mount"};
    arguments.insert(arguments.end(), options.begin(), options.end());
    arguments.insert(arguments.end(), {backing(), mountpoint()});
    ASSERT_TRUE(succeeds(arguments));
    ASSERT_TRUE(is_mounted());
  }
  void unmount() { ASSERT_TRUE(succeeds({"umount", mountpoint()})); }
  std::optional<cli::MountEntry> entry() const {
    auto table = cli::read_mount_table();
    return table ? cli::find_mount(*table, mountpoint()) : std::nullopt;
  }
  bool is_mounted() const { return entry().has_value(); }
  json status() const {
    const auto result = kmsfs({"status", "--json", mountpoint()});
    EXPECT_EQ(result.status, 0) << result.output;
    return json::parse(result.output, nullptr, false);
  }
  pid_t daemon() const { return status().value("process", 0); }
  // Polls: the daemon is nobody's child here.
  bool ended(pid_t process) const {
    for (int i = 0; i < 1000; ++i) {
      std::ifstream state("/proc/" + std::to_string(process) + "/stat");
      std::string line;
      if (!std::getline(state, line) || line.find(") Z ") != std::string::npos) return true;
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    return false;
  }
  void write(const std::string& name, const std::string& content) const {
    std::ofstream file(mountpoint() + "/" + name);
    file << content;
    file.flush();
    EXPECT_TRUE(file) << name;
  }
  std::string read(const std::string& name) const {
    std::ifstream file(mountpoint() + "/" + name);
    std::ostringstream content;
    content << file.rdbuf();
    return content.str();
  }
  std::size_t records() const {
    const std::string state = ::geteuid() == 0 ? "/var/lib/kmsfs/state" : path("state/kmsfs");
    std::ifstream file(backing() + "/.kmsfs/volume");
    const std::string volume = json::parse(file, nullptr, false).value("volume_id", json("")).dump();
    std::size_t found = 0;
    for (const auto& record : std::filesystem::directory_iterator(state)) {
      const std::string name = record.path().filename();
      found += volume.size() > 30 && volume.find(name.substr(0, 32)) != std::string::npos;
    }
    return found;
  }
};

TEST_F(Mount, WhatIsWrittenIsThereAfterTheNextMount) {
  mount();
  write("letter", "to ada");
  EXPECT_EQ(read("letter"), "to ada");
  unmount();
  EXPECT_NE(::access((mountpoint() + "/letter").c_str(), F_OK), 0);
  mount();
  EXPECT_EQ(read("letter"), "to ada");
}

TEST_F(Mount, ItShowsUnderItsOwnTypeAndSource) {
  mount();
  ASSERT_TRUE(entry());
  EXPECT_EQ(entry()->type, "fuse.kmsfs");
  EXPECT_EQ(entry()->source, backing());
  unmount();
  mount({"-o", "fsname=letters,subtype=vault,ro,noexec"});
  EXPECT_EQ(entry()->type, "fuse.vault");
  EXPECT_EQ(entry()->source, "letters");
  EXPECT_NE(("," + entry()->options + ",").find(",ro,"), std::string::npos) << entry()->options;
  EXPECT_NE(entry()->options.find("noexec"), std::string::npos) << entry()->options;
}

TEST_F(Mount, ASecondMountOfTheVolumeIsBusy) {
  mount();
  ASSERT_EQ(::mkdir(path("other").c_str(), 0755), 0);
  EXPECT_TRUE(fails({"mount", backing(), path("other")}, ExitCode::kBusy, "mounted already"));
  EXPECT_TRUE(fails({"mount", backing(), mountpoint()}, ExitCode::kBusy, "is in use"));
  write("letter", "still served");
  EXPECT_EQ(read("letter"), "still served");
}

TEST_F(Mount, WhenUmountReturnsTheVolumeIsFreeAtOnce) {
  for (int round = 0; round < 3; ++round) {
    mount();
    write("letter", std::string(1 << 20, static_cast<char>('a' + round)));
    const pid_t process = daemon();
    unmount();
    EXPECT_FALSE(is_mounted());
    std::ifstream state("/proc/" + std::to_string(process) + "/stat");
    std::string line;
    EXPECT_TRUE(!std::getline(state, line) || line.find(") Z ") != std::string::npos) << line;
  }
  EXPECT_EQ(records(), 0u);
}

TEST_F(Mount, RevokeTakesEveryKeyAtOnceAndTheKmsDecidesAnew) {
  mount();
  write("letter", "to ada");
  const UniqueFd held(::open((mountpoint() + "/letter").c_str(), O_RDONLY | O_CLOEXEC));
  ASSERT_TRUE(held);
  const auto calls = [&] { return status().at("key_cache").at("kms_calls").get<std::uint64_t>(); };
  const auto before = calls();
  ASSERT_TRUE(succeeds({"revoke", mountpoint()}));
  EXPECT_GE(status().at("key_cache").at("revocations").get<std::uint64_t>(), 1u);
  // Nobody took the permission away, so the open file works again as soon as the KMS has been asked.
  std::array<char, 16> text{};
  ssize_t got = -1;
  for (int i = 0; i < 1000 && got < 0; ++i) {
    got = ::pread(held.get(), text.data(), text.size(), 0);
    if (got < 0) std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  EXPECT_EQ(std::string_view(text.data(), got < 0 ? 0 : static_cast<std::size_t>(got)), "to ada");
  EXPECT_GT(calls(), before);
}

TEST_F(Mount, RevokeOfWhatIsNotMountedSaysSo) {
  EXPECT_TRUE(fails({"revoke", mountpoint()}, ExitCode::kNotMounted, "no kmsfs is mounted there"));
}

TEST_F(Mount, ABusyMountStaysAndItsUsersAreNamed) {
  mount();
  write("letter", "open");
  const UniqueFd held(::open((mountpoint() + "/letter").c_str(), O_RDONLY | O_CLOEXEC));
  ASSERT_TRUE(held);
  EXPECT_TRUE(fails({"umount", mountpoint()}, ExitCode::kBusy, std::to_string(::getpid())));
  EXPECT_TRUE(is_mounted());
  EXPECT_EQ(read("letter"), "open");
}

TEST_F(Mount, ALazyUmountTakesItFromSightAndServesWhatIsOpen) {
  mount();
  write("letter", "open");
  const pid_t process = daemon();
  UniqueFd held(::open((mountpoint() + "/letter").c_str(), O_RDONLY | O_CLOEXEC));
  ASSERT_TRUE(held);
  ASSERT_TRUE(succeeds({"umount", "--lazy", mountpoint()}));
  EXPECT_FALSE(is_mounted());
  char buffer[8] = {};
  EXPECT_EQ(::pread(held.get(), buffer, sizeof buffer, 0), 4);
  held.reset();
  EXPECT_TRUE(ended(process));
}

TEST_F(Mount, EachEndingSignalUnmountsAndLosesNothing) {
  for (int signal : {SIGTERM, SIGINT, SIGHUP}) {
    mount();
    write("letter", "before signal " + std::to_string(signal));
    const pid_t process = daemon();
    ASSERT_EQ(::kill(process, signal), 0);
    ASSERT_TRUE(ended(process));
    EXPECT_FALSE(is_mounted());
    EXPECT_EQ(records(), 0u);
    mount();
    EXPECT_EQ(read("letter"), "before signal " + std::to_string(signal));
    EXPECT_EQ(status()["files"]["repaired"], 0);
    unmount();
  }
}

TEST_F(Mount, SigtermEndsABusyMountToo) {
  mount();
  write("letter", "open");
  const pid_t process = daemon();
  const UniqueFd held(::open((mountpoint() + "/letter").c_str(), O_RDWR | O_CLOEXEC));
  ASSERT_EQ(::write(held.get(), "kept", 4), 4);
  ASSERT_EQ(::kill(process, SIGTERM), 0);
  ASSERT_TRUE(ended(process));
  mount();
  EXPECT_EQ(read("letter"), "kept");
}

TEST_F(Mount, AnUmountByOthersEndsTheDaemonCleanly) {
  mount();
  write("letter", "kept");
  const pid_t process = daemon();
  ASSERT_EQ(run({"umount", mountpoint()}).status, 0);
  EXPECT_TRUE(ended(process));
  EXPECT_EQ(records(), 0u);
}

TEST_F(Mount, AnUmountByOthersMayBeFollowedByAMountAtOnce) {
  mount();
  ASSERT_EQ(run({"umount", mountpoint()}).status, 0);
  mount();
}

TEST_F(Mount, ADaemonThatWasKilledLeavesAMountThatUmountRemovesAndTheNextMountRecovers) {
  mount();
  write("letter", "written");
  const pid_t process = daemon();
  ASSERT_EQ(::kill(process, SIGKILL), 0);
  ASSERT_TRUE(ended(process));
  EXPECT_TRUE(fails({"status", mountpoint()}, ExitCode::kNotMounted, "nobody answers"));
  EXPECT_TRUE(fails({"mount", backing(), mountpoint()}, ExitCode::kBusy, "kmsfs umount"));
  EXPECT_EQ(records(), 1u);
  ASSERT_TRUE(succeeds({"umount", mountpoint()}));
  mount();
  write("another", "served");
  unmount();
  EXPECT_EQ(records(), 0u);
}

TEST_F(Mount, StatusTellsPrincipalKeysCacheAndOperations) {
  mount();
  write("letter", "x");
  const json said = status();
  EXPECT_EQ(said["mountpoint"], mountpoint());
  EXPECT_EQ(said["backing"], backing());
  EXPECT_EQ(said["kms"], kms());
  EXPECT_NE(said["principal"].get<std::string>().find("arn:aws:iam::"), std::string::npos);
  ASSERT_EQ(said["master_keys"].size(), 1u);
  EXPECT_EQ(said["master_keys"][0]["state"], "usable");
  EXPECT_GE(said["key_cache"]["entries"], 1);
  EXPECT_GE(said["key_cache"]["kms_calls"], 1);
  EXPECT_FALSE(said["operations"].empty());
  EXPECT_TRUE(said["memory"]["mode"] == "secret" || said["memory"]["mode"] == "locked") << said["memory"];
  const auto text = kmsfs({"status", mountpoint()});
  EXPECT_EQ(text.status, 0);
  for (const char* word : {"principal", "master key", "key cache", "operations", "uptime", "AEAD"}) {
    EXPECT_NE(text.output.find(word), std::string::npos) << text.output;
  }
  const auto all = json::parse(kmsfs({"status", "--json"}).output, nullptr, false);
  EXPECT_TRUE(std::any_of(all.begin(), all.end(),
                          [&](const json& one) { return one["mountpoint"] == mountpoint(); }));
}

TEST_F(Mount, InfoTellsIdKeyAndSizesOfAFile) {
  mount();
  write("letter", std::string(5000, 'x'));
  const auto result = kmsfs({"info", "--json", mountpoint() + "/letter"});
  ASSERT_EQ(result.status, 0) << result.output;
  const json said = json::parse(result.output)[0];
  EXPECT_EQ(said["file_id"].get<std::string>().size(), 32u);
  EXPECT_NE(said["master_key"].get<std::string>().find("arn:aws:kms:"), std::string::npos);
  EXPECT_EQ(said["plain_size"], 5000);
  EXPECT_GT(said["backing_size"], 5000);
  EXPECT_TRUE(fails({"info", mountpoint()}, ExitCode::kUsage, "not a regular file"));
  EXPECT_TRUE(fails({"info", backing()}, ExitCode::kNotMounted, "not in a kmsfs mount"));
}

TEST_F(Mount, AnUnmountedMountpointTakesNoPlainText) {
  mount();
  unmount();
  const std::string probe = mountpoint() + "/plain";
  UniqueFd written(::open(probe.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
  if (written) {
    ::unlink(probe.c_str());
    GTEST_SKIP() << "root, and a file system without immutable directories";
  }
  mount();
  unmount();
  ASSERT_TRUE(succeeds({"umount", "--unguard", mountpoint()}));
  written.reset(::open(probe.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
  EXPECT_TRUE(written);
  ::unlink(probe.c_str());
  mount({"-o", "noguard"});
  EXPECT_EQ(status()["guard"], "none");
  unmount();
  written.reset(::open(probe.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
  EXPECT_TRUE(written);
  ::unlink(probe.c_str());
}

TEST_F(Mount, AReadOnlyMountTakesNoWrites) {
  mount({"--ro"});
  EXPECT_LT(::open((mountpoint() + "/letter").c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600), 0);
  EXPECT_EQ(errno, EROFS);
  EXPECT_EQ(status()["read_only"], true);
}

TEST_F(Mount, BothBackEndsReadWhatTheOtherWrote) {
  mount({"--backend", "openssl"});
  EXPECT_EQ(status()["aead"], "openssl");
  write("letter", std::string(20'000, 'x'));
  unmount();
  mount();
  EXPECT_EQ(read("letter"), std::string(20'000, 'x'));
}

TEST_F(Mount, TheDaemonKeepsNeitherTerminalNorDirectoryNorCore) {
  mount();
  const std::string process = "/proc/" + std::to_string(daemon());
  EXPECT_EQ(std::filesystem::read_symlink(process + "/cwd"), "/");
  for (const char* standard : {"0", "1", "2"}) {
    EXPECT_EQ(std::filesystem::read_symlink(process + "/fd/" + standard), "/dev/null");
  }
  std::ifstream limits(process + "/limits");
  for (std::string line; std::getline(limits, line);) {
    if (!line.starts_with("Max core file size")) continue;
    EXPECT_NE(line.find(" 0  "), std::string::npos) << line;
  }
}

TEST_F(Mount, APassphraseIsAskedForBeforeTheDaemonLeavesTheTerminal) {
  const std::string sealed = path("sealed");
  const std::string kms = "local:" + path("sealed-kms");
  ASSERT_EQ(kmsfs_on_terminal({"init", "--kms", kms, sealed}, {"correct horse\n", "correct horse\n"}).status,
            0);
  const auto result = kmsfs_on_terminal({"mount", sealed, mountpoint()}, {"correct horse\n"});
  ASSERT_EQ(result.status, 0) << result.output;
  EXPECT_EQ(result.output.find("horse"), std::string::npos);
  // The terminal is gone; the daemon is not.
  ASSERT_TRUE(is_mounted());
  write("letter", "x");
  EXPECT_EQ(read("letter"), "x");
  unmount();
}

TEST_F(Mount, InTheForegroundItEndsWithTheMount) {
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    ::execl(KMSFS_BINARY, "kmsfs", "mount", "--foreground", backing().c_str(), mountpoint().c_str(), nullptr);
    ::_exit(127);
  }
  for (int i = 0; i < 1000 && !is_mounted(); ++i) std::this_thread::sleep_for(std::chrono::milliseconds(10));
  ASSERT_TRUE(is_mounted());
  write("letter", "x");
  unmount();
  int status = -1;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << status;
}

TEST_F(Mount, MountEightCanMountIt) {
  if (::geteuid() != 0) GTEST_SKIP() << "mount(8) is for root";
  // As where only mount.fuse3 is installed: it runs the program before the '#' with mount(8)'s arguments.
  const auto result = run({"mount", "-t", "fuse", "-o", "ro,noexec,x-systemd.automount",
                           std::string(KMSFS_BINARY) + "#" + backing(), mountpoint()});
  ASSERT_EQ(result.status, 0) << result.output;
  ASSERT_TRUE(is_mounted());
  EXPECT_EQ(entry()->type, "fuse.kmsfs");
  EXPECT_NE(entry()->options.find("noexec"), std::string::npos) << entry()->options;
}

}  // namespace
}  // namespace kmsfs
