#include "kmsclient/endpoint.h"

#include <gtest/gtest.h>

#include <fstream>
#include <map>

#include "tests/support/temporary_directory.h"

namespace kmsfs {
namespace {

using Variables = std::map<std::string, std::string>;

// Nothing of this machine's own configuration.
Environment environment_of(Variables variables) {
  variables.insert({{"AWS_CONFIG_FILE", "/nonexistent/config"},
                    {"AWS_SHARED_CREDENTIALS_FILE", "/nonexistent/credentials"}});
  return Environment([variables = std::make_shared<Variables>(std::move(variables))](const char* name) {
    const auto found = variables->find(name);
    return found == variables->end() ? nullptr : found->second.c_str();
  });
}

Result<Endpoint> endpoint(const std::string& uri, Variables variables = {}, bool insecure = false) {
  KmsAccess access;
  access.uri = uri;
  access.insecure_http = insecure;
  return kms_endpoint(access, environment_of(std::move(variables)));
}

TEST(Endpoint, ARegionLeadsToTheHostOfItsPartition) {
  EXPECT_EQ(endpoint("aws:eu-west-1")->url, "https://kms.eu-west-1.amazonaws.com/");
  EXPECT_EQ(endpoint("aws:eu-west-1")->region, "eu-west-1");
  EXPECT_EQ(endpoint("aws:cn-north-1")->host, "kms.cn-north-1.amazonaws.com.cn");
  const Variables fips = {{"AWS_USE_FIPS_ENDPOINT", "true"}}, dual = {{"AWS_USE_DUALSTACK_ENDPOINT", "True"}};
  EXPECT_EQ(endpoint("aws:us-east-1", fips)->host, "kms-fips.us-east-1.amazonaws.com");
  EXPECT_EQ(endpoint("aws:us-east-1", dual)->host, "kms.us-east-1.api.aws");
  EXPECT_EQ(
      endpoint("aws:us-east-1", {{"AWS_USE_FIPS_ENDPOINT", "true"}, {"AWS_USE_DUALSTACK_ENDPOINT", "true"}})
          ->host,
      "kms-fips.us-east-1.api.aws");
  EXPECT_EQ(endpoint("aws:us-iso-east-1", dual).error().kind, Kind::kInvalid);
}

TEST(Endpoint, AnEndpointUrlInTheEnvironmentCountsForAwsOnlyAndKeepsTheRegion) {
  const Variables variables = {{"AWS_ENDPOINT_URL_KMS", "https://vpce-1.kms.eu-west-1.vpce.amazonaws.com"},
                               {"AWS_ENDPOINT_URL", "https://wrong.example.com"}};
  EXPECT_EQ(endpoint("aws:eu-west-1", variables)->host, "vpce-1.kms.eu-west-1.vpce.amazonaws.com");
  EXPECT_EQ(endpoint("aws:eu-west-1", variables)->region, "eu-west-1");
  EXPECT_EQ(endpoint("https://h:8443", variables)->host, "h:8443");
  EXPECT_EQ(endpoint("aws:eu-west-1", {{"AWS_ENDPOINT_URL", "http://127.0.0.1:4566/"}})->url,
            "http://127.0.0.1:4566/");
  EXPECT_EQ(endpoint("aws:eu-west-1", {{"AWS_ENDPOINT_URL", "http://127.0.0.1:1"},
                                       {"AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "true"}})
                ->host,
            "kms.eu-west-1.amazonaws.com");
  EXPECT_EQ(endpoint("aws:eu-west-1", {{"AWS_ENDPOINT_URL", "http://kms.example.com"}}).error().kind,
            Kind::kInvalid);
}

class ConfiguredEndpoint : public ::testing::Test {
 protected:
  void write(const std::string& config) { std::ofstream(directory_.path() / "config") << config; }
  Result<Endpoint> kms(Variables variables = {}, const std::string& profile = {}) const {
    return kms_endpoint(access(profile), environment(std::move(variables)));
  }
  Result<Endpoint> sts(const std::string& profile = {}) const {
    return sts_endpoint(*kms({}, profile), access(profile), environment({}));
  }

 private:
  Environment environment(Variables variables) const {
    variables["AWS_CONFIG_FILE"] = (directory_.path() / "config").string();
    return environment_of(std::move(variables));
  }
  static KmsAccess access(const std::string& profile) {
    KmsAccess access;
    access.uri = "aws:eu-west-1";
    access.profile = profile;
    return access;
  }
  const testing::TemporaryDirectory directory_;
};

TEST_F(ConfiguredEndpoint, AServicesSectionComesBeforeTheProfilesUrlAndTheEnvironmentBeforeBoth) {
  write(
      "[default]\nendpoint_url = https://all.example.com\n"
      "[profile lab]\nservices = lab-services\nendpoint_url = https://rest.example.com  # others\n"
      "[services lab-services]\nkms =\n  endpoint_url = https://kms.example.com:8443\ns3 =\n"
      "  endpoint_url = https://s3.example.com\n"
      "[services other]\nkms =\n  endpoint_url = https://wrong.example.com\n");
  EXPECT_EQ(kms()->host, "all.example.com");
  EXPECT_EQ(kms({}, "lab")->host, "kms.example.com:8443");
  EXPECT_EQ(kms({}, "lab")->region, "eu-west-1");
  EXPECT_EQ(kms({{"AWS_PROFILE", "lab"}})->host, "kms.example.com:8443");
  EXPECT_EQ(sts("lab")->host, "rest.example.com");
  EXPECT_EQ(kms({{"AWS_ENDPOINT_URL", "https://env.example.com"}}, "lab")->host, "env.example.com");
  EXPECT_EQ(kms({{"AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "true"}}, "lab")->host,
            "kms.eu-west-1.amazonaws.com");
}

TEST_F(ConfiguredEndpoint, NestedSettingsOfAProfileAreNotItsOwn) {
  write("[default]\ns3 =\n  endpoint_url = https://s3.example.com\n  use_dualstack_endpoint = true\n");
  EXPECT_EQ(kms()->host, "kms.eu-west-1.amazonaws.com");
}

TEST_F(ConfiguredEndpoint, AProfileMayAskForFipsAndDualStackAndTheEnvironmentMaySayNo) {
  write(
      "[default]\nuse_fips_endpoint = true\nuse_dualstack_endpoint = true\n"
      "[profile still]\nignore_configured_endpoint_urls = true\nendpoint_url = https://x.example.com\n");
  EXPECT_EQ(kms()->host, "kms-fips.eu-west-1.api.aws");
  EXPECT_EQ(kms({{"AWS_USE_FIPS_ENDPOINT", "false"}})->host, "kms.eu-west-1.api.aws");
  EXPECT_EQ(kms({}, "still")->host, "kms.eu-west-1.amazonaws.com");
}

TEST_F(ConfiguredEndpoint, AWrongUrlIsRefusedAndItsPlaceNamedAndAFileNobodyUnderstandsIs) {
  write("[default]\nendpoint_url = http://kms.example.com\n");
  auto plain = kms();
  ASSERT_FALSE(plain);
  EXPECT_EQ(plain.error().kind, Kind::kInvalid);
  EXPECT_NE(plain.error().text.find("the profile 'default'"), std::string::npos) << plain.error().text;
  write("[default\n");
  auto broken = kms();
  ASSERT_FALSE(broken);
  EXPECT_EQ(broken.error().kind, Kind::kUnavailable);
  EXPECT_NE(broken.error().text.find("config line 1"), std::string::npos) << broken.error().text;
}

TEST(Endpoint, AVpcEndpointByItsUrlIsSignedForItsRegion) {
  EXPECT_EQ(endpoint("https://vpce-0a1-xy.kms.ap-northeast-1.vpce.amazonaws.com")->region, "ap-northeast-1");
  EXPECT_EQ(endpoint("https://kms.eu-central-1.amazonaws.com")->region, "eu-central-1");
  EXPECT_EQ(endpoint("https://kms.example.com")->region, "");
}

TEST(Endpoint, PlainHttpGoesToThisHostOnlyUnlessInsistedOn) {
  for (const char* here :
       {"http://127.0.0.1:8080", "http://127.3.2.1", "http://[::1]:80", "http://localhost:1"}) {
    EXPECT_TRUE(endpoint(here)) << here;
  }
  for (const char* elsewhere : {"http://10.0.0.1:8080", "http://kms.example.com", "http://[fe80::1]:80",
                                "http://127.0.0.1.example.com", "http://localhost.example.com",
                                "http://0.0.0.0:80", "http://2130706433"}) {
    auto refused = endpoint(elsewhere);
    ASSERT_FALSE(refused) << elsewhere;
    EXPECT_EQ(refused.error().kind, Kind::kInvalid) << elsewhere;
    EXPECT_NE(refused.error().text.find("https"), std::string::npos) << elsewhere;
    EXPECT_TRUE(endpoint(elsewhere, {}, true)) << elsewhere;
  }
}

TEST(Endpoint, EachWrongUriIsRefusedAndNamed) {
  for (const char* wrong : {"aws:",
                            "aws:EU-west-1",
                            "aws:-x",
                            "aws:eu west",
                            "https://",
                            "https://h:0",
                            "https://h:65536",
                            "https://h:x",
                            "https://h/path",
                            "https://user@h",
                            "https://user:password@h",
                            "https://h?x=1",
                            "https://h#x",
                            "https:h",
                            "https://[::1",
                            "https://[zz]:1",
                            "https://h h",
                            "unix:",
                            "unix:relative",
                            "http:",
                            "http://:80"}) {
    auto refused = endpoint(wrong);
    ASSERT_FALSE(refused) << wrong;
    EXPECT_EQ(refused.error().kind, Kind::kInvalid) << wrong;
    EXPECT_NE(refused.error().text.find(wrong), std::string::npos) << refused.error().text;
  }
  EXPECT_EQ(endpoint("unix:/" + std::string(107, 'a')).error().kind, Kind::kInvalid);
  for (const char* unknown : {"x", "local", "ftp://h", "", "AWS:eu-west-1", "file:///etc"}) {
    auto refused = endpoint(unknown);
    ASSERT_FALSE(refused) << unknown;
    EXPECT_EQ(refused.error().kind, Kind::kUnsupported) << unknown;
    EXPECT_NE(refused.error().text.find("aws:REGION"), std::string::npos);
  }
}

TEST(Endpoint, ProxiesAreThoseOfTheEnvironmentAndNeverForThisHost) {
  const Variables variables = {
      {"HTTPS_PROXY", "http://proxy:3128"}, {"HTTP_PROXY", "http://evil:1"}, {"NO_PROXY", "a.example.com"}};
  EXPECT_EQ(endpoint("aws:eu-west-1", variables)->proxy, "http://proxy:3128");
  EXPECT_EQ(endpoint("aws:eu-west-1", variables)->no_proxy, "a.example.com");
  EXPECT_EQ(endpoint("https://127.0.0.1:1", variables)->proxy, "");
  EXPECT_EQ(endpoint("http://10.0.0.1", variables, true)->proxy, "");  // HTTP_PROXY in capitals is a client's
  EXPECT_EQ(endpoint("https://h")->proxy, "");
}

TEST(Endpoint, TheStsIsAwsForAwsAndTheSameServerForKmsd) {
  const Environment plain = environment_of({});
  EXPECT_EQ(sts_endpoint(*endpoint("aws:eu-west-1"), {}, plain)->host, "sts.eu-west-1.amazonaws.com");
  EXPECT_EQ(sts_endpoint(*endpoint("https://x.kms.eu-west-1.vpce.amazonaws.com"), {}, plain)->host,
            "sts.eu-west-1.amazonaws.com");
  EXPECT_EQ(sts_endpoint(*endpoint("https://kms.example.com:8443"), {}, plain)->host, "kms.example.com:8443");
  EXPECT_EQ(sts_endpoint(*endpoint("unix:/run/kmsd.sock"), {}, plain)->unix_socket, "/run/kmsd.sock");
  EXPECT_EQ(sts_endpoint(*endpoint("https://h"), {},
                         environment_of({{"AWS_ENDPOINT_URL_STS", "https://sts.example.com"}}))
                ->host,
            "sts.example.com");
}

TEST(Endpoint, TheRegionOfAnArnIsReadFromArnsOnly) {
  EXPECT_EQ(region_of_arn("arn:aws:kms:eu-west-1:123456789012:key/x"), "eu-west-1");
  EXPECT_EQ(region_of_arn("arn:aws:iam::123456789012:root"), "");
  EXPECT_EQ(region_of_arn("alias/x"), "");
  EXPECT_EQ(region_of_arn("arn:aws"), "");
}

}  // namespace
}  // namespace kmsfs
