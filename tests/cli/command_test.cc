// kmsfs where nothing is mounted: init, wrong usage, and what cannot be mounted.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fstream>

#include "core/unique_fd.h"
#include "tests/cli/kmsfs_command.h"

namespace kmsfs {
namespace {

using cli::ExitCode;

class Command : public testing::KmsfsCommand {
 protected:
  void make_directory(const std::string& name) { ASSERT_EQ(::mkdir(path(name).c_str(), 0755), 0); }
  void make_file(const std::string& name, const std::string& content, mode_t mode = 0600) {
    std::ofstream(path(name)) << content;
    ASSERT_EQ(::chmod(path(name).c_str(), mode), 0);
  }
  void init(const std::string& name) {
    ASSERT_TRUE(succeeds({"init", "--kms", kms(), "--seal", "keyfile", path(name)}));
  }
  void init_with_passphrase(const std::string& name) {
    make_file("passphrase", "correct horse\n");
    ASSERT_TRUE(succeeds({"init", "--kms", kms(), "--passphrase-file", path("passphrase"), path(name)}));
  }
};

TEST_F(Command, HelpNamesEveryCommandAndNothingElse) {
  const auto help = kmsfs({"--help"});
  EXPECT_EQ(help.status, 0);
  const auto list = help.output.substr(help.output.find("Subcommands:"));
  std::size_t listed = 0;
  for (auto at = list.find("\n  "); at != std::string::npos; at = list.find("\n  ", at + 1)) ++listed;
  EXPECT_EQ(listed, 8u) << list;
  for (const char* command : {"init", "mount", "umount", "status", "info", "revoke", "doctor", "kms"}) {
    EXPECT_NE(list.find(std::string("\n  ") + command), std::string::npos) << command;
    EXPECT_EQ(kmsfs({command, "--help"}).status, 0) << command;
  }
}

TEST_F(Command, VersionIsPrinted) { EXPECT_EQ(kmsfs({"--version"}).output.rfind("kmsfs ", 0), 0u); }

TEST_F(Command, WrongUsageIsToldInOneLine) {
  EXPECT_TRUE(fails({}, ExitCode::kUsage, "say what to do"));
  EXPECT_TRUE(fails({"fsck"}, ExitCode::kUsage, "no command fsck"));
  EXPECT_TRUE(fails({"init"}, ExitCode::kUsage, "BACKING"));
  EXPECT_TRUE(fails({"mount", "box"}, ExitCode::kUsage, "MOUNTPOINT"));
  EXPECT_TRUE(fails({"mount", "--frobnicate", "box", "mnt"}, ExitCode::kUsage, "frobnicate"));
  EXPECT_TRUE(fails({"mount", "-o", "ro,colour=red", "box", "mnt"}, ExitCode::kUsage, "colour"));
  EXPECT_TRUE(fails({"mount", "--backend", "rot13", "box", "mnt"}, ExitCode::kUsage, "backend"));
}

TEST_F(Command, ASecretInOptionsIsRefusedAndNotRepeated) {
  EXPECT_TRUE(
      fails({"mount", "-o", "passphrase=hunter2", "box", "mnt"}, ExitCode::kUsage, "passphrase_file=FILE"));
  EXPECT_EQ(kmsfs({"mount", "-o", "passphrase=hunter2", "box", "mnt"}).output.find("hunter2"),
            std::string::npos);
}

TEST_F(Command, InitMakesTheDirectoryPrivateAndPrintsTheKey) {
  const auto result = kmsfs({"init", "--kms", kms(), "--seal", "keyfile", path("box")});
  ASSERT_EQ(result.status, 0) << result.output;
  EXPECT_NE(result.output.find("arn:aws:kms:"), std::string::npos) << result.output;
  EXPECT_NE(result.output.find("arn:aws:iam::"), std::string::npos) << result.output;
  struct stat status {};
  ASSERT_EQ(::stat(path("box").c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 07777, 0700u);
  EXPECT_EQ(::access(path("box/.kmsfs/volume").c_str(), R_OK), 0);
}

TEST_F(Command, InitWithoutATerminalAndWithoutAChoiceNamesBothAndMakesNothing) {
  EXPECT_TRUE(fails({"init", "--kms", kms(), path("box")}, ExitCode::kSealed, "--seal keyfile"));
  EXPECT_TRUE(fails({"init", "--kms", kms(), path("box")}, ExitCode::kSealed, "--passphrase-file"));
  EXPECT_NE(::access(path("box").c_str(), F_OK), 0);
  init("box");  // what the failures left behind does not stand in the way
}

TEST_F(Command, TwoVolumesShareOneKmsAndOneKey) {
  init("box");
  const auto second = kmsfs({"init", "--kms", kms(), path("other")});
  EXPECT_EQ(second.status, 0) << second.output;
  EXPECT_EQ(second.output.find("(new)"), std::string::npos);
}

TEST_F(Command, InitRefusesADirectoryThatHoldsSomething) {
  make_directory("box");
  make_file("box/file", "x");
  EXPECT_TRUE(
      fails({"init", "--kms", kms(), "--seal", "keyfile", path("box")}, ExitCode::kNotAVolume, "not empty"));
  EXPECT_NE(::access(path("kms").c_str(), F_OK), 0) << "a KMS was made for nothing";
  init("second");
  EXPECT_TRUE(fails({"init", "--kms", kms(), path("second")}, ExitCode::kNotAVolume, "volume already"));
}

TEST_F(Command, InitWithAKeyThatDoesNotExistMakesNoVolume) {
  EXPECT_FALSE(succeeds({"init", "--kms", kms(), "--seal", "keyfile", "--key", "alias/none", path("box")}));
  EXPECT_NE(::access(path("box").c_str(), F_OK), 0);
}

TEST_F(Command, AWrongPassphraseIsTold) {
  init_with_passphrase("box");
  make_directory("mnt");
  make_file("wrong", "battery staple\n");
  EXPECT_TRUE(fails({"mount", "--passphrase-file", path("wrong"), path("box"), path("mnt")},
                    ExitCode::kSealed, "wrong passphrase"));
  EXPECT_TRUE(fails({"mount", path("box"), path("mnt")}, ExitCode::kSealed, "--passphrase-file"));
}

TEST_F(Command, OnATerminalANewPassphraseIsAskedForTwiceAndNotShown) {
  const Arguments command = {"init", "--kms", kms(), path("box")};
  auto result = kmsfs_on_terminal(command, {"correct horse\n", "correct house\n"});
  EXPECT_EQ(result.status, static_cast<int>(ExitCode::kSealed)) << result.output;
  EXPECT_NE(result.output.find("differ"), std::string::npos) << result.output;
  result = kmsfs_on_terminal(command, {"correct horse\n", "correct horse\n"});
  EXPECT_EQ(result.status, 0) << result.output;
  EXPECT_EQ(result.output.find("horse"), std::string::npos);
  make_directory("mnt");
  result = kmsfs_on_terminal({"mount", path("box"), path("mnt")}, {"battery staple\n"});
  EXPECT_EQ(result.status, static_cast<int>(ExitCode::kSealed)) << result.output;
  result = kmsfs_on_terminal({"mount", path("box"), path("mnt")}, {"\x03"});
  EXPECT_EQ(result.status, static_cast<int>(ExitCode::kSealed)) << result.output;
  EXPECT_NE(result.output.find("cancelled"), std::string::npos) << result.output;
}

TEST_F(Command, APassphraseOrKeyFileThatOthersMayReadIsRefused) {
  init_with_passphrase("box");
  make_directory("mnt");
  ASSERT_EQ(::chmod(path("passphrase").c_str(), 0644), 0);
  EXPECT_TRUE(fails({"mount", "--passphrase-file", path("passphrase"), path("box"), path("mnt")},
                    ExitCode::kSealed, "chmod 600"));
  ASSERT_TRUE(succeeds({"init", "--kms", "local:" + path("keyed"), "--seal", "keyfile", path("second")}));
  ASSERT_EQ(::chmod(path("keyed/seal.key").c_str(), 0644), 0);
  EXPECT_TRUE(fails({"mount", path("second"), path("mnt")}, ExitCode::kSealed, "chmod 600"));
}

TEST_F(Command, WhatIsNotAVolumeIsNotMounted) {
  make_directory("plain");
  make_directory("mnt");
  EXPECT_TRUE(fails({"mount", path("plain"), path("mnt")}, ExitCode::kNotAVolume, "kmsfs init"));
  EXPECT_TRUE(fails({"mount", path("missing"), path("mnt")}, ExitCode::kNotAVolume, "missing"));
}

TEST_F(Command, ADamagedVolumeFileIsTold) {
  init("box");
  make_directory("mnt");
  std::ofstream(path("box/.kmsfs/volume"), std::ios::app) << "x";
  EXPECT_TRUE(fails({"mount", path("box"), path("mnt")}, ExitCode::kCorrupt, ".kmsfs/volume"));
}

TEST_F(Command, AVolumeWithoutItsKmsIsTold) {
  init("box");
  make_directory("mnt");
  EXPECT_TRUE(fails({"mount", "--kms", "local:" + path("nowhere"), path("box"), path("mnt")},
                    ExitCode::kKmsUnreachable, "no key store"));
  EXPECT_TRUE(
      fails({"mount", "--kms", "gopher:hole", path("box"), path("mnt")}, ExitCode::kUnsupported, "gopher"));
}

TEST_F(Command, AMountpointThatCannotBeIsTold) {
  init("box");
  make_directory("box/inside");
  make_directory("full");
  make_file("full/file", "x");
  make_file("file", "x");
  EXPECT_TRUE(fails({"mount", path("box"), path("none")}, ExitCode::kMountpoint, "does not exist"));
  EXPECT_TRUE(fails({"mount", path("box"), path("file")}, ExitCode::kMountpoint, "not a directory"));
  EXPECT_TRUE(fails({"mount", path("box"), path("full")}, ExitCode::kMountpoint, "not empty"));
  EXPECT_TRUE(fails({"mount", path("box"), path("box/inside")}, ExitCode::kMountpoint, "inside"));
  EXPECT_TRUE(fails({"mount", path("box"), "/"}, ExitCode::kMountpoint, "contains"));
}

TEST_F(Command, AVolumeThatSomebodyHoldsIsBusy) {
  init("box");
  make_directory("mnt");
  // As a daemon holds it.
  const auto held =
      run({"flock", "-x", path("box/.kmsfs/volume"), KMSFS_BINARY, "mount", path("box"), path("mnt")});
  EXPECT_EQ(held.status, static_cast<int>(ExitCode::kBusy)) << held.output;
  EXPECT_NE(held.output.find("mounted already"), std::string::npos) << held.output;
}

TEST_F(Command, WhereNothingIsMountedThereIsNothingToShowOrEnd) {
  make_directory("mnt");
  EXPECT_TRUE(fails({"umount", path("mnt")}, ExitCode::kNotMounted, "nothing is mounted"));
  EXPECT_TRUE(fails({"status", path("mnt")}, ExitCode::kNotMounted, "no kmsfs"));
  EXPECT_TRUE(fails({"info", path("mnt")}, ExitCode::kNotMounted, "not in a kmsfs mount"));
  EXPECT_TRUE(succeeds({"umount", "--unguard", path("mnt")}));
}

TEST_F(Command, TheHelperOfMountAnswersInMountsTerms) {
  init("box");
  make_directory("mnt");
  ASSERT_EQ(::symlink(KMSFS_BINARY, path("mount.fuse.kmsfs").c_str()), 0);
  const auto helper = [&](const Arguments& arguments) {
    Arguments command = {path("mount.fuse.kmsfs")};
    command.insert(command.end(), arguments.begin(), arguments.end());
    return run(command);
  };
  EXPECT_EQ(helper({path("box")}).status, 1);
  EXPECT_EQ(helper({path("box"), path("mnt"), "-o", "rw,colour=red"}).status, 1);
  EXPECT_EQ(helper({path("box"), path("none"), "-o", "rw"}).status, 32);
  EXPECT_EQ(helper({path("box"), path("mnt"), "-f", "-o", "rw,nosuid"}).status, 0);
}

}  // namespace
}  // namespace kmsfs
