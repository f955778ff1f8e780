// Each way to take permission from a running mount, while programs work in it: how long until nothing works
// any more, and that it heals. Keys come from a real kmsd, by signed requests. Prints the times.
#include <nlohmann/json.hpp>

#include <functional>

#include "kms/identities/administration_call.h"
#include "kms/session.h"
#include "tests/kmsclient/kmsd_process.h"
#include "tests/mount/command_mount.h"
#include "tests/mount/owner_of_kms.h"
#include "tests/mount/withdrawal_load.h"
#include "tests/support/crypto_environment.h"
#include "tests/support/eventually.h"

namespace kmsfs::testing {
namespace {

using nlohmann::json;
using Role = WithdrawalLoad::Role;

constexpr auto kPatience = std::chrono::seconds(30);  // of a slow machine; what it took is printed

bool comes_true(const std::function<bool()>& condition) { return eventually(condition, kPatience); }

// Hours ahead: what was signed for an hour is over for whoever reads the store after it.
class ClockAhead final : public Clock {
 public:
  BootTime boot_time() const override { return real_.boot_time(); }
  WallTime wall_time() const override { return real_.wall_time() + std::chrono::hours(2); }

 private:
  SystemClock real_;
};

struct AwsCredentials {
  std::string access_key_id, secret, token;
};

class Withdrawal : public ::testing::Test {
 protected:
  void SetUp() override {
    if (::access("/dev/fuse", R_OK | W_OK) != 0) GTEST_SKIP() << "needs /dev/fuse";
    for (const char* variable :
         {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE", "AWS_CONFIG_FILE",
          "AWS_SHARED_CREDENTIALS_FILE", "AWS_WEB_IDENTITY_TOKEN_FILE"})
      ::unsetenv(variable);
    ::setenv("AWS_EC2_METADATA_DISABLED", "true", 1);
    kmsd_ = std::make_unique<test::KmsdProcess>(store(), volume_.top() + "/kmsd.sock",
                                                std::vector<std::string>{"--listen", "127.0.0.1:0"});
    mounter_ = make_user("mounter");
    other_ = make_user("other");
    allow("mounter", kUse);
    allow("other", kUse);
    credentials_ = new_access_key("mounter");
    write_credentials();
  }
  void TearDown() override {
    load_.reset();
    other_load_.reset();
    if (IsSkipped() || HasFatalFailure()) return;
    if (other_watchdog_) {
      EXPECT_EQ(volume_.kmsfs("umount --lazy " + other_mountpoint()).status, 0);
    }
    EXPECT_TRUE(volume_.unmount());
  }

  // Mounts, and puts programs to work: in this volume, and in one under another key and principal.
  void begin(const std::string& options = "--probe-interval 1") {
    for (const std::string& directory : {volume_.mountpoint(), other_mountpoint(), volume_.top() + "/run"})
      ASSERT_EQ(::mkdir(directory.c_str(), 0700), 0);
    make_volume("default", owner_.key(), volume_.backing());
    make_volume("other", owner_.create_key(), volume_.top() + "/other");
    ASSERT_TRUE(volume_.mount(options));
    other_watchdog_ = std::make_unique<MountWatchdog>(other_mountpoint());
    const auto mounted = volume_.kmsfs("mount --profile other " + options + " " + volume_.top() + "/other " +
                                       other_mountpoint());
    ASSERT_EQ(mounted.status, 0) << mounted.output;
    other_load_ = std::make_unique<WithdrawalLoad>(other_mountpoint());
    load_ = std::make_unique<WithdrawalLoad>(volume_.mountpoint());
    const auto now = std::chrono::steady_clock::now();
    ASSERT_TRUE(
        comes_true([&] { return load_->all_succeed_since(now) && other_load_->all_succeed_since(now); }));
  }

  // Takes permission away by `withdraw`, waits until nothing works, gives it back, waits until all works.
  void expect_withdrawal(const std::string& way, int error_number, const char* state,
                         const std::function<void()>& withdraw, const std::function<void()>& give_back) {
    const std::string accepted(100000, 'a');
    UniqueFd unsynced(::open(volume_.path("unsynced").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
    const std::string stored = volume_.backing() + "/" + information("unsynced").value("stored_name", "?");
    ASSERT_EQ(::pwrite(unsynced.get(), accepted.data(), accepted.size(), 0),
              static_cast<ssize_t>(accepted.size()));
    withdraw();
    const auto then = std::chrono::steady_clock::now();
    ASSERT_TRUE(comes_true([&] { return load_->all_fail_since(then); })) << way << ": something goes on\n"
                                                                         << times(then);
    const std::string stopped = times(then);
    for (const Role role : {Role::kReader, Role::kDirectReader, Role::kOpener})
      EXPECT_TRUE(comes_true([&] { return load_->error(role) == error_number; }))
          << WithdrawalLoad::kNames[role] << ": " << ::strerror(load_->error(role));
    EXPECT_TRUE(comes_true([&] {
      const int failed = load_->error(Role::kWriter);
      return failed == error_number || failed == EIO;
    })) << ::strerror(load_->error(Role::kWriter));
    expect_state(state, true);
    struct stat status {};
    EXPECT_EQ(::stat(stored.c_str(), &status), 0) << stored;
    EXPECT_GT(status.st_size, static_cast<off_t>(accepted.size()))
        << "pages accepted before were not flushed";

    give_back();
    const auto back = std::chrono::steady_clock::now();
    ASSERT_TRUE(comes_true([&] { return load_->all_succeed_since(back); })) << way << ": it does not heal";
    expect_state("usable", false);
    EXPECT_TRUE(other_load_->none_failed()) << "a file under another key failed";
    std::printf("%s: the last success came after%s (published bound: %s); all go on after%s\n", way.c_str(),
                stopped.c_str(), bound_.c_str(), recoveries(back).c_str());
    load_.reset();
    unsynced.reset();
    ASSERT_TRUE(volume_.remount());
    EXPECT_EQ(volume_.read("unsynced"), accepted);
  }

  void expect_state(const std::string& state, bool wiped) {
    ASSERT_TRUE(comes_true([&] { return master_key().value("state", "") == state; })) << master_key();
    const json key = master_key();
    EXPECT_GT(key.value("since_ms", std::int64_t{0}), 0) << key;
    if (wiped) {
      EXPECT_EQ(key.value("data_keys_held", 1), 0) << key;
    }
    const auto text = volume_.kmsfs("status " + volume_.mountpoint()).output;
    EXPECT_NE(text.find(owner_.key() + ": " + state + " since "), std::string::npos) << text;
  }
  json information(const std::string& name) {
    const auto told = json::parse(volume_.kmsfs("info --json " + volume_.path(name)).output, nullptr, false);
    return told.is_array() && !told.empty() ? told.front() : json::object();
  }
  json master_key() {
    const auto status =
        json::parse(volume_.kmsfs("status --json " + volume_.mountpoint()).output, nullptr, false);
    const auto keys = status.is_object() ? status.find("master_keys") : status.end();
    if (!status.is_object() || keys == status.end() || keys->empty()) return json::object();
    return keys->front();
  }

  // --- the operator ---
  json administer(const std::string& operation, const json& request) {
    auto done = kms::administration_call(owner_.service().administration(), operation, request.dump());
    EXPECT_TRUE(done.ok()) << operation << ": " << (done ? "" : done.error().text);
    return done ? json::parse(as_text(done->reveal()), nullptr, false) : json::object();
  }
  std::string make_user(const std::string& name) {
    return administer("CreateUser", {{"UserName", name}})["User"]["Arn"];
  }
  AwsCredentials new_access_key(const std::string& user) {
    const json key = administer("CreateAccessKey", {{"UserName", user}})["AccessKey"];
    return {key["AccessKeyId"], key["SecretAccessKey"], {}};
  }
  void allow(const std::string& user, const std::string& statement) {
    administer("PutUserPolicy",
               {{"UserName", user}, {"PolicyName", "p"}, {"PolicyDocument", policy_of(statement)}});
  }
  static std::string policy_of(const std::string& statements) {
    return R"({"Version":"2012-10-17","Statement":[)" + statements + "]}";
  }
  std::string root() const { return "arn:aws:iam::" + mounter_.substr(13, 12) + ":root"; }
  void put_key_policy(const std::string& more) {
    const std::string all =
        R"({"Effect":"Allow","Principal":{"AWS":")" + root() + R"("},"Action":"kms:*","Resource":"*"})";
    const auto put = owner_.service().administration().put_key_policy(
        owner_.key(), policy_of(more.empty() ? all : all + "," + more));
    EXPECT_TRUE(put.ok()) << (put ? "" : put.error().text);
  }
  std::string grant() {
    auto made = owner_.service().create_grant(owner_.as_user(),
                                              {owner_.key(), mounter_, {"Decrypt", "GenerateDataKey"}});
    EXPECT_TRUE(made.ok()) << (made ? "" : made.error().text);
    return made ? made->grant_id : std::string();
  }
  AwsCredentials new_session(const std::string& role) {
    auto made =
        kms::assume_role(owner_.service().administration().engine(), owner_.as_user(), {role, "mount"});
    EXPECT_TRUE(made.ok()) << (made ? "" : made.error().text);
    if (!made) return {};
    return {made->facts->access_key_id, std::string(as_text(made->secret.reveal())), made->token};
  }

  // The file that whoever mounted has, replaced at once as their tools do.
  void write_credentials() {
    if (other_credentials_.access_key_id.empty()) other_credentials_ = new_access_key("other");
    const std::string directory = volume_.top() + "/.aws", file = directory + "/credentials";
    ::mkdir(directory.c_str(), 0700);
    {
      std::ofstream out(file + ".new");
      for (const auto& [profile, given] :
           {std::pair("default", &credentials_), std::pair("other", &other_credentials_)}) {
        out << "[" << profile << "]\naws_access_key_id = " << given->access_key_id
            << "\naws_secret_access_key = " << given->secret << "\n";
        if (!given->token.empty()) out << "aws_session_token = " << given->token << "\n";
      }
    }
    ASSERT_EQ(::chmod((file + ".new").c_str(), 0600), 0);
    ASSERT_EQ(::rename((file + ".new").c_str(), file.c_str()), 0);
  }

  static inline const std::string kUse =
      R"({"Effect":"Allow","Action":["kms:GenerateDataKey","kms:Decrypt"],"Resource":"*"})";
  std::string store() const { return volume_.top() + "/kms"; }
  std::string other_mountpoint() const { return volume_.top() + "/other-mnt"; }

  CommandMount volume_;
  OwnerOfKms owner_{store()};
  std::unique_ptr<test::KmsdProcess> kmsd_;
  std::string mounter_, other_;
  AwsCredentials credentials_, other_credentials_;
  std::string bound_ = "min(age 300 s, probe 1 s) + grace 5 s + 2 s = 8 s";
  std::string init_options_;
  std::unique_ptr<MountWatchdog> other_watchdog_;
  std::unique_ptr<WithdrawalLoad> load_, other_load_;

 private:
  void make_volume(const std::string& profile, const std::string& key, const std::string& backing) {
    const auto made = volume_.kmsfs("init " + init_options_ + " --profile " + profile + " --kms " +
                                    kmsd_->url() + " --key " + key + " " + backing);
    ASSERT_EQ(made.status, 0) << made.output;
  }
  template <typename Measure>
  std::string each_role(Measure&& measure) const {
    std::string out;
    for (std::size_t role = 0; role < WithdrawalLoad::kRoles; ++role) {
      std::array<char, 80> text{};
      std::snprintf(text.data(), text.size(), "%s %.2f s (%s)", role == 0 ? "" : ",",
                    measure(static_cast<Role>(role)), WithdrawalLoad::kNames[role]);
      out += text.data();
    }
    return out;
  }
  std::string times(WithdrawalLoad::Time then) const {
    return each_role([&](Role role) { return load_->seconds_to_last_success(role, then); });
  }
  std::string recoveries(WithdrawalLoad::Time then) const {
    return each_role([&](Role role) { return load_->seconds_to_recovery(role, then); });
  }
};

TEST_F(Withdrawal, AnEditedKeyPolicyEndsAllUseWithEACCESAndHeals) {
  begin();
  expect_withdrawal(
      "policy edited", EACCES, "denied",
      [&] {
        put_key_policy(R"({"Effect":"Deny","Principal":{"AWS":")" + mounter_ +
                       R"("},"Action":"kms:*","Resource":"*"})");
      },
      [&] { put_key_policy(""); });
}

TEST_F(Withdrawal, ARevokedGrantEndsAllUseWithEACCESAndHeals) {
  std::string held = grant();
  administer("DeleteUserPolicy", {{"UserName", "mounter"}, {"PolicyName", "p"}});
  begin();
  expect_withdrawal(
      "grant revoked", EACCES, "denied",
      [&] {
        EXPECT_TRUE(owner_.service().revoke_grant(owner_.as_user(), {owner_.key(), held}).ok());
      },
      [&] { held = grant(); });
}

TEST_F(Withdrawal, ADisabledKeyEndsAllUseWithEKEYREVOKEDAndHeals) {
  begin();
  expect_withdrawal(
      "key disabled", EKEYREVOKED, "disabled", [&] { owner_.disable(owner_.key()); },
      [&] { owner_.enable(owner_.key()); });
}

TEST_F(Withdrawal, ADisabledKeyEndsAllUseOfABranchVolumeTooAndHeals) {
  init_options_ = "--mode branch";
  begin();
  expect_withdrawal(
      "key disabled, branch mode", EKEYREVOKED, "disabled", [&] { owner_.disable(owner_.key()); },
      [&] { owner_.enable(owner_.key()); });
}

TEST_F(Withdrawal, AKeyScheduledForDeletionEndsAllUseWithEKEYREVOKEDAndHeals) {
  begin();
  expect_withdrawal(
      "key scheduled for deletion", EKEYREVOKED, "disabled",
      [&] { EXPECT_TRUE(owner_.service().schedule_key_deletion(owner_.as_user(), {owner_.key()}).ok()); },
      [&] {
        EXPECT_TRUE(owner_.service().cancel_key_deletion(owner_.as_user(), {owner_.key()}).ok());
        owner_.enable(owner_.key());
      });
}

TEST_F(Withdrawal, ADeletedAccessKeyEndsAllUseWithEACCESAndANewOneInTheFileHeals) {
  begin();
  expect_withdrawal(
      "access key deleted", EACCES, "denied",
      [&] {
        administer("DeleteAccessKey", {{"UserName", "mounter"}, {"AccessKeyId", credentials_.access_key_id}});
      },
      [&] {
        credentials_ = new_access_key("mounter");
        write_credentials();
      });
}

TEST_F(Withdrawal, AnExpiredSessionEndsAllUseWithEACCESAndANewOneInTheFileHeals) {
  const std::string trust = policy_of(R"({"Effect":"Allow","Action":"sts:AssumeRole","Principal":{"AWS":")" +
                                      owner_.as_user().principal + "\"}}");
  const std::string role = administer(
      "CreateRole", {{"RoleName", "mounting"}, {"AssumeRolePolicyDocument", trust}})["Role"]["Arn"];
  administer("PutRolePolicy",
             {{"RoleName", "mounting"}, {"PolicyName", "p"}, {"PolicyDocument", policy_of(kUse)}});
  credentials_ = new_session(role);
  write_credentials();
  begin();
  expect_withdrawal(
      "session expired", EACCES, "denied",
      [&] {
        // The store's time is that of the latest change: it goes on from two hours ahead.
        const ClockAhead ahead;
        auto service = kms::Service::open(store(), {}, ahead, make_null_logger());
        ASSERT_TRUE(service.ok()) << service.error().text;
        ASSERT_TRUE((*service)->administration().create_account().ok());
      },
      [&] {
        credentials_ = new_session(role);
        write_credentials();
      });
}

TEST_F(Withdrawal, KmsfsRevokeEndsAllUseAtOnceWhereTheKmsWouldBeAskedInAnHour) {
  bound_ = "grace 5 s + 2 s = 7 s";
  begin("--key-age 3600 --probe-interval 3600");
  expect_withdrawal(
      "kmsfs revoke, after the key was disabled", EKEYREVOKED, "disabled",
      [&] {
        owner_.disable(owner_.key());
        const auto revoked = volume_.kmsfs("revoke " + volume_.mountpoint());
        EXPECT_EQ(revoked.status, 0) << revoked.output;
      },
      [&] { owner_.enable(owner_.key()); });
}

}  // namespace
}  // namespace kmsfs::testing
