// Every source of credentials, sound and broken.
#include <sys/stat.h>

#include <filesystem>

#include "tests/kmsclient/remote_fixture.h"

namespace kmsfs {
namespace {

using namespace test;
using namespace std::chrono_literals;

std::string assumed(const std::string& id, const std::string& until = "2099-01-01T00:00:00Z") {
  return "<R><AssumeRoleResult><Credentials><AccessKeyId>" + id + "</AccessKeyId><SecretAccessKey>" +
         kSecret + "</SecretAccessKey><SessionToken>token of " + id + "</SessionToken><Expiration>" + until +
         "</Expiration></Credentials></AssumeRoleResult></R>";
}
std::string metadata(const std::string& id, const std::string& token = "Token") {
  return R"({"Code":"Success","AccessKeyId":")" + id + R"(","SecretAccessKey":")" + kSecret + "\",\"" +
         token + R"(":"t/\u0041","Expiration":"2099-01-01T00:00:00Z"})";
}

// One server plays KMS, STS and metadata service; requests tell who asked for what as whom.
class CredentialsTest : public RemoteTest {
 protected:
  CredentialsTest() {
    variables_.erase("AWS_ACCESS_KEY_ID");
    variables_.erase("AWS_SECRET_ACCESS_KEY");
    std::filesystem::create_directory(home_.path() / ".aws");
  }
  void config(const std::string& text) const { home_.write(".aws/config", text); }
  void credentials(const std::string& text) const { home_.write(".aws/credentials", text); }

  HttpAnswer answer(const HttpRequest& request) {
    if (request.body.starts_with("Action="))
      return sts_ ? sts_(request) : http_answer(200, assumed("ASIAROLE"));
    if (request.target != "/") return metadata_ ? metadata_(request) : http_answer(404, "");
    return http_answer(200, key_reply());
  }
  Result<DataKey> decrypt(const std::string& profile = {}) {
    if (!remote_) {
      KmsAccess access;
      access.uri = server_.url();
      access.profile = profile;
      auto made = make(access);
      if (!made) return std::move(made).error();
      remote_ = std::make_unique<RemoteKms>(std::move(*made));
    }
    return remote_->decrypt(kKeyArn, as_bytes("blob"), {});
  }
  // Whose key signed the last call to the KMS; empty if the call failed.
  std::string signer(const std::string& profile = {}) {
    auto key = decrypt(profile);
    EXPECT_TRUE(key) << text_of(key);
    return key ? signer_of(server_.requests().back()) : "";
  }
  static std::string signer_of(const HttpRequest& request) {
    const std::string authorization = request.header("authorization");
    const auto begin = authorization.find("Credential=") + 11;
    return authorization.empty() ? "" : authorization.substr(begin, authorization.find('/') - begin);
  }
  // The error that a broken source leads to: it names `what`, and has no secret in it.
  void expect_broken(const std::string& what, const std::string& profile = {},
                     Kind kind = Kind::kUnavailable) {
    remote_.reset();
    auto failed = decrypt(profile);
    ASSERT_FALSE(failed) << what;
    EXPECT_EQ(failed.error().kind, kind) << failed.error().text;
    EXPECT_NE(failed.error().text.find(what), std::string::npos) << failed.error().text;
    EXPECT_EQ(failed.error().text.find("S3CRET"), std::string::npos) << failed.error().text;
    EXPECT_EQ(failed.error().text.find(kSecret), std::string::npos) << failed.error().text;
  }

  std::function<HttpAnswer(const HttpRequest&)> sts_, metadata_;
  ScriptedServer server_{[this](const HttpRequest& request, auto) { return answer(request); }};
  std::unique_ptr<RemoteKms> remote_;
};

TEST_F(CredentialsTest, TheEnvironmentComesFirst) {
  variables_["AWS_ACCESS_KEY_ID"] = "AKIDENV";
  variables_["AWS_SECRET_ACCESS_KEY"] = kSecret;
  credentials("[default]\naws_access_key_id = AKIDFILE\naws_secret_access_key = x\n");
  EXPECT_EQ(signer(), "AKIDENV");
  remote_.reset();
  EXPECT_EQ(signer("default"), "AKIDFILE") << "a profile that was named goes first";
}

TEST_F(CredentialsTest, HalfAKeyInTheEnvironmentIsNamed) {
  variables_["AWS_ACCESS_KEY_ID"] = "AKIDENV";
  expect_broken("AWS_SECRET_ACCESS_KEY");
  variables_ = {
      {"AWS_SECRET_ACCESS_KEY", "S3CRET"}, {"AWS_REGION", "eu-west-1"}, {"HOME", home_.path().string()}};
  expect_broken("AWS_ACCESS_KEY_ID");
}

TEST_F(CredentialsTest, ProfilesAreFoundInBothFilesAndTheCredentialsFileHasTheLastWord) {
  config(
      "; a comment\n[default]\nregion=eu-west-1\n[profile  two "
      "]\naws_access_key_id=AKIDC\naws_secret_access_key=x\n"
      "s3 =\n  addressing_style = path\n[profile three]\r\naws_access_key_id = AKID3 # not this\r\n"
      "aws_secret_access_key = x\r\n[sso-session s]\naws_access_key_id=never\n[services x]\nkms =\n  "
      "endpoint_url = y\n");
  credentials(
      "[default]\naws_access_key_id = AKIDD\nAWS_SECRET_ACCESS_KEY = x\n[two]\naws_access_key_id=AKIDK\n");
  EXPECT_EQ(signer(), "AKIDD");
  remote_.reset();
  EXPECT_EQ(signer("two"), "AKIDK");
  remote_.reset();
  variables_["AWS_PROFILE"] = "three";
  EXPECT_EQ(signer(), "AKID3");
}

TEST_F(CredentialsTest, TheFilesMayBeElsewhere) {
  home_.write("k", "[default]\naws_access_key_id=AKIDK\naws_secret_access_key=x\naws_session_token=y\n");
  variables_["AWS_SHARED_CREDENTIALS_FILE"] = "~/k";
  variables_["AWS_CONFIG_FILE"] = "/nonexistent";
  EXPECT_EQ(signer(), "AKIDK");
  EXPECT_EQ(server_.requests().back().header("x-amz-security-token"), "y");
}

TEST_F(CredentialsTest, TheRegionOfTheProfileCounts) {
  variables_.erase("AWS_REGION");
  config("[profile p]\nregion = ap-northeast-1\naws_access_key_id=A\naws_secret_access_key=x\n");
  EXPECT_EQ(signer("p"), "A");
  EXPECT_NE(server_.requests().back().header("authorization").find("/ap-northeast-1/kms/"),
            std::string::npos);
}

TEST_F(CredentialsTest, BrokenFilesAndProfilesAreNamed) {
  expect_broken("there are no credentials");
  expect_broken("the profile 'absent'", "absent");
  variables_["AWS_PROFILE"] = "absent";
  expect_broken("the profile 'absent'");
  variables_.erase("AWS_PROFILE");
  credentials("[default]\naws_access_key_id = AKID\n");
  expect_broken("aws_secret_access_key");
  credentials("[default]\naws_secret_access_key = S3CRET\n");
  expect_broken("aws_access_key_id");
  credentials("[default\naws_secret_access_key = S3CRET\n");
  expect_broken(".aws/credentials line 1");
  credentials("aws_secret_access_key = S3CRET\n");
  expect_broken(".aws/credentials line 1");
  credentials("[default]\nS3CRET S3CRET\n");
  expect_broken(".aws/credentials line 2");
  credentials(std::string(300 << 10, '#'));
  expect_broken("256 KiB");
  std::filesystem::remove(home_.path() / ".aws/credentials");
  std::filesystem::create_directory(home_.path() / ".aws/credentials");
  expect_broken(".aws/credentials");
  std::filesystem::remove(home_.path() / ".aws/credentials");
  ASSERT_EQ(::mkfifo((home_.path() / ".aws/credentials").c_str(), 0600), 0);
  expect_broken("not a regular file");
}

TEST_F(CredentialsTest, ARoleIsAssumedWithItsSourceProfileAndItsSessionSigns) {
  config(
      "[profile base]\naws_access_key_id=AKIDBASE\naws_secret_access_key=x\n"
      "[profile r]\nrole_arn=arn:aws:iam::111122223333:role/r\nsource_profile=base\nexternal_id=e&d\n"
      "role_session_name=me\nduration_seconds=900\n");
  EXPECT_EQ(signer("r"), "ASIAROLE");
  EXPECT_EQ(server_.requests().back().header("x-amz-security-token"), "token of ASIAROLE");
  const auto sts = server_.requests().at(0);
  EXPECT_EQ(signer_of(sts), "AKIDBASE");
  EXPECT_EQ(sts.body,
            "Action=AssumeRole&Version=2011-06-15&RoleArn=arn%3Aaws%3Aiam%3A%3A111122223333%3Arole%2Fr&"
            "RoleSessionName=me&ExternalId=e%26d&DurationSeconds=900");
  EXPECT_EQ(sts.header("content-type"), "application/x-www-form-urlencoded; charset=utf-8");
}

TEST_F(CredentialsTest, RolesMayLeadToRolesButNotInCircles) {
  std::string text =
      "[profile base]\naws_access_key_id=AKIDBASE\naws_secret_access_key=x\n"
      "[profile r2]\nrole_arn=arn:r2\nsource_profile=r1\n[profile r1]\nrole_arn=arn:r1\nsource_profile=base\n"
      "[profile a]\nrole_arn=arn:a\nsource_profile=b\n[profile b]\nrole_arn=arn:b\nsource_profile=a\n"
      "[profile self]\nrole_arn=arn:s\nsource_profile=self\naws_access_key_id=AKIDSELF\n"
      "aws_secret_access_key=x\n[profile c0]\naws_access_key_id=A\naws_secret_access_key=x\n";
  for (int i = 1; i <= 7; ++i) {
    text += "[profile c" + std::to_string(i) + "]\nrole_arn=arn:c\nsource_profile=c" + std::to_string(i - 1) +
            "\n";
  }
  config(text);
  EXPECT_EQ(signer("r2"), "ASIAROLE");
  EXPECT_EQ(signer_of(server_.requests().at(0)), "AKIDBASE");
  EXPECT_EQ(signer_of(server_.requests().at(1)), "ASIAROLE");
  remote_.reset();
  EXPECT_EQ(signer("self"), "ASIAROLE");
  expect_broken("leads back", "a");
  expect_broken("longer than 5", "c7");
}

TEST_F(CredentialsTest, BrokenRolesAreNamed) {
  config(
      "[profile n]\nrole_arn=arn:r\n[profile "
      "both]\nrole_arn=arn:r\nsource_profile=n\ncredential_source=Environment\n"
      "[profile gone]\nrole_arn=arn:r\nsource_profile=absent\n[profile "
      "odd]\nrole_arn=arn:r\ncredential_source=Magic\n"
      "[profile mfa]\nrole_arn=arn:r\nsource_profile=n\nmfa_serial=arn:mfa\n"
      "[profile sso]\nsso_session=x\n[profile empty]\nregion=eu-west-1\n[profile "
      "dry]\nrole_arn=arn:r\nsource_profile=empty\n"
      "[profile env]\nrole_arn=arn:r\ncredential_source=Environment\n");
  expect_broken("'n': a role_arn needs", "n");
  expect_broken("'both': a role_arn needs", "both");
  expect_broken("'absent'", "gone");
  expect_broken("credential_source", "odd");
  expect_broken("mfa_serial", "mfa");
  expect_broken("single sign-on", "sso");
  expect_broken("'empty' has no credentials", "empty");
  expect_broken("'dry': its source has no credentials", "dry");
  expect_broken("'env': its source has no credentials", "env");
}

TEST_F(CredentialsTest, ARoleThatStsRefusesIsARefusalAndOneThatItCannotGiveAnOutage) {
  config("[profile r]\nrole_arn=arn:r\ncredential_source=Environment\n");
  variables_["AWS_ACCESS_KEY_ID"] = "AKIDENV";
  variables_["AWS_SECRET_ACCESS_KEY"] = kSecret;
  limits_.attempts = 2;
  sts_ = [](const auto&) {
    return http_answer(
        403,
        "<ErrorResponse><Error><Code>AccessDenied</Code><Message>not you</Message></Error></ErrorResponse>");
  };
  expect_broken("not you", "r", Kind::kDenied);
  sts_ = [](const auto&) { return http_answer(500, "<html>"); };
  expect_broken("the profile 'r'", "r");
  for (const std::string& body : {std::string("<x>"), assumed("A", "tomorrow"), std::string("{}")}) {
    sts_ = [body](const auto&) { return http_answer(200, body); };
    expect_broken("did not answer with credentials", "r");
  }
  sts_ = [](const auto&) { return http_answer(200, assumed("A", "2001-01-01T00:00:00Z")); };
  expect_broken("have expired", "r");
}

TEST_F(CredentialsTest, ASessionIsRenewedBeforeItExpires) {
  config("[profile r]\nrole_arn=arn:r\ncredential_source=Environment\n");
  variables_["AWS_ACCESS_KEY_ID"] = "AKIDENV";
  variables_["AWS_SECRET_ACCESS_KEY"] = kSecret;
  clock_.set_wall_time(1'700'000'000s);  // 2023-11-14 22:13:20
  std::atomic<int> sessions{0};
  std::atomic<bool> down{false};
  limits_.attempts = 1;
  sts_ = [&](const auto&) {
    if (down) return http_answer(503, "");
    ++sessions;
    return http_answer(200, assumed("ASIA" + std::to_string(sessions),
                                    sessions == 1 ? "2023-11-14T23:13:20Z" : "2023-11-15T00:13:20.5+00:00"));
  };
  EXPECT_EQ(signer("r"), "ASIA1");
  clock_.set_wall_time(1'700'003'000s);  // ten minutes are left
  EXPECT_EQ(signer("r"), "ASIA1");
  clock_.set_wall_time(1'700'003'400s);  // less than five: STS is down, and the old ones go on
  down = true;
  EXPECT_EQ(signer("r"), "ASIA1");
  down = false;
  clock_.advance(2s);
  EXPECT_EQ(signer("r"), "ASIA2");
  EXPECT_EQ(sessions, 2);
}

TEST_F(CredentialsTest, CredentialsThatTheKmsCallsExpiredAreLookedUpAnew) {
  credentials("[default]\naws_access_key_id=OLD\naws_secret_access_key=x\n");
  EXPECT_EQ(signer(), "OLD");
  credentials("[default]\naws_access_key_id=NEW\naws_secret_access_key=x\n");
  EXPECT_EQ(signer(), "OLD");
  std::atomic<bool> refuse{true};
  ScriptedServer picky([&](const HttpRequest& request, auto) {
    if (refuse && signer_of(request) == "OLD") return aws_error(400, "UnrecognizedClientException");
    return http_answer(200, key_reply());
  });
  credentials("[default]\naws_access_key_id=OLD\naws_secret_access_key=x\n");
  auto remote = kms(picky.url());
  EXPECT_EQ(remote->decrypt(kKeyArn, as_bytes("b"), {}).error().kind, Kind::kDenied);
  EXPECT_EQ(picky.count(), 1U) << "the same ones are not sent again";
  credentials("[default]\naws_access_key_id=NEW\naws_secret_access_key=x\n");
  EXPECT_TRUE(remote->decrypt(kKeyArn, as_bytes("b"), {}));
}

TEST_F(CredentialsTest, AWebIdentityTokenIsExchangedUnsigned) {
  home_.write("token", "eyJ.a+b/c\n");
  variables_["AWS_WEB_IDENTITY_TOKEN_FILE"] = (home_.path() / "token").string();
  expect_broken("AWS_ROLE_ARN");
  variables_["AWS_ROLE_ARN"] = "arn:r";
  remote_.reset();
  EXPECT_EQ(signer(), "ASIAROLE");
  const auto sts = server_.requests().at(0);
  EXPECT_EQ(sts.header("authorization"), "");
  EXPECT_EQ(sts.body,
            "Action=AssumeRoleWithWebIdentity&Version=2011-06-15&RoleArn=arn%3Ar&RoleSessionName=kmsfs&"
            "WebIdentityToken=eyJ.a%2Bb%2Fc");
  std::filesystem::remove(home_.path() / "token");
  expect_broken("web identity token file");
  config("[profile w]\nrole_arn=arn:w\nweb_identity_token_file=/nonexistent/token\n");
  expect_broken("/nonexistent/token", "w");
}

TEST_F(CredentialsTest, AProgramMayGiveThem) {
  home_.write("answer", R"({"Version":1,"AccessKeyId":"AKIDPROC","SecretAccessKey":"x","SessionToken":"y"})");
  config("[default]\ncredential_process = cat '" + (home_.path() / "answer").string() + "'\n");
  EXPECT_EQ(signer(), "AKIDPROC");
  EXPECT_EQ(server_.requests().back().header("x-amz-security-token"), "y");
}

TEST_F(CredentialsTest, BrokenProgramsAreNamedAndNeverWaitedForLongerThanTheDeadline) {
  const struct {
    const char *command, *what;
  } cases[] = {
      {"exit 3", "status 3"},
      {"kill -9 $$", "signal 9"},
      {"echo S3CRET", "Version 1"},
      {"echo '{\"Version\":2,\"SecretAccessKey\":\"S3CRET\"}'", "Version 1"},
      {"echo '{\"Version\":1,\"SecretAccessKey\":\"S3CRET\"}'", "AccessKeyId"},
      {"echo '{\"Version\":1,\"AccessKeyId\":\"A\"}'", "SecretAccessKey"},
      {"echo '{\"Version\":1,\"AccessKeyId\":\"A\",\"SecretAccessKey\":\"S3CRET\",\"Expiration\":\"x\"}'",
       "Expiration"},
      {"/nonexistent/program 2>/dev/null", "status 127"},
      {"head -c 100000 /dev/zero", "64 KiB"},
  };
  for (const auto& [command, what] : cases) {
    config(std::string("[default]\ncredential_process = ") + command + "\n");
    expect_broken(what);
    expect_broken("credential_process of the profile 'default'");
  }
  limits_.operation_deadline = 300ms;
  for (const char* command : {"sleep 1000", "sleep 1000 >/dev/null & sleep 1000", "exec >&-; sleep 1000"}) {
    config(std::string("[default]\ncredential_process = ") + command + "\n");
    expect_broken("in time");
  }
}

TEST_F(CredentialsTest, AContainerGivesThemToWhoeverHasItsToken) {
  variables_["AWS_CONTAINER_CREDENTIALS_FULL_URI"] = server_.url() + "/creds?x=1";
  home_.write("token", "the token\n");
  variables_["AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"] = (home_.path() / "token").string();
  metadata_ = [](const HttpRequest& request) {
    const bool good = request.method == "GET" && request.target == "/creds?x=1" &&
                      request.header("authorization") == "the token";
    return good ? http_answer(200, metadata("AKIDCONT")) : http_answer(401, "S3CRET");
  };
  EXPECT_EQ(signer(), "AKIDCONT");
  EXPECT_EQ(server_.requests().back().header("x-amz-security-token"), "t/A");
  home_.write("token", "another\n");
  expect_broken("the container: it answered with HTTP 401");
  home_.write("token", "two\nlines\n");
  expect_broken("more than one line");
  std::filesystem::remove(home_.path() / "token");
  expect_broken("token cannot be read");
}

TEST_F(CredentialsTest, AContainerUriThatLeadsElsewhereIsRefused) {
  for (const char* uri :
       {"http://10.0.0.1/x", "http://example.com/", "ftp://127.0.0.1/", "x", "http://127.0.0.1:0/"}) {
    variables_["AWS_CONTAINER_CREDENTIALS_FULL_URI"] = uri;
    expect_broken("AWS_CONTAINER_CREDENTIALS_FULL_URI");
  }
}

TEST_F(CredentialsTest, AnInstanceGivesThemByTheTokenOfItsSecondVersion) {
  variables_.erase("AWS_EC2_METADATA_DISABLED");
  variables_["AWS_EC2_METADATA_SERVICE_ENDPOINT"] = server_.url() + "/";
  metadata_ = [](const HttpRequest& request) {
    if (request.method == "PUT" && request.target == "/latest/api/token" &&
        !request.header("x-aws-ec2-metadata-token-ttl-seconds").empty()) {
      return http_answer(200, "imds token");
    }
    if (request.header("x-aws-ec2-metadata-token") != "imds token") return http_answer(401, "");
    if (request.target == "/latest/meta-data/iam/security-credentials/")
      return http_answer(200, "the-role\nother");
    if (request.target == "/latest/meta-data/iam/security-credentials/the-role") {
      return http_answer(200, metadata("AKIDINST"));
    }
    return http_answer(404, "");
  };
  EXPECT_EQ(signer(), "AKIDINST");
  metadata_ = [](const HttpRequest& request) {
    return http_answer(200, request.method == "PUT" ? "t" : "../../x?y");
  };
  expect_broken("instance metadata service: it names no role");
  metadata_ = [](const HttpRequest&) { return http_answer(403, ""); };
  expect_broken("instance metadata service: it answered with HTTP 403");
  metadata_ = [](const HttpRequest& request) {
    return request.target.ends_with("role") ? http_answer(200, R"({"Code":"Failed"})")
                                            : http_answer(200, "role");
  };
  expect_broken("instance metadata service: there is no AccessKeyId");
}

TEST_F(CredentialsTest, ACrowdWaitsForOneFetch) {
  std::atomic<int> fetches{0};
  CredentialsHolder holder(
      [&](const Deadline&) -> Result<Credentials> {
        ++fetches;
        std::this_thread::sleep_for(50ms);
        return Credentials{"A", std::move(*sensitive_copy("x")), std::nullopt, std::nullopt, "here"};
      },
      clock_);
  std::vector<std::thread> crowd;
  std::atomic<int> good{0};
  for (int i = 0; i < 16; ++i) {
    crowd.emplace_back([&] { good += holder.get(Deadline(clock_, 30s)).ok() ? 1 : 0; });
  }
  for (auto& thread : crowd) thread.join();
  EXPECT_EQ(good, 16);
  EXPECT_EQ(fetches, 1);
}

TEST_F(CredentialsTest, AFailureIsNotAskedForAgainAtOnce) {
  std::atomic<int> fetches{0};
  CredentialsHolder holder(
      [&](const Deadline&) -> Result<Credentials> {
        ++fetches;
        return error(Kind::kUnavailable, "broken");
      },
      clock_);
  for (int i = 0; i < 5; ++i) EXPECT_EQ(holder.get(Deadline(clock_, 30s)).error().text, "broken");
  EXPECT_EQ(fetches, 1);
  clock_.advance(1s);
  EXPECT_FALSE(holder.get(Deadline(clock_, 30s)));
  EXPECT_EQ(fetches, 2);
}

TEST_F(CredentialsTest, TimesOfAwsAreReadAndOthersRefused) {
  EXPECT_EQ(parse_iso_time("2023-11-14T22:13:20Z"), 1'700'000'000s);
  EXPECT_EQ(parse_iso_time("2023-11-14T22:13:20.123Z"), 1'700'000'000s);
  EXPECT_EQ(parse_iso_time("2023-11-14T23:13:20+01:00"), 1'700'000'000s);
  for (const char* wrong :
       {"", "Z", "2023-11-14", "2023-11-14T22:13:20", "2023-11-14T22:13:20Zx", "2023-11-14T22:13:20+1"}) {
    EXPECT_FALSE(parse_iso_time(wrong)) << wrong;
  }
}

}  // namespace
}  // namespace kmsfs
