#include <algorithm>
#include <filesystem>

#include "tests/kms/identities/door_fixture.h"

namespace kmsfs::kms::test {

class AccessKeysTest : public DoorTest {
 protected:
  void SetUp() override {
    DoorTest::SetUp();
    user("alice");
  }
  Json create(const std::string& name = "alice") {
    return done("CreateAccessKey", {{"UserName", name}})["AccessKey"];
  }
  void status(const Json& key, const char* status) {
    done("UpdateAccessKey", {{"UserName", "alice"}, {"AccessKeyId", key["AccessKeyId"]}, {"Status", status}});
  }
  Result<Credential> credential(const Json& key, std::string_view token = {}) {
    return find_credential(engine(), key["AccessKeyId"].get<std::string>(), token);
  }
};

TEST_F(AccessKeysTest, AnAccessKeyLooksAsAwsPrintsIt) {
  const Json key = create();
  EXPECT_EQ(key["UserName"], "alice");
  EXPECT_EQ(key["Status"], "Active");
  const auto id = key["AccessKeyId"].get<std::string>(), secret = key["SecretAccessKey"].get<std::string>();
  EXPECT_TRUE(id.starts_with("AKIA") && id.size() == 20) << id;
  ASSERT_EQ(secret.size(), 40U);
  EXPECT_TRUE(std::ranges::all_of(
      secret, [](unsigned char c) { return std::isalnum(c) != 0 || c == '+' || c == '/'; }));
  EXPECT_NE(secret, create()["SecretAccessKey"]);
}

TEST_F(AccessKeysTest, TheSecretOfASignedRequestIsFoundByItsId) {
  const Json key = create();
  auto found = credential(key);
  ASSERT_TRUE(found) << text_of(found);
  EXPECT_EQ(found->principal, "arn:aws:iam::111122223333:user/alice");
  EXPECT_EQ(found->session, nullptr);
  EXPECT_EQ(text_in(found->secret), key["SecretAccessKey"]);
  open();
  EXPECT_EQ(text_in(credential(key)->secret), key["SecretAccessKey"]);
}

TEST_F(AccessKeysTest, TheSecretIsShownOnceAndLiesNowhereInClear) {
  const Json key = create();
  const auto secret = key["SecretAccessKey"].get<std::string>();
  EXPECT_EQ(done("ListAccessKeys", {{"UserName", "alice"}}).dump().find(secret), std::string::npos);
  EXPECT_EQ(done("GetUser", {{"UserName", "alice"}}).dump().find(secret), std::string::npos);
  service_.reset();
  std::size_t files = 0;
  for (const auto& file : std::filesystem::directory_iterator(store_path())) {
    if (!file.is_regular_file()) continue;
    EXPECT_EQ(read_text(file.path().string()).find(secret), std::string::npos) << file.path();
    ++files;
  }
  EXPECT_GE(files, 2U);
  open();
  EXPECT_NE(audit_log().find(key["AccessKeyId"].get<std::string>()), std::string::npos);
}

TEST_F(AccessKeysTest, AnOwnerHasTwoAtMost) {
  const Json first = create();
  create();
  EXPECT_EQ(refused("CreateAccessKey", {{"UserName", "alice"}}), "LimitExceeded");
  done("DeleteAccessKey", {{"UserName", "alice"}, {"AccessKeyId", first["AccessKeyId"]}});
  create();
  EXPECT_EQ(done("ListAccessKeys", {{"UserName", "alice"}})["AccessKeyMetadata"].size(), 2U);
}

TEST_F(AccessKeysTest, AnInactiveDeletedOrUnknownOneIsRefusedInTheSameWay) {
  const Json key = create();
  status(key, "Inactive");
  EXPECT_EQ(done("ListAccessKeys", {{"UserName", "alice"}})["AccessKeyMetadata"][0]["Status"], "Inactive");
  auto inactive = credential(key);
  ASSERT_FALSE(inactive);
  status(key, "Active");
  EXPECT_TRUE(credential(key));
  done("DeleteAccessKey", {{"UserName", "alice"}, {"AccessKeyId", key["AccessKeyId"]}});
  auto deleted = credential(key);
  ASSERT_FALSE(deleted);
  auto unknown = find_credential(engine(), "AKIAAAAAAAAAAAAAAAAA", {});
  ASSERT_FALSE(unknown);
  auto with_token = credential(create(), "token");
  ASSERT_FALSE(with_token);
  for (const Error& error : {inactive.error(), deleted.error(), unknown.error(), with_token.error(),
                             find_credential(engine(), "", {}).error(),
                             find_credential(engine(), std::string(5000, 'A'), {}).error()}) {
    EXPECT_EQ(error.kind, Kind::kDenied);
    EXPECT_EQ(code_of(error), "UnrecognizedClientException");
    EXPECT_EQ(error.text, inactive.error().text);
  }
}

TEST_F(AccessKeysTest, OneUserNeverChangesTheKeyOfAnother) {
  const Json key = create();
  user("bob");
  const Json as_bob{{"UserName", "bob"}, {"AccessKeyId", key["AccessKeyId"]}};
  EXPECT_EQ(refused("DeleteAccessKey", as_bob), "NoSuchEntity");
  Json update = as_bob;
  update["Status"] = "Inactive";
  EXPECT_EQ(refused("UpdateAccessKey", update), "NoSuchEntity");
  EXPECT_TRUE(credential(key));
}

TEST_F(AccessKeysTest, TheRootOfAnAccountHasItsOwn) {
  const Json key = done("CreateAccessKey")["AccessKey"];
  EXPECT_FALSE(key.contains("UserName"));
  EXPECT_EQ(credential(key)->principal, "arn:aws:iam::111122223333:root");
  EXPECT_EQ(done("ListAccessKeys")["AccessKeyMetadata"].size(), 1U);
  EXPECT_TRUE(done("ListAccessKeys", {{"UserName", "alice"}})["AccessKeyMetadata"].empty());
}

TEST_F(AccessKeysTest, ASealedSecretOfAnotherOpensNothing) {
  const Json mine = create(), other = create();
  const auto id = mine["AccessKeyId"].get<std::string>(), other_id = other["AccessKeyId"].get<std::string>();
  AuditRecord record;
  record.event = "Swap";
  ASSERT_TRUE(engine().change(record, [&](WriteTransaction& transaction, AuditRecord&) -> Result<void> {
    const ByteView stored = **transaction.get(Table::kAccessKeys, as_bytes(other_id));
    const Bytes copy(stored.begin(), stored.end());
    return transaction.put(Table::kAccessKeys, as_bytes(id), copy);
  }));
  auto found = credential(mine);
  ASSERT_FALSE(found);
  EXPECT_EQ(found.error().kind, Kind::kUnavailable);
}

TEST_F(AccessKeysTest, StatusIsOneOfTwo) {
  const Json key = create();
  EXPECT_EQ(refused("UpdateAccessKey",
                    {{"UserName", "alice"}, {"AccessKeyId", key["AccessKeyId"]}, {"Status", "Expired"}}),
            "ValidationError");
}

}  // namespace kmsfs::kms::test
