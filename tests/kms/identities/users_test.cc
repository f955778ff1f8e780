#include <set>

#include "tests/kms/identities/door_fixture.h"

namespace kmsfs::kms::test {

class UsersTest : public DoorTest {};

TEST_F(UsersTest, AUserLooksAsAwsPrintsIt) {
  const Json made = done("CreateUser", {{"AccountId", kFirst},
                                        {"UserName", "alice"},
                                        {"Path", "/"},
                                        {"Tags", Json::array({{{"Key", "team"}, {"Value", "red"}}})}});
  const Json& user = made["User"];
  EXPECT_EQ(user["Path"], "/");
  EXPECT_EQ(user["UserName"], "alice");
  EXPECT_EQ(user["Arn"], "arn:aws:iam::111122223333:user/alice");
  EXPECT_EQ(user["AccountId"], kFirst);
  const auto id = user["UserId"].get<std::string>();
  EXPECT_TRUE(id.starts_with("AIDA") && id.size() == 21) << id;
  EXPECT_EQ(user["CreateDate"].get<std::string>().substr(10, 1), "T");
  EXPECT_TRUE(user["CreateDate"].get<std::string>().ends_with("+00:00"));
  EXPECT_EQ(user["Tags"][0]["Value"], "red");
  EXPECT_EQ(done("GetUser", {{"UserName", "alice"}}), made);
}

TEST_F(UsersTest, NamesAreTakenOncePerAccountAndKind) {
  user("alice");
  EXPECT_EQ(refused("CreateUser", {{"UserName", "alice"}}), "EntityAlreadyExists");
  done("CreateGroup", {{"GroupName", "alice"}});
  done("CreateAccount", {{"AccountId", kSecond}});
  user("alice", "", kSecond);
  EXPECT_EQ(done("ListUsers", {{"AccountId", kFirst}})["Users"].size(), 1U);
}

TEST_F(UsersTest, NamesAndPathsThatIamHasNotAreRefused) {
  for (const std::string name : {"a b", "a/b", "ä", "a:b", "a*", "", "..\n"}) {
    EXPECT_EQ(refused("CreateUser", {{"UserName", name}}), "ValidationError") << name;
  }
  EXPECT_EQ(refused("CreateUser", {{"UserName", std::string(65, 'a')}}), "ValidationError");
  EXPECT_EQ(refused("CreateUser", {{"UserName", "alice"}, {"Path", "/team/"}}), "ValidationError");
  done("CreateUser", {{"UserName", std::string(64, 'a')}});
  done("CreateUser", {{"UserName", "a+b=c,d.e@f_g-h"}});
}

TEST_F(UsersTest, ADeletedUserIsGoneAndOneMadeAnewIsAnotherOne) {
  const auto before = done("CreateUser", {{"UserName", "alice"}})["User"]["UserId"];
  done("DeleteUser", {{"UserName", "alice"}});
  EXPECT_EQ(refused("GetUser", {{"UserName", "alice"}}), "NoSuchEntity");
  EXPECT_EQ(refused("DeleteUser", {{"UserName", "alice"}}), "NoSuchEntity");
  EXPECT_NE(done("CreateUser", {{"UserName", "alice"}})["User"]["UserId"], before);
}

TEST_F(UsersTest, ADeletedUserCannotCallAnyMore) {
  const Invocation alice = user("alice", "kms:*");
  ASSERT_TRUE(service_->list_keys(alice, {}));
  done("DeleteUserPolicy", {{"UserName", "alice"}, {"PolicyName", "allowed"}});
  done("DeleteUser", {{"UserName", "alice"}});
  auto listed = service_->list_keys(alice, {});
  ASSERT_FALSE(listed);
  EXPECT_EQ(code_of(listed.error()), "UnrecognizedClientException");
}

TEST_F(UsersTest, AUserWhoStillHasSomethingIsNotDeleted) {
  user("alice", "kms:*");
  EXPECT_EQ(refused("DeleteUser", {{"UserName", "alice"}}), "DeleteConflict");
  done("DeleteUserPolicy", {{"UserName", "alice"}, {"PolicyName", "allowed"}});
  const Json key = done("CreateAccessKey", {{"UserName", "alice"}})["AccessKey"];
  EXPECT_EQ(refused("DeleteUser", {{"UserName", "alice"}}), "DeleteConflict");
  done("DeleteAccessKey", {{"UserName", "alice"}, {"AccessKeyId", key["AccessKeyId"]}});
  done("CreateGroup", {{"GroupName", "staff"}});
  done("AddUserToGroup", {{"UserName", "alice"}, {"GroupName", "staff"}});
  EXPECT_EQ(refused("DeleteUser", {{"UserName", "alice"}}), "DeleteConflict");
  done("RemoveUserFromGroup", {{"UserName", "alice"}, {"GroupName", "staff"}});
  done("DeleteUser", {{"UserName", "alice"}});
}

TEST_F(UsersTest, ListsArePagedAndTellEachOneOnce) {
  std::set<std::string> expected, seen;
  for (int i = 0; i < 25; ++i) {
    const std::string name = "user" + std::to_string(i);
    user(name);
    expected.insert(name);
  }
  done("CreateGroup", {{"GroupName", "user-group"}});
  Json request{{"MaxItems", 7}};
  int pages = 0;
  for (; pages < 10; ++pages) {
    const Json page = done("ListUsers", request);
    EXPECT_LE(page["Users"].size(), 7U);
    for (const Json& one : page["Users"]) EXPECT_TRUE(seen.insert(one["UserName"]).second) << one;
    if (!page["IsTruncated"].get<bool>()) break;
    request["Marker"] = page["Marker"];
  }
  EXPECT_EQ(pages, 3);
  EXPECT_EQ(seen, expected);
  EXPECT_EQ(refused("ListUsers", {{"Marker", "not a marker!"}}), "ValidationError");
  EXPECT_EQ(refused("ListUsers", {{"MaxItems", 0}}), "ValidationError");
  EXPECT_EQ(refused("ListUsers", {{"MaxItems", 1001}}), "ValidationError");
  EXPECT_EQ(refused("ListUsers", {{"Marker", std::string(2000, 'A')}}), "ValidationError");
}

TEST_F(UsersTest, TagsAreSetChangedListedAndRemoved) {
  user("alice");
  const auto tag = [](const char* key, const char* value) { return Json{{"Key", key}, {"Value", value}}; };
  done("TagUser", {{"UserName", "alice"}, {"Tags", Json::array({tag("team", "red"), tag("tier", "1")})}});
  done("TagUser", {{"UserName", "alice"}, {"Tags", Json::array({tag("team", "blue")})}});
  const Json tags = done("ListUserTags", {{"UserName", "alice"}})["Tags"];
  EXPECT_EQ(tags, Json::array({tag("team", "blue"), tag("tier", "1")}));
  done("UntagUser", {{"UserName", "alice"}, {"TagKeys", {"team", "unknown"}}});
  EXPECT_EQ(done("ListUserTags", {{"UserName", "alice"}})["Tags"].size(), 1U);
  EXPECT_EQ(refused("TagUser", {{"UserName", "alice"}, {"Tags", Json::array({tag("", "x")})}}),
            "InvalidInput");
  EXPECT_EQ(refused("TagUser", {{"UserName", "alice"}}), "ValidationError");
  EXPECT_EQ(
      refused("TagUser", {{"UserName", "alice"}, {"Tags", Json::array({tag("a", "1"), tag("a", "2")})}}),
      "ValidationError");
  Json many = Json::array();
  for (int i = 0; i < 50; ++i) many.push_back(tag(("k" + std::to_string(i)).c_str(), "v"));
  EXPECT_EQ(refused("TagUser", {{"UserName", "alice"}, {"Tags", many}}), "LimitExceeded");
}

TEST_F(UsersTest, EverythingIsThereAfterReopening) {
  const Invocation alice = user("alice", "kms:ListKeys");
  const Json before = done("GetUser", {{"UserName", "alice"}});
  open();
  EXPECT_EQ(done("GetUser", {{"UserName", "alice"}}), before);
  EXPECT_TRUE(service_->list_keys(alice, {}));
}

}  // namespace kmsfs::kms::test
