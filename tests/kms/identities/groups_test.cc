#include "tests/kms/identities/door_fixture.h"

namespace kmsfs::kms::test {

class GroupsTest : public DoorTest {
 protected:
  void SetUp() override {
    DoorTest::SetUp();
    done("CreateGroup", {{"GroupName", "staff"}});
    alice_ = user("alice");
  }
  Json membership() const { return {{"UserName", "alice"}, {"GroupName", "staff"}}; }
  void group_policy(const std::string& effect, const std::string& action) {
    done("PutGroupPolicy", {{"GroupName", "staff"},
                            {"PolicyName", effect},
                            {"PolicyDocument", identity_policy(effect, action)}});
  }
  bool may_list() { return service_->list_keys(alice_, {}).ok(); }
  Invocation alice_;
};

TEST_F(GroupsTest, AGroupLooksAsAwsPrintsIt) {
  done("AddUserToGroup", membership());
  const Json group = done("GetGroup", {{"GroupName", "staff"}});
  EXPECT_EQ(group["Group"]["Arn"], "arn:aws:iam::111122223333:group/staff");
  EXPECT_TRUE(group["Group"]["GroupId"].get<std::string>().starts_with("AGPA"));
  ASSERT_EQ(group["Users"].size(), 1U);
  EXPECT_EQ(group["Users"][0]["UserName"], "alice");
  EXPECT_EQ(group["IsTruncated"], false);
  EXPECT_EQ(done("ListGroupsForUser", {{"UserName", "alice"}})["Groups"][0]["GroupName"], "staff");
}

TEST_F(GroupsTest, AMemberMayWhatTheGroupMayFromTheNextCallOn) {
  group_policy("Allow", "kms:ListKeys");
  EXPECT_FALSE(may_list());
  done("AddUserToGroup", membership());
  EXPECT_TRUE(may_list());
  done("DeleteGroupPolicy", {{"GroupName", "staff"}, {"PolicyName", "Allow"}});
  EXPECT_FALSE(may_list());
  group_policy("Allow", "kms:ListKeys");
  EXPECT_TRUE(may_list());
  done("RemoveUserFromGroup", membership());
  EXPECT_FALSE(may_list());
}

TEST_F(GroupsTest, AGroupsDenyWinsOverTheUsersOwnAllow) {
  done("PutUserPolicy",
       {{"UserName", "alice"}, {"PolicyName", "all"}, {"PolicyDocument", identity_policy("Allow", "kms:*")}});
  EXPECT_TRUE(may_list());
  group_policy("Deny", "kms:ListKeys");
  done("AddUserToGroup", membership());
  EXPECT_FALSE(may_list());
}

TEST_F(GroupsTest, AGroupWithMembersOrPoliciesIsNotDeleted) {
  done("AddUserToGroup", membership());
  EXPECT_EQ(refused("DeleteGroup", {{"GroupName", "staff"}}), "DeleteConflict");
  done("RemoveUserFromGroup", membership());
  group_policy("Allow", "kms:ListKeys");
  EXPECT_EQ(refused("DeleteGroup", {{"GroupName", "staff"}}), "DeleteConflict");
  done("DeleteGroupPolicy", {{"GroupName", "staff"}, {"PolicyName", "Allow"}});
  done("DeleteGroup", {{"GroupName", "staff"}});
  EXPECT_EQ(refused("GetGroup", {{"GroupName", "staff"}}), "NoSuchEntity");
}

TEST_F(GroupsTest, MembershipIsBetweenThoseWhoExistAndOnce) {
  EXPECT_EQ(refused("AddUserToGroup", {{"UserName", "bob"}, {"GroupName", "staff"}}), "NoSuchEntity");
  EXPECT_EQ(refused("AddUserToGroup", {{"UserName", "alice"}, {"GroupName", "none"}}), "NoSuchEntity");
  EXPECT_EQ(refused("RemoveUserFromGroup", membership()), "NoSuchEntity");
  done("AddUserToGroup", membership());
  done("AddUserToGroup", membership());
  EXPECT_EQ(done("GetGroup", {{"GroupName", "staff"}})["Users"].size(), 1U);
}

TEST_F(GroupsTest, AUserIsInTenGroupsAtMost) {
  for (int i = 0; i < 11; ++i) {
    const std::string name = "g" + std::to_string(i);
    done("CreateGroup", {{"GroupName", name}});
    const Json joined{{"UserName", "alice"}, {"GroupName", name}};
    if (i < 10)
      done("AddUserToGroup", joined);
    else
      EXPECT_EQ(refused("AddUserToGroup", joined), "LimitExceeded");
  }
}

TEST_F(GroupsTest, AGroupIsNeverACaller) {
  auto listed = service_->list_keys(as("arn:aws:iam::111122223333:group/staff"), {});
  ASSERT_FALSE(listed);
  EXPECT_EQ(code_of(listed.error()), "UnrecognizedClientException");
}

TEST_F(GroupsTest, AUserOfAnotherAccountNeverJoins) {
  done("CreateAccount", {{"AccountId", kSecond}});
  user("bob", "", kSecond);
  EXPECT_EQ(refused("AddUserToGroup", {{"AccountId", kFirst}, {"UserName", "bob"}, {"GroupName", "staff"}}),
            "NoSuchEntity");
}

TEST_F(GroupsTest, MembersArePaged) {
  for (int i = 0; i < 5; ++i) {
    user("m" + std::to_string(i));
    done("AddUserToGroup", {{"UserName", "m" + std::to_string(i)}, {"GroupName", "staff"}});
  }
  const Json first = done("GetGroup", {{"GroupName", "staff"}, {"MaxItems", 3}});
  ASSERT_EQ(first["Users"].size(), 3U);
  ASSERT_EQ(first["IsTruncated"], true);
  const Json rest = done("GetGroup", {{"GroupName", "staff"}, {"Marker", first["Marker"]}});
  ASSERT_EQ(rest["Users"].size(), 2U);
  EXPECT_EQ(rest["Users"][1]["UserName"], "m4");
}

}  // namespace kmsfs::kms::test
