// kmsfs doctor: what it concludes, on machines and at KMSs in every state; and the built program on some.
#include <fcntl.h>
#include <sys/file.h>

#include <cerrno>
#include <future>
#include <map>

#include "cli/doctor_examination.h"
#include "core/unique_fd.h"
#include "tests/cli/kms_story.h"
#include "tests/cli/kmsd_process.h"

namespace kmsfs {
namespace {

using namespace std::chrono_literals;
using cli::ExitCode;
using cli::Finding;
using cli::Findings;
using cli::HostFacts;
using cli::Permission;
using cli::Verdict;
using cli::VolumeFacts;
using testing::KmsdProcess;

HostFacts good_host() {
  HostFacts facts;
  facts.memory = 8 << 20;
  facts.descriptors = 1 << 20;
  facts.aead = "openssl";
  return facts;
}
HostFacts users_host() {
  HostFacts facts = good_host();
  facts.root = facts.may_mount = false;
  return facts;
}
VolumeFacts good_volume() {
  VolumeFacts facts;
  facts.path = "/srv/box";
  facts.parameters.allowed_keys = {"arn:aws:kms:local-1:111122223333:key/one"};
  facts.parameters.kms_uri = "local:/kms";
  facts.file_system = "ext4";
  facts.block_size = 4096;
  facts.stable_pages = true;
  return facts;
}

const Finding& about(const Findings& findings, std::string_view what) {
  static const Finding kNone{Verdict::kFail, "no such finding", ""};
  for (const Finding& finding : findings) {
    if (finding.what == what) return finding;
  }
  return kNone;
}
::testing::AssertionResult is(const Finding& finding, Verdict verdict, std::string_view words,
                              ExitCode code = ExitCode::kOk) {
  if (finding.verdict == verdict && finding.code == code &&
      (finding.detail + "; " + finding.advice).find(words) != std::string::npos) {
    return ::testing::AssertionSuccess();
  }
  return ::testing::AssertionFailure()
         << to_string(finding.verdict) << " " << finding.what << ": " << finding.detail << "; "
         << finding.advice << " " << static_cast<int>(finding.code);
}
void expect_all_good(const Findings& findings) {
  for (const Finding& finding : findings) EXPECT_TRUE(is(finding, Verdict::kOk, ""));
}
Error answered(Kind kind, const char* code) { return {kind, 0, "the KMS's own words", code}; }

TEST(DoctorOnHost, NothingIsWrongWithAGoodOne) {
  expect_all_good(judge_host(good_host()));
  expect_all_good(judge_host(users_host()));
}

TEST(DoctorOnHost, EachWayThatFuseIsMissingHasItsAdvice) {
  HostFacts facts = good_host();
  for (const auto& [number, words] : std::map<int, std::string>{
           {ENOENT, "modprobe fuse"}, {EACCES, "0666"}, {EPERM, "--device /dev/fuse"}}) {
    facts.fuse_errno = number;
    EXPECT_TRUE(is(about(judge_host(facts), "/dev/fuse"), Verdict::kFail, words, ExitCode::kMountpoint));
  }
}

TEST(DoctorOnHost, WhoCannotMountIsTold) {
  HostFacts root = good_host();
  root.may_mount = false;
  EXPECT_TRUE(
      is(about(judge_host(root), "mounting"), Verdict::kFail, "CAP_SYS_ADMIN", ExitCode::kMountpoint));
  HostFacts user = users_host();
  user.helper = HostFacts::Helper::kMissing;
  EXPECT_TRUE(is(about(judge_host(user), "mounting"), Verdict::kFail, "fuse3", ExitCode::kMountpoint));
  user.helper = HostFacts::Helper::kNotSetUid;
  EXPECT_TRUE(is(about(judge_host(user), "mounting"), Verdict::kFail, "set-uid", ExitCode::kMountpoint));
  root = good_host();
  root.helper = HostFacts::Helper::kMissing;  // root does without
  EXPECT_TRUE(is(about(judge_host(root), "mounting"), Verdict::kOk, "mount(2)"));
}

TEST(DoctorOnHost, UserAllowOtherAndIoUringAreInformation) {
  HostFacts facts = users_host();
  EXPECT_TRUE(is(about(judge_host(facts), "allow_other"), Verdict::kOk, "only root"));
  facts.user_allow_other = true;
  EXPECT_TRUE(is(about(judge_host(facts), "allow_other"), Verdict::kOk, "users may"));
  EXPECT_TRUE(is(about(judge_host(facts), "io_uring"), Verdict::kOk, "none"));
  facts.uring = "N";
  EXPECT_TRUE(is(about(judge_host(facts), "io_uring"), Verdict::kOk, "off"));
  facts.uring = "Y";
  EXPECT_TRUE(is(about(judge_host(facts), "io_uring"), Verdict::kOk, "on"));
  facts.device_is_quicker = true;
  EXPECT_TRUE(is(about(judge_host(facts), "io_uring"), Verdict::kOk, "quicker"));
}

TEST(DoctorOnHost, LockedMemoryIsToldInDataKeys) {
  HostFacts facts = good_host();
  facts.memlock = facts.memory;
  EXPECT_TRUE(is(about(judge_host(facts), "locked memory"), Verdict::kOk, "room for 98304 data keys"));
  EXPECT_TRUE(is(about(judge_host(facts), "locked memory"), Verdict::kOk, "by RLIMIT_MEMLOCK"));
  facts.memory = 64 << 10;
  EXPECT_TRUE(is(about(judge_host(facts), "locked memory"), Verdict::kWarn, "LimitMEMLOCK"));
  facts = good_host();
  facts.memory_mode = LockedMemory::Mode::kUnlocked;
  EXPECT_TRUE(is(about(judge_host(facts), "locked memory"), Verdict::kWarn, "swapped"));
  facts.not_secured = error(Kind::kUnsupported, "no memory may be locked");
  EXPECT_TRUE(is(about(judge_host(facts), "locked memory"), Verdict::kFail, "no memory may be locked",
                 ExitCode::kUnsupported));
}

TEST(DoctorOnHost, DumpsAndFewDescriptorsAreFound) {
  HostFacts facts = good_host();
  facts.dumpable = true;
  facts.descriptors = 1024;
  EXPECT_TRUE(is(about(judge_host(facts), "core dumps"), Verdict::kFail, "dumped", ExitCode::kFailure));
  EXPECT_TRUE(is(about(judge_host(facts), "descriptors"), Verdict::kWarn, "LimitNOFILE"));
}

TEST(DoctorOnVolume, NothingIsWrongWithAGoodOne) { expect_all_good(judge_volume(good_volume())); }

TEST(DoctorOnVolume, WhatIsNoneFailsAsMountWould) {
  VolumeFacts facts = good_volume();
  facts.error = error(Kind::kNotFound, "not a volume");
  EXPECT_TRUE(is(about(judge_volume(facts), "volume"), Verdict::kFail, "kmsfs init", ExitCode::kNotAVolume));
  facts.error = Error::from_errno(EIO);
  EXPECT_TRUE(is(about(judge_volume(facts), "volume"), Verdict::kFail, "", ExitCode::kFailure));
  facts.error = error(Kind::kCorrupt, "cut short");
  EXPECT_TRUE(is(about(judge_volume(facts), "volume"), Verdict::kFail, "cut short", ExitCode::kCorrupt));
  facts.error = error(Kind::kUnsupported, "format 9");
  EXPECT_TRUE(is(about(judge_volume(facts), "volume"), Verdict::kFail, "format 9", ExitCode::kUnsupported));
}

TEST(DoctorOnVolume, ItSaysWhereItIsMountedAndWhenThatIsNotSeen) {
  VolumeFacts facts = good_volume();
  facts.in_use = true;
  EXPECT_TRUE(is(about(judge_volume(facts), "mounted"), Verdict::kWarn, "namespaces"));
  facts.mountpoint = "/srv/plain";
  EXPECT_TRUE(is(about(judge_volume(facts), "mounted"), Verdict::kOk, "on /srv/plain"));
}

TEST(DoctorOnVolume, FileSystemsWithKnownLimitsAreNamed) {
  const auto finding = [](const VolumeFacts& facts) { return about(judge_volume(facts), "backing files"); };
  VolumeFacts facts = good_volume();
  facts.stable_pages = false;
  EXPECT_TRUE(is(finding(facts), Verdict::kWarn, "stable_writes"));
  facts.file_system = "btrfs";  // stable by itself
  EXPECT_TRUE(is(finding(facts), Verdict::kOk, "btrfs"));
  facts = good_volume();
  facts.block_size = 1024;
  EXPECT_TRUE(is(finding(facts), Verdict::kWarn, "4096"));
  for (const char* network : {"nfs4", "cifs", "9p", "ceph", "fuse.sshfs"}) {
    facts.file_system = network;
    EXPECT_TRUE(is(finding(facts), Verdict::kWarn, "one host at a time"));
  }
  facts.file_system = "tmpfs";
  EXPECT_TRUE(is(finding(facts), Verdict::kWarn, "restarts"));
}

TEST(DoctorOnKms, OneThatDoesNotOpenFailsWithItsReason) {
  const auto down = error(Kind::kUnavailable, "cannot connect");
  EXPECT_TRUE(
      is(cli::judge_opening("unix:/s", down, true), Verdict::kFail, "runs", ExitCode::kKmsUnreachable));
  EXPECT_TRUE(is(cli::judge_opening("ftp:x", error(Kind::kUnsupported, "unknown"), true), Verdict::kFail,
                 "ftp:x", ExitCode::kUnsupported));
  const auto absent = error(Kind::kNotFound, "no store");
  EXPECT_TRUE(
      is(cli::judge_opening("local:/x", absent, true), Verdict::kFail, "--kms", ExitCode::kKmsUnreachable));
  EXPECT_TRUE(is(cli::judge_opening("local:/x", absent, false), Verdict::kWarn, "no store"));
  EXPECT_TRUE(is(cli::judge_opening("local:/x", error(Kind::kDenied, "wrong passphrase"), true),
                 Verdict::kFail, "wrong passphrase", ExitCode::kSealed));
}

TEST(DoctorOnKms, AClockThatIsWrongByMinutesIsAWarning) {
  EXPECT_TRUE(is(cli::judge_clock(0s), Verdict::kOk, ""));
  EXPECT_TRUE(is(cli::judge_clock(-30s), Verdict::kOk, "behind"));
  EXPECT_TRUE(is(cli::judge_clock(-10min), Verdict::kWarn, "behind"));
  EXPECT_TRUE(is(cli::judge_clock(10min), Verdict::kWarn, "NTP"));
}

TEST(DoctorOnKms, CredentialsAndPrincipalAreNamedOrMissed) {
  EXPECT_TRUE(is(cli::judge_credentials(std::string("profile 'work'")), Verdict::kOk, "profile 'work'"));
  EXPECT_TRUE(is(cli::judge_credentials(std::string()), Verdict::kOk, "the kernel"));
  EXPECT_TRUE(is(cli::judge_credentials(error(Kind::kUnavailable, "there are no credentials")),
                 Verdict::kFail, "AWS_PROFILE", ExitCode::kKmsUnreachable));
  EXPECT_TRUE(is(cli::judge_principal(std::string("arn:aws:iam::1:user/a")), Verdict::kOk, "user/a"));
  EXPECT_TRUE(is(cli::judge_principal(answered(Kind::kDenied, "UnrecognizedClientException")), Verdict::kFail,
                 "knows", ExitCode::kDenied));
}

TEST(DoctorOnKms, TheStateOfAKeyIsTold) {
  EXPECT_TRUE(is(cli::judge_key("k", std::string("Enabled")), Verdict::kOk, "enabled"));
  EXPECT_TRUE(is(cli::judge_key("k", std::string("PendingDeletion")), Verdict::kFail, "cancel-key-deletion",
                 ExitCode::kKeyUnusable));
  EXPECT_TRUE(is(cli::judge_key("k", answered(Kind::kDenied, "AccessDeniedException")), Verdict::kWarn,
                 "does without"));
  EXPECT_TRUE(is(cli::judge_key("k", answered(Kind::kKeyGone, "NotFoundException")), Verdict::kFail, "--kms",
                 ExitCode::kKeyUnusable));
}

TEST(DoctorOnKms, WhatADenialMeansIsSaid) {
  for (const Permission permission : {Permission::kGenerateDataKey, Permission::kDecrypt}) {
    const auto judged = [&](Error error) { return judge_permission(permission, "k", error); };
    EXPECT_TRUE(is(judged(answered(Kind::kInvalid, "DryRunOperationException")), Verdict::kOk, "allowed"));
    EXPECT_TRUE(is(judge_permission(permission, "k", std::nullopt), Verdict::kOk, "allowed"));
    EXPECT_TRUE(is(judged(answered(Kind::kDisabled, "DisabledException")), Verdict::kFail, "enable-key",
                   ExitCode::kKeyUnusable));
    EXPECT_TRUE(is(judged(answered(Kind::kThrottled, "ThrottlingException")), Verdict::kWarn, "later"));
    EXPECT_TRUE(is(judged(answered(Kind::kUnavailable, "KMSInternalException")), Verdict::kFail, "sealed",
                   ExitCode::kKmsUnreachable));
    EXPECT_TRUE(is(judged(answered(Kind::kInvalid, "ValidationException")), Verdict::kFail, "own words",
                   ExitCode::kUsage));
  }
  const Error denied = answered(Kind::kDenied, "AccessDeniedException");
  EXPECT_TRUE(is(judge_permission(Permission::kGenerateDataKey, "k", denied), Verdict::kWarn, "read-only"));
  EXPECT_TRUE(is(judge_permission(Permission::kDecrypt, "k", denied), Verdict::kFail, "does not mount",
                 ExitCode::kDenied));
  EXPECT_TRUE(
      is(judge_permission(Permission::kDecrypt, "k", answered(Kind::kCorrupt, "IncorrectKeyException")),
         Verdict::kFail, "volume key", ExitCode::kCorrupt));
}

TEST(DoctorsExamination, EndsThoughAStepNeverDoesAndNamesIt) {
  auto release = std::make_shared<std::promise<void>>();
  auto done = std::make_shared<std::promise<void>>();
  const auto examined = cli::examine_within(50ms, [release, done](cli::Notes& notes) {
    notes.add({{Verdict::kOk, "first", "good"}});
    notes.begin("a disk that hangs");
    release->get_future().wait_for(30s);
    done->set_value();
  });
  EXPECT_FALSE(examined.ended);
  EXPECT_TRUE(is(about(examined.findings, "first"), Verdict::kOk, "good"));
  EXPECT_TRUE(is(about(examined.findings, "time"), Verdict::kFail, "a disk that hangs", ExitCode::kFailure));
  EXPECT_EQ(exit_code_of(examined.findings), ExitCode::kFailure);
  release->set_value();
  EXPECT_EQ(done->get_future().wait_for(30s), std::future_status::ready);
}

// The built program. What it says of this machine is this machine's business; the rest is a volume's.
class Doctor : public testing::KmsStory {
 protected:
  void SetUp() override {
    KmsStory::SetUp();
    key_ = make_key();
    // Before init makes a user of its own for this uid.
    answer(kms_command(
        {"map-uid", "--uid", std::to_string(::geteuid()), "--account-id", kHome, "--user-name", "bob"}));
    ASSERT_TRUE(succeeds({"init", "--kms", kms(), "--user", bob, "--key", "alias/test-kms", path("box")}));
  }

  // Its findings; the exit code must be that of the first that fails.
  Findings doctor(const Arguments& arguments, ExitCode code) const {
    Arguments command = {"doctor", "--json"};
    command.insert(command.end(), arguments.begin(), arguments.end());
    const auto result = kmsfs(command);
    const Json all = Json::parse(result.output, nullptr, false);
    Findings findings;
    bool host_is_good = true;
    for (const Json& one : all.is_array() ? all : Json::array()) {
      const bool failed = one.value("verdict", "") == "FAIL";
      if (findings.size() < 8 && failed && one.value("what", "") != "volume") host_is_good = false;
      findings.push_back({failed                             ? Verdict::kFail
                          : one.value("verdict", "") == "ok" ? Verdict::kOk
                                                             : Verdict::kWarn,
                          one.value("what", ""), one.value("detail", ""), one.value("advice", "")});
    }
    EXPECT_FALSE(findings.empty()) << result.output;
    if (host_is_good) {
      EXPECT_EQ(result.status, static_cast<int>(code)) << result.output;
    }
    return findings;
  }
  std::map<std::string, std::string> snapshot(const std::string& directory) const {
    std::map<std::string, std::string> all;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(path(directory))) {
      if (entry.is_symlink()) {  // to nowhere: an id is its target
        all[entry.path()] = std::filesystem::read_symlink(entry.path());
        continue;
      }
      std::ifstream file(entry.path());
      all[entry.path()] =
          std::to_string(entry.last_write_time().time_since_epoch().count()) +
          (entry.is_regular_file() ? std::string(std::istreambuf_iterator<char>(file), {}) : "");
    }
    return all;
  }

  std::string key_;
};

TEST_F(Doctor, FindsNothingWrongWithAGoodVolumeAndChangesNothingInIt) {
  const auto before = snapshot("box");
  const Findings findings = doctor({"--user", bob, path("box")}, ExitCode::kOk);
  for (const char* what : {"volume", "KMS", "principal", "DescribeKey", "GenerateDataKey", "Decrypt"}) {
    EXPECT_TRUE(is(about(findings, what), Verdict::kOk, ""));
  }
  EXPECT_TRUE(is(about(findings, "master key"), Verdict::kOk, key_));
  EXPECT_TRUE(is(about(findings, "made with KMS"), Verdict::kOk, kms()));
  EXPECT_TRUE(is(about(findings, "principal"), Verdict::kOk, bob));
  EXPECT_TRUE(is(about(findings, "mounted"), Verdict::kOk, "no"));
  EXPECT_EQ(snapshot("box"), before);
}

TEST_F(Doctor, PrintsALineForEachFinding) {
  const auto result = kmsfs({"doctor", "--user", bob, path("box")});
  EXPECT_NE(result.output.find("\nok    Decrypt          allowed on " + key_), std::string::npos)
      << result.output;
}

TEST_F(Doctor, SeesThatAVolumeIsInUse) {
  const UniqueFd file(::open((path("box") + "/.kmsfs/volume").c_str(), O_RDONLY | O_CLOEXEC));
  ASSERT_EQ(::flock(file.get(), LOCK_EX | LOCK_NB), 0);
  EXPECT_TRUE(is(about(doctor({"--user", bob, path("box")}, ExitCode::kOk), "mounted"), Verdict::kWarn, ""));
}

TEST_F(Doctor, TellsADeniedPrincipalWhatItCannotDo) {
  const Findings stranger = doctor({"--user", eve, path("box")}, ExitCode::kDenied);
  EXPECT_TRUE(is(about(stranger, "DescribeKey"), Verdict::kWarn, "denied"));
  EXPECT_TRUE(is(about(stranger, "GenerateDataKey"), Verdict::kWarn, "denied"));
  EXPECT_TRUE(is(about(stranger, "Decrypt"), Verdict::kFail, "not authorized"));
  answer(kms_command(
      {"put-user-policy", "--account-id", kHome, "--user-name", "bob", "--policy-name", "ReadOnly",
       "--policy-document",
       R"({"Version":"2012-10-17","Statement":[{"Effect":"Deny","Action":"kms:GenerateDataKey","Resource":"*"}]})"}));
  const Findings reader = doctor({"--user", bob, path("box")}, ExitCode::kOk);
  EXPECT_TRUE(is(about(reader, "GenerateDataKey"), Verdict::kWarn, "read-only"));
  EXPECT_TRUE(is(about(reader, "Decrypt"), Verdict::kOk, "allowed"));
}

TEST_F(Doctor, TellsADisabledKeyFromADenial) {
  answer(as(alice, {"disable-key", "--key-id", key_}));
  const Findings findings = doctor({"--user", bob, path("box")}, ExitCode::kKeyUnusable);
  for (const char* what : {"DescribeKey", "GenerateDataKey", "Decrypt"}) {
    EXPECT_TRUE(is(about(findings, what), Verdict::kFail, "enable-key"));
  }
}

TEST_F(Doctor, ADirectoryThatIsNoVolumeIsTold) {
  EXPECT_TRUE(
      is(about(doctor({top_.path()}, ExitCode::kNotAVolume), "volume"), Verdict::kFail, "not a kmsfs"));
  EXPECT_TRUE(
      is(about(doctor({path("nowhere")}, ExitCode::kNotAVolume), "volume"), Verdict::kFail, "No such"));
}

TEST_F(Doctor, AStoreThatIsSealedByAPassphraseIsNotWaitedFor) {
  const std::string file = make_file("passphrase", "correct horse\n"), uri = "local:" + path("sealed");
  answer(kmsfs({"kms", "--kms", uri, "init", "--passphrase-file", file}));
  EXPECT_TRUE(is(about(doctor({"--kms", uri}, ExitCode::kOk), "KMS"), Verdict::kWarn, "--passphrase-file"));
}

TEST_F(Doctor, AKmsdIsAskedAndItsAbsenceFound) {
  const Arguments question = {"--kms", "unix:" + path("kmsd.sock"), path("box")};
  KmsdProcess server(path("kms"), path("kmsd.sock"), top_.path());
  ASSERT_TRUE(server.ready());
  const Findings up = doctor(question, ExitCode::kOk);
  for (const char* what : {"KMS", "clock", "credentials", "principal", "GenerateDataKey", "Decrypt"}) {
    EXPECT_TRUE(is(about(up, what), Verdict::kOk, ""));
  }
  server.stop();
  const Findings down = doctor(question, ExitCode::kKmsUnreachable);
  EXPECT_TRUE(is(about(down, "KMS"), Verdict::kFail, "runs"));
  EXPECT_EQ(about(down, "Decrypt").what, "no such finding");  // each would wait for a deadline
}

TEST_F(Doctor, NamesTheSourceOfCredentialsAndNeverWhatTheyAre) {
  const Json made =
      answer(kms_command({"create-access-key", "--account-id", kHome, "--user-name", "bob"}))["AccessKey"];
  const std::string secret = made.value("SecretAccessKey", "");
  ASSERT_FALSE(secret.empty());
  KmsdProcess server(path("kms"), path("kmsd.sock"), top_.path(), {"--listen", "127.0.0.1:0"});
  ASSERT_TRUE(server.ready());
  std::string url;
  for (std::ifstream listed(path("kmsd.ready")); std::getline(listed, url) && !url.starts_with("http:");) {
  }
  const auto with_secret = [&](const std::string& used) {
    return run({"/usr/bin/env", "-i", "PATH=/usr/bin:/bin", "HOME=" + top_.path(),
                "AWS_ACCESS_KEY_ID=" + made.value("AccessKeyId", ""), "AWS_SECRET_ACCESS_KEY=" + used,
                "timeout", "60", KMSFS_BINARY, "doctor", "--kms", url, path("box")});
  };
  const auto good = with_secret(secret);
  EXPECT_NE(good.output.find("\nok    credentials      from the environment\n"), std::string::npos)
      << good.output;
  EXPECT_NE(good.output.find("\nok    principal        " + bob), std::string::npos) << good.output;
  EXPECT_NE(good.output.find("\nok    Decrypt "), std::string::npos) << good.output;
  EXPECT_EQ(good.output.find(secret), std::string::npos);
  const auto wrong = with_secret("x" + secret);
  EXPECT_NE(wrong.output.find("\nFAIL  principal "), std::string::npos) << wrong.output;
  EXPECT_EQ(wrong.output.find(secret), std::string::npos);
}

}  // namespace
}  // namespace kmsfs
