// The client against the real server: over its socket, signed over HTTP, and while it is restarted.
#include "tests/kmsclient/kmsd_process.h"

#include <atomic>
#include <thread>
#include <vector>

#include "kms/administration.h"
#include "kms/identities/administration_call.h"
#include "kms/service.h"
#include "kmsclient/json_object.h"
#include "kmsclient/provider.h"
#include "tests/kmsclient/remote_fixture.h"
#include "tests/support/crypto_environment.h"
#include "tests/support/shell.h"

namespace kmsfs {
namespace {

using namespace test;
using namespace std::chrono_literals;

class KmsdTest : public RemoteTest {
 protected:
  void SetUp() override {
    // As an operator would: kmsfs init on the host of the store, then the daemon.
    KmsSetup setup;
    setup.access.uri = "local:" + store();
    setup.seal.kind = kms::SealKind::kKeyFile;
    setup.region = "eu-west-1";
    auto made = set_up_kms(setup, system_clock_, make_null_logger());
    ASSERT_TRUE(made) << text_of(made);
    principal_ = made->principal;
    key_arn_ = made->key_arn;
    make_access_key();
    start();
  }

  std::string store() const { return (home_.path() / "kms").string(); }
  std::string socket() const { return (home_.path() / "kmsd.sock").string(); }
  std::string user() const { return principal_.substr(principal_.rfind('/') + 1); }
  void start() {
    const std::string listen = url_.empty() ? "127.0.0.1:0" : url_.substr(std::string("http://").size());
    kmsd_ = std::make_unique<KmsdProcess>(store(), socket(), std::vector<std::string>{"--listen", listen});
    url_ = kmsd_->url();
  }

  void administer(const std::string& operation, const std::string& json, std::string* answer = nullptr) {
    auto service = kms::Service::open(store(), {}, system_clock_, make_null_logger());
    ASSERT_TRUE(service) << text_of(service);
    auto done = kms::administration_call((*service)->administration(), operation, json);
    ASSERT_TRUE(done) << text_of(done);
    if (answer != nullptr) *answer = as_text(done->reveal());
  }
  void make_access_key() {
    std::string answer;
    administer("CreateAccessKey", R"({"UserName":")" + user() + "\"}", &answer);
    const auto object = JsonObject::parse(as_bytes(answer));
    ASSERT_TRUE(object);
    const auto key = object->object("AccessKey");
    ASSERT_TRUE(key) << "CreateAccessKey answers without AccessKey";
    variables_["AWS_ACCESS_KEY_ID"] = key->text("AccessKeyId");
    variables_["AWS_SECRET_ACCESS_KEY"] = key->text("SecretAccessKey");
  }

  std::unique_ptr<RemoteKms> remote(const std::string& uri, const std::string& profile = {}) {
    KmsAccess access;
    access.uri = uri;
    access.profile = profile;
    RemoteCaller::Options options;
    options.limits = limits_;
    options.environment = environment();
    auto made = RemoteCaller::make(access, system_clock_, std::move(options));
    EXPECT_TRUE(made) << text_of(made);
    return std::make_unique<RemoteKms>(std::move(*made));
  }

  void expect_life_of_a_data_key(Kms& kms) {
    auto described = kms.describe_key("alias/aws/kmsfs");
    ASSERT_TRUE(described) << text_of(described);
    EXPECT_EQ(described->arn, key_arn_);
    EXPECT_EQ(described->state, KeyState::kEnabled);
    auto generated = kms.generate_data_key("alias/aws/kmsfs", context_);
    ASSERT_TRUE(generated) << text_of(generated);
    EXPECT_EQ(generated->wrapped.key_arn, key_arn_);
    auto opened = kms.decrypt(key_arn_, generated->wrapped.blob, context_);
    ASSERT_TRUE(opened) << text_of(opened);
    EXPECT_EQ(as_text(opened->reveal()), as_text(generated->key.reveal()));
    EXPECT_EQ(kms.decrypt(key_arn_, generated->wrapped.blob, {}).error().kind, Kind::kCorrupt);
    auto blind = kms.generate_data_key_without_plaintext(key_arn_, context_);
    ASSERT_TRUE(blind) << text_of(blind);
    auto moved = kms.re_encrypt(blind->blob, key_arn_, context_, key_arn_, {});
    ASSERT_TRUE(moved) << text_of(moved);
    EXPECT_TRUE(kms.decrypt(key_arn_, moved->blob, {}));
    EXPECT_EQ(kms.describe_key("alias/absent").error().kind, Kind::kKeyGone);
  }

  const SystemClock system_clock_;
  const EncryptionContext context_ = {{"kmsfs:file", "f"}, {"kmsfs:volume", "v"}};
  std::string principal_, key_arn_, url_;
  std::unique_ptr<KmsdProcess> kmsd_;
};

TEST_F(KmsdTest, TheSocketKnowsWhoAsksAndServesADataKeysLife) {
  auto kms = open_kms({"unix:" + socket(), {}, {}}, system_clock_, make_null_logger());
  ASSERT_TRUE(kms) << text_of(kms);
  auto principal = (*kms)->principal();
  ASSERT_TRUE(principal) << text_of(principal);
  EXPECT_EQ(*principal, principal_);
  expect_life_of_a_data_key(**kms);
}

TEST_F(KmsdTest, SignedRequestsServeADataKeysLifeAndAWrongSecretIsRefused) {
  auto signed_kms = remote(url_);
  auto principal = signed_kms->principal();
  ASSERT_TRUE(principal) << text_of(principal);
  EXPECT_EQ(*principal, principal_);
  expect_life_of_a_data_key(*signed_kms);
  variables_["AWS_SECRET_ACCESS_KEY"] += "x";
  EXPECT_EQ(remote(url_)->describe_key(key_arn_).error().kind, Kind::kDenied);
  EXPECT_EQ(remote(url_)->principal().error().kind, Kind::kDenied);
}

TEST_F(KmsdTest, AnAccessKeyThatIsTakenAwayEndsAtTheNextCall) {
  auto kms = remote(url_);
  ASSERT_TRUE(kms->describe_key(key_arn_));
  administer("DeleteAccessKey",
             R"({"UserName":")" + user() + R"(","AccessKeyId":")" + variables_["AWS_ACCESS_KEY_ID"] + "\"}");
  EXPECT_EQ(kms->describe_key(key_arn_).error().kind, Kind::kDenied);
}

TEST_F(KmsdTest, ARoleOfAProfileIsAssumedAtTheSameServer) {
  administer("CreateRole", R"({"RoleName":"mounter","AssumeRolePolicyDocument":"{\"Version\":\"2012-10-17\",)"
                           R"(\"Statement\":[{\"Effect\":\"Allow\",\"Action\":\"sts:AssumeRole\",)"
                           R"(\"Principal\":{\"AWS\":\")" +
                               principal_ + R"(\"}}]}"})");
  administer("PutRolePolicy",
             R"({"RoleName":"mounter","PolicyName":"p","PolicyDocument":"{\"Version\":\"2012-10-17\",)"
             R"(\"Statement\":[{\"Effect\":\"Allow\",\"Action\":\"kms:*\",\"Resource\":\"*\"}]}"})");
  std::filesystem::create_directory(home_.path() / ".aws");
  const std::string account = principal_.substr(std::string("arn:aws:iam::").size(), 12);
  home_.write(".aws/config",
              "[profile m]\nrole_arn = arn:aws:iam::" + account +
                  ":role/mounter\ncredential_source = Environment\nrole_session_name = tree\n");
  auto kms = remote(url_, "m");
  auto principal = kms->principal();
  ASSERT_TRUE(principal) << text_of(principal);
  EXPECT_EQ(*principal, "arn:aws:sts::" + account + ":assumed-role/mounter/tree");
  expect_life_of_a_data_key(*kms);
}

TEST_F(KmsdTest, ACertificateMustBeTrustedAndOfTheHost) {
  const auto certificate = [&](const std::string& name, const std::string& host) {
    const auto made = kmsfs::testing::run_script(
        "cd " + home_.path().string() +
            " && /usr/bin/openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 " +
            "-nodes -days 2 -subj /CN=" + name + " -addext subjectAltName=" + host + " -keyout " + name +
            ".key -out " + name + ".pem && chmod 600 " + name + ".key",
        30);
    EXPECT_EQ(made.status, 0) << made.output;
    return (home_.path() / name).string();
  };
  const auto serve = [&](const std::string& files) {
    kmsd_.reset();
    kmsd_ =
        std::make_unique<KmsdProcess>(store(), socket(),
                                      std::vector<std::string>{"--listen", "127.0.0.1:0", "--tls-cert",
                                                               files + ".pem", "--tls-key", files + ".key"});
  };
  limits_.attempts = 3;
  const std::string right = certificate("right", "IP:127.0.0.1"),
                    wrong = certificate("wrong", "DNS:elsewhere");
  serve(right);
  ASSERT_TRUE(kmsd_->url().starts_with("https://")) << kmsd_->url();
  auto untrusted = remote(kmsd_->url())->describe_key(key_arn_);
  ASSERT_FALSE(untrusted);
  EXPECT_EQ(untrusted.error().kind, Kind::kUnavailable);
  EXPECT_NE(untrusted.error().text.find("certificate"), std::string::npos) << untrusted.error().text;
  variables_["AWS_CA_BUNDLE"] = right + ".pem";
  expect_life_of_a_data_key(*remote(kmsd_->url()));
  variables_["AWS_CA_BUNDLE"] = "/nonexistent/bundle.pem";
  EXPECT_EQ(remote(kmsd_->url())->describe_key(key_arn_).error().kind, Kind::kUnavailable);
  serve(wrong);
  variables_["AWS_CA_BUNDLE"] = wrong + ".pem";
  auto elsewhere = remote(kmsd_->url())->describe_key(key_arn_);
  ASSERT_FALSE(elsewhere);
  EXPECT_EQ(elsewhere.error().kind, Kind::kUnavailable);
}

TEST_F(KmsdTest, ServersThatAreStoppedAndKilledUnderWayAreSurvivedByEveryCall) {
  limits_.attempts =
      100000;  // as long as the deadline allows: a machine may take its time to start a program
  limits_.budget = 1000000;
  limits_.breaker_failures = 1000000;
  limits_.longest_pause = 50ms;
  auto over_socket = remote("unix:" + socket());
  auto over_http = remote(url_);
  auto generated = over_socket->generate_data_key(key_arn_, context_);
  ASSERT_TRUE(generated) << text_of(generated);
  std::atomic<bool> done{false};
  std::atomic<int> good{0};
  Guarded<std::vector<std::string>> failures;
  std::vector<std::thread> callers;
  for (RemoteKms* kms : {over_socket.get(), over_http.get(), over_socket.get(), over_http.get()}) {
    callers.emplace_back([&, kms] {
      while (!done) {
        auto opened = kms->decrypt(key_arn_, generated->wrapped.blob, context_);
        if (opened) {
          ++good;
        } else {
          failures.with([&](auto& all) { all.push_back(opened.error().text); });
        }
      }
    });
  }
  for (const int signal : {SIGTERM, SIGKILL}) {
    const int before = good;
    for (int i = 0; i < 3000 && good < before + 20; ++i) std::this_thread::sleep_for(10ms);
    kmsd_->end(signal);
    start();
  }
  const int before = good;
  for (int i = 0; i < 3000 && good < before + 20; ++i) std::this_thread::sleep_for(10ms);
  EXPECT_GE(good, before + 20);
  done = true;
  for (auto& thread : callers) thread.join();
  failures.with(
      [](const auto& all) { EXPECT_TRUE(all.empty()) << all.size() << " calls failed: " << all.front(); });
}

TEST_F(KmsdTest, AServerThatIsGoneIsAnOutageAndOneThatComesBackServesAgain) {
  limits_.attempts = 2;
  auto kms = remote("unix:" + socket());
  ASSERT_TRUE(kms->describe_key(key_arn_));
  kmsd_->end(SIGTERM);
  EXPECT_EQ(kms->describe_key(key_arn_).error().kind, Kind::kUnavailable);
  start();
  auto again = kms->describe_key(key_arn_);
  EXPECT_TRUE(again) << text_of(again);
}

}  // namespace
}  // namespace kmsfs
