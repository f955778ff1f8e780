#include "kmsclient/provider.h"

#include <stdlib.h>
#include <unistd.h>

#include "kmsclient/caller.h"
#include "kmsclient/embedded_kms.h"
#include "kmsclient/remote_kms.h"
#include "tests/kms/kms_fixture.h"

namespace kmsfs {
namespace {

using kms::test::cheap_passphrase_seal;
using kms::test::key_file_seal;
using kms::test::TemporaryDirectory;
using kms::test::text_of;

class ProviderTest : public ::testing::Test {
 protected:
  KmsSetup setup() const {
    KmsSetup setup;
    setup.access.uri = uri();
    setup.seal = key_file_seal();
    return setup;
  }
  std::string uri() const { return "local:" + (directory_ / "a/b/kms"); }
  Result<KmsSetupReport> set_up(const KmsSetup& setup) {
    return set_up_kms(setup, clock_, make_null_logger());
  }
  Result<std::unique_ptr<Kms>> open(const std::string& user = {}, const PassphraseSource& source = {}) {
    return open_kms({uri(), user, source}, clock_, make_null_logger());
  }
  TemporaryDirectory directory_;
  ManualClock clock_;
};

TEST_F(ProviderTest, TheFirstSetUpMakesStoreAccountUserAndServiceKeyAndTheSecondNothing) {
  auto first = set_up(setup());
  ASSERT_TRUE(first) << text_of(first);
  EXPECT_TRUE(first->store_made);
  EXPECT_EQ(first->uri, uri());
  EXPECT_TRUE(first->principal.starts_with("arn:aws:iam::"));
  auto key = first->kms->describe_key("alias/aws/kmsfs");
  ASSERT_TRUE(key) << text_of(key);
  EXPECT_EQ(key->arn, first->key_arn);
  EXPECT_EQ(key->manager, KeyManager::kService);
  EXPECT_TRUE(key->arn.starts_with("arn:aws:kms:local-1:"));

  auto second = set_up(setup());
  ASSERT_TRUE(second) << text_of(second);
  EXPECT_FALSE(second->store_made);
  EXPECT_EQ(second->principal, first->principal);
  EXPECT_EQ(second->key_arn, first->key_arn);
}

TEST_F(ProviderTest, WhatIsSetUpOpensAsTheUserOfThisUid) {
  ASSERT_FALSE(open());  // nothing there yet
  EXPECT_EQ(open().error().kind, Kind::kNotFound);
  auto made = set_up(setup());
  ASSERT_TRUE(made);
  auto opened = open();
  ASSERT_TRUE(opened) << text_of(opened);
  EXPECT_EQ(*(*opened)->principal(), made->principal);
  EXPECT_EQ((*opened)->endpoint(), uri());
  // Both at once in one process: a wrap of one opens in the other.
  auto generated = made->kms->generate_data_key("alias/aws/kmsfs", {});
  ASSERT_TRUE(generated);
  EXPECT_TRUE((*opened)->decrypt(made->key_arn, generated->wrapped.blob, {}));
}

TEST_F(ProviderTest, APassphraseIsAskedForOncePerSetUp) {
  int asked = 0;
  KmsSetup by_passphrase = setup();
  by_passphrase.seal = cheap_passphrase_seal();
  by_passphrase.access.passphrase = [&](PassphraseUse) {
    ++asked;
    return Passphrase::copy_of("correct horse");
  };
  auto made = set_up(by_passphrase);
  ASSERT_TRUE(made) << text_of(made);
  EXPECT_EQ(asked, 1);
  EXPECT_TRUE(open({}, kms::test::passphrase("correct horse")));
  EXPECT_EQ(open({}, kms::test::passphrase("wrong")).error().kind, Kind::kDenied);
  auto without = open();
  ASSERT_FALSE(without);
  EXPECT_NE(without.error().text.find("--passphrase-file"), std::string::npos);
}

TEST_F(ProviderTest, WithoutAChoiceOfSealNothingIsSetUp) {
  KmsSetup no_choice = setup();
  no_choice.seal = {};
  auto made = set_up(no_choice);
  ASSERT_FALSE(made);
  EXPECT_NE(made.error().text.find("--seal keyfile"), std::string::npos);
  EXPECT_EQ(open().error().kind, Kind::kNotFound);
}

TEST_F(ProviderTest, AnotherUserOfTheStoreIsNamedAndOneThatIsNotThereIsRefused) {
  auto made = set_up(setup());
  ASSERT_TRUE(made);
  auto& administration = static_cast<EmbeddedKms&>(*made->kms).service().administration();
  const std::string account = made->principal.substr(13, 12);
  const auto bob = administration.create_user(account, "bob");
  const auto carol = administration.create_user(*administration.create_account(), "carol");
  ASSERT_TRUE(bob && carol);
  EXPECT_EQ(*(*open("bob"))->principal(), *bob);
  EXPECT_EQ(*(*open(*carol))->principal(), *carol);
  EXPECT_EQ(open("nobody").error().kind, Kind::kNotFound);
  // The account's service key serves bob and refuses carol.
  auto generated = made->kms->generate_data_key("alias/aws/kmsfs", {});
  ASSERT_TRUE(generated);
  EXPECT_TRUE((*open("bob"))->decrypt(made->key_arn, generated->wrapped.blob, {}));
  EXPECT_EQ((*open(*carol))->decrypt(made->key_arn, generated->wrapped.blob, {}).error().kind, Kind::kDenied);
}

TEST_F(ProviderTest, OtherSchemesAreUnsupportedAndTheErrorNamesWhatIsKnown) {
  for (const char* other : {"x", "local", "ftp://h"}) {
    auto opened = open_kms({other, {}, {}}, clock_, make_null_logger());
    ASSERT_FALSE(opened);
    EXPECT_EQ(opened.error().kind, Kind::kUnsupported) << other;
    EXPECT_NE(opened.error().text.find("local:"), std::string::npos);
    EXPECT_EQ(open_caller({other, {}, {}}, clock_, make_null_logger()).error().kind, Kind::kUnsupported);
  }
  EXPECT_EQ(open_kms({"local:", {}, {}}, clock_, make_null_logger()).error().kind, Kind::kInvalid);
}

TEST_F(ProviderTest, AKmsElsewhereOpensWithoutBeingAskedAndTakesNoUser) {
  auto opened = open_kms({"unix:/nonexistent/kmsd.sock", {}, {}}, clock_, make_null_logger());
  ASSERT_TRUE(opened) << text_of(opened);
  EXPECT_EQ((*opened)->endpoint(), "unix:/nonexistent/kmsd.sock");
  EXPECT_EQ(open_kms({"unix:/nonexistent/kmsd.sock", "bob", {}}, clock_, make_null_logger()).error().kind,
            Kind::kInvalid);
  EXPECT_EQ(open_kms({"http://192.0.2.1:1", {}, {}}, clock_, make_null_logger()).error().kind,
            Kind::kInvalid);
  KmsSetup remote;
  remote.access.uri = "unix:/nonexistent/kmsd.sock";
  EXPECT_EQ(set_up(remote).error().kind, Kind::kUnavailable);
}

TEST_F(ProviderTest, ACallerSpeaksAwsJsonWithALocalStore) {
  auto made = set_up(setup());
  ASSERT_TRUE(made) << text_of(made);
  auto caller = open_caller({uri(), {}, {}}, clock_, make_null_logger());
  ASSERT_TRUE(caller) << text_of(caller);
  EXPECT_EQ(*(*caller)->principal(), made->principal);
  EXPECT_EQ((*caller)->endpoint(), uri());
  auto described = (*caller)->call("DescribeKey", as_bytes(R"({"KeyId":"alias/aws/kmsfs"})"));
  ASSERT_TRUE(described) << text_of(described);
  EXPECT_NE(as_text(described->reveal()).find(made->key_arn), std::string_view::npos);
  auto absent = (*caller)->call("DescribeKey", as_bytes(R"({"KeyId":"alias/absent"})"));
  ASSERT_FALSE(absent);
  EXPECT_EQ(absent.error().kind, Kind::kKeyGone);
  EXPECT_STREQ(absent.error().code, "NotFoundException");
  EXPECT_EQ((*caller)->call("NoSuchOperation", as_bytes("{}")).error().kind, Kind::kUnsupported);
  EXPECT_EQ((*caller)->call("DescribeKey", as_bytes("{")).error().kind, Kind::kInvalid);
}

TEST_F(ProviderTest, TheTypedKmsOnACallerGivesWhatTheEmbeddedOneGives) {
  auto made = set_up(setup());
  ASSERT_TRUE(made) << text_of(made);
  auto caller = open_caller({uri(), {}, {}}, clock_, make_null_logger());
  ASSERT_TRUE(caller) << text_of(caller);
  RemoteKms over_json(std::move(*caller));
  const EncryptionContext context = {{"kmsfs:file", "f"}};
  auto generated = over_json.generate_data_key("alias/aws/kmsfs", context);
  ASSERT_TRUE(generated) << text_of(generated);
  auto opened = made->kms->decrypt(made->key_arn, generated->wrapped.blob, context);
  ASSERT_TRUE(opened) << text_of(opened);
  EXPECT_EQ(as_text(opened->reveal()), as_text(generated->key.reveal()));
  auto again = over_json.decrypt(made->key_arn, generated->wrapped.blob, context);
  ASSERT_TRUE(again) << text_of(again);
  EXPECT_EQ(over_json.decrypt(made->key_arn, generated->wrapped.blob, {}).error().kind, Kind::kCorrupt);
  EXPECT_EQ(over_json.describe_key("alias/aws/kmsfs")->arn, made->key_arn);
}

TEST(DefaultKmsUri, FollowsTheUsersDataDirectoryAndRootsIsTheSystems) {
  auto uri = default_kms_uri();
  ASSERT_TRUE(uri);
  if (::geteuid() == 0) {
    EXPECT_EQ(*uri, "local:/var/lib/kmsfs/kms");
    return;
  }
  ::setenv("XDG_DATA_HOME", "/data", 1);
  EXPECT_EQ(*default_kms_uri(), "local:/data/kmsfs/kms");
  ::setenv("XDG_DATA_HOME", "relative", 1);
  ::setenv("HOME", "/home/a", 1);
  EXPECT_EQ(*default_kms_uri(), "local:/home/a/.local/share/kmsfs/kms");
}

}  // namespace
}  // namespace kmsfs
