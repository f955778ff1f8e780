// The words of -o, as fstab and mount(8) give them.
#include "cli/mount_options.h"

#include <gtest/gtest.h>

#include <filesystem>

namespace kmsfs::cli {
namespace {

TEST(MountOptionWords, EveryFlagOfTheCommandHasAWord) {
  MountRequest request;
  const auto taken = take_options(
      "ro,kms=local:/k,kms_user=ada,passphrase_file=/p,fsname=letters,backend=openssl,key_age=60,noguard",
      request);
  ASSERT_TRUE(taken) << taken.error().text;
  EXPECT_TRUE(request.mount.read_only);
  EXPECT_EQ(request.kms_uri, "local:/k");
  EXPECT_EQ(request.kms_user, "ada");
  EXPECT_EQ(request.passphrase_file, "/p");
  EXPECT_EQ(request.mount.source, "letters");
  EXPECT_EQ(request.backend, AeadBackend::kOpenSsl);
  EXPECT_EQ(request.key_age, std::chrono::seconds(60));
  EXPECT_FALSE(request.guard);
}

TEST(MountOptionWords, OptionsOfAMountReachTheMount) {
  MountRequest request;
  ASSERT_TRUE(take_options("suid,dev,noexec,allow_other,subtype=vault", request));
  EXPECT_FALSE(request.mount.nosuid);
  EXPECT_FALSE(request.mount.nodev);
  EXPECT_TRUE(request.mount.noexec);
  EXPECT_TRUE(request.mount.allow_other);
  EXPECT_EQ(request.mount.subtype, "vault");
}

TEST(MountOptionWords, HowAKmsElsewhereIsReachedAndTrustedIsWordsToo) {
  MountRequest request;
  ASSERT_TRUE(
      take_options("profile=bob,insecure_http,key_age=60,probe_interval=5,outage_grace=600", request));
  EXPECT_EQ(request.profile, "bob");
  EXPECT_TRUE(request.insecure_http);
  EXPECT_EQ(request.key_age.count(), 60);
  EXPECT_EQ(request.probe_interval.count(), 5);
  EXPECT_EQ(request.outage_grace.count(), 600);
  for (const char* wrong : {"profile=", "key_age=0", "probe_interval=0", "probe_interval=x",
                            "outage_grace=-1", "outage_grace=86401", "outage_grace", "insecure_http=no"}) {
    MountRequest other;
    EXPECT_FALSE(take_options(wrong, other)) << wrong;
  }
}

TEST(MountOptionWords, WordsForOthersAreLeftAlone) {
  MountRequest request;
  EXPECT_TRUE(take_options(
      "defaults,rw,noauto,_netdev,nofail,user,user=ada,x-systemd.automount,x-gvfs-hide,comment=x", request));
  EXPECT_TRUE(request.kms_user.empty()) << "mount(8) writes user=NAME of its own accord";
}

TEST(MountOptionWords, AnUnknownWordIsNamedWithoutItsValue) {
  MountRequest request;
  const auto taken = take_options("ro,colour=blue", request);
  ASSERT_FALSE(taken);
  EXPECT_EQ(taken.error().kind, Kind::kInvalid);
  EXPECT_NE(taken.error().text.find("colour"), std::string::npos);
  EXPECT_EQ(taken.error().text.find("blue"), std::string::npos);
}

TEST(MountOptionWords, ASecretIsRefusedAndNotRepeated) {
  for (const char* name : {"passphrase", "password", "pass", "key", "secret"}) {
    MountRequest request;
    const auto taken = take_options(std::string(name) + "=hunter2", request);
    ASSERT_FALSE(taken) << name;
    EXPECT_NE(taken.error().text.find(name), std::string::npos);
    EXPECT_EQ(taken.error().text.find("hunter2"), std::string::npos);
  }
}

TEST(MountOptionWords, AnEscapedCommaBelongsToTheValue) {
  MountRequest request;
  ASSERT_TRUE(take_options(R"(fsname=a\,b,ro)", request));
  EXPECT_EQ(request.mount.source, "a,b");
  EXPECT_TRUE(request.mount.read_only);
}

TEST(MountOptionWords, ARelativeKmsDirectoryIsMadeAbsolute) {
  MountRequest request;
  ASSERT_TRUE(take_options("kms=local:keys/./mine", request));
  EXPECT_EQ(request.kms_uri, "local:" + (std::filesystem::current_path() / "keys/mine").string());
  EXPECT_FALSE(take_options("kms=local:", request));
}

TEST(MountOptionWords, ValuesOutOfRangeAreRefused) {
  for (const char* words :
       {"key_age=0", "key_age=86401", "key_age=5m", "key_age=", "backend=rot13", "kms=", "passphrase_file"}) {
    MountRequest request;
    EXPECT_FALSE(take_options(words, request)) << words;
  }
}

}  // namespace
}  // namespace kmsfs::cli
