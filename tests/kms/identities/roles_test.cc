#include "tests/kms/identities/door_fixture.h"

namespace kmsfs::kms::test {

class RolesTest : public DoorTest {
 protected:
  static constexpr const char* kAlice = "arn:aws:iam::111122223333:user/alice";
  Json role(const std::string& name, const std::string& trust) {
    return {{"RoleName", name}, {"AssumeRolePolicyDocument", trust}};
  }
};

TEST_F(RolesTest, ARoleLooksAsAwsPrintsIt) {
  user("alice");
  Json wish = role("reader", trust_policy(kAlice));
  wish["Description"] = "reads";
  wish["MaxSessionDuration"] = 7200;
  const Json made = done("CreateRole", wish)["Role"];
  EXPECT_EQ(made["Arn"], "arn:aws:iam::111122223333:role/reader");
  EXPECT_TRUE(made["RoleId"].get<std::string>().starts_with("AROA"));
  EXPECT_EQ(made["AssumeRolePolicyDocument"]["Statement"][0]["Principal"]["AWS"], kAlice);
  EXPECT_EQ(made["MaxSessionDuration"], 7200);
  EXPECT_EQ(done("GetRole", {{"RoleName", "reader"}})["Role"], made);
  EXPECT_EQ(done("ListRoles")["Roles"][0]["RoleName"], "reader");
  done("UpdateRole", {{"RoleName", "reader"}, {"MaxSessionDuration", 43200}});
  const Json updated = done("GetRole", {{"RoleName", "reader"}})["Role"];
  EXPECT_EQ(updated["MaxSessionDuration"], 43200);
  EXPECT_EQ(updated["Description"], "reads");
}

TEST_F(RolesTest, ATrustPolicyNamesThoseWhoExist) {
  EXPECT_EQ(refused("CreateRole", role("reader", trust_policy(kAlice))), "MalformedPolicyDocument");
  user("alice");
  done("CreateRole", role("reader", trust_policy(kAlice)));
  EXPECT_EQ(refused("UpdateAssumeRolePolicy",
                    {{"RoleName", "reader"},
                     {"PolicyDocument", trust_policy("arn:aws:iam::111122223333:user/nobody")}}),
            "MalformedPolicyDocument");
  EXPECT_EQ(
      done("GetRole",
           {{"RoleName", "reader"}})["Role"]["AssumeRolePolicyDocument"]["Statement"][0]["Principal"]["AWS"],
      kAlice);
}

TEST_F(RolesTest, ATrustPolicyIsNoIdentityPolicyAndIsSmall) {
  EXPECT_EQ(refused("CreateRole", role("reader", identity_policy("Allow", "sts:AssumeRole"))),
            "MalformedPolicyDocument");
  EXPECT_EQ(refused("CreateRole", {{"RoleName", "reader"}}), "ValidationError");
  EXPECT_EQ(refused("CreateRole", role("reader", "nonsense")), "MalformedPolicyDocument");
  EXPECT_EQ(refused("CreateRole", role("reader", trust_policy("*") + std::string(3000, ' '))),
            "LimitExceeded");
}

TEST_F(RolesTest, SessionLimitsAreThoseOfAws) {
  for (const int seconds : {0, 3599, 43201}) {
    Json wish = role("reader", trust_policy("*"));
    wish["MaxSessionDuration"] = seconds;
    EXPECT_EQ(refused("CreateRole", wish), "ValidationError") << seconds;
  }
}

TEST_F(RolesTest, ARoleItselfIsNeverACaller) {
  user("alice");
  done("CreateRole", role("reader", trust_policy(kAlice)));
  auto listed = service_->list_keys(as("arn:aws:iam::111122223333:role/reader"), {});
  ASSERT_FALSE(listed);
  EXPECT_EQ(code_of(listed.error()), "UnrecognizedClientException");
  // Nor is the name of a session alone.
  EXPECT_FALSE(service_->list_keys(as("arn:aws:sts::111122223333:assumed-role/reader/me"), {}));
}

TEST_F(RolesTest, ARoleWithPoliciesIsNotDeleted) {
  done("CreateRole", role("reader", trust_policy("*")));
  const Json named{{"RoleName", "reader"}, {"PolicyName", "p"}};
  Json put = named;
  put["PolicyDocument"] = identity_policy("Allow", "kms:*");
  done("PutRolePolicy", put);
  EXPECT_EQ(refused("DeleteRole", {{"RoleName", "reader"}}), "DeleteConflict");
  done("DeleteRolePolicy", named);
  done("DeleteRole", {{"RoleName", "reader"}});
  EXPECT_EQ(refused("GetRole", {{"RoleName", "reader"}}), "NoSuchEntity");
}

}  // namespace kmsfs::kms::test
