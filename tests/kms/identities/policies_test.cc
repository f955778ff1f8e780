#include "tests/kms/identities/door_fixture.h"

namespace kmsfs::kms::test {

// The same for users, groups and roles: asked of each.
class PoliciesTest : public DoorTest, public ::testing::WithParamInterface<const char*> {
 protected:
  void SetUp() override {
    DoorTest::SetUp();
    user("boss");
    Json request{{member(), "one"}};
    if (title() == "Role") {
      request["AssumeRolePolicyDocument"] = trust_policy("arn:aws:iam::111122223333:user/boss");
    }
    done("Create" + title(), request);
  }
  std::string title() const { return GetParam(); }
  std::string member() const { return title() + "Name"; }
  std::string operation(const std::string& verb, const std::string& noun = "Policy") const {
    return verb + title() + noun;
  }
  Json named(const std::string& policy) const { return {{member(), "one"}, {"PolicyName", policy}}; }
  Json with_document(const std::string& policy, const std::string& document) const {
    Json request = named(policy);
    request["PolicyDocument"] = document;
    return request;
  }
};

TEST_P(PoliciesTest, APolicyIsPutReplacedShownListedAndDeleted) {
  done(operation("Put"), with_document("p1", identity_policy("Allow", "kms:Encrypt")));
  done(operation("Put"), with_document("p1", identity_policy("Allow", "kms:Decrypt")));
  done(operation("Put"), with_document("p0", identity_policy("Deny", "kms:Encrypt")));
  const Json shown = done(operation("Get"), named("p1"));
  EXPECT_EQ(shown[member()], "one");
  EXPECT_EQ(shown["PolicyName"], "p1");
  EXPECT_EQ(shown["PolicyDocument"]["Statement"][0]["Action"], "kms:Decrypt");
  const Json listed = done("List" + title() + "Policies", {{member(), "one"}});
  EXPECT_EQ(listed["PolicyNames"], Json::array({"p0", "p1"}));
  done(operation("Delete"), named("p1"));
  EXPECT_EQ(refused(operation("Get"), named("p1")), "NoSuchEntity");
  EXPECT_EQ(refused(operation("Delete"), named("p1")), "NoSuchEntity");
}

TEST_P(PoliciesTest, ADocumentMayBeJsonInsteadOfText) {
  Json request = named("p");
  request["PolicyDocument"] = Json::parse(identity_policy("Allow", "kms:Encrypt"));
  done(operation("Put"), request);
  EXPECT_EQ(done(operation("Get"), named("p"))["PolicyDocument"], request["PolicyDocument"]);
}

TEST_P(PoliciesTest, AMalformedDocumentChangesNothing) {
  const std::string bad[] = {
      "",
      "{",
      "my policy",
      "[]",
      "{}",
      R"({"Version":"2012-10-17","Statement":[]})",
      R"({"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"kms:*"}]})",
      R"({"Version":"2012-10-17","Statement":[{"Effect":"allow","Action":"kms:*","Resource":"*"}]})",
      R"({"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":"*","Action":"kms:*","Resource":"*"}]})",
      R"({"Version":"2012-10-17","Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"kms:*","Resource":"*"}]})",
      R"({"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"kms:*","Resource":"*","Condition":{"StringMatches":{"aws:username":"x"}}}]})",
  };
  for (const std::string& document : bad) {
    const std::string code = refused(operation("Put"), with_document("p", document));
    EXPECT_EQ(code, document.empty() ? "ValidationError" : "MalformedPolicyDocument") << document;
  }
  EXPECT_TRUE(done("List" + title() + "Policies", {{member(), "one"}})["PolicyNames"].empty());
}

TEST_P(PoliciesTest, AllPoliciesOfOneTogetherAreLimitedAndWhiteSpaceIsFree) {
  const std::string filler(title() == "User" ? 1800 : title() == "Group" ? 4800 : 9800, 'x');
  done(operation("Put"),
       with_document("p1", identity_policy("Allow", "kms:" + filler) + std::string(3000, ' ')));
  EXPECT_EQ(refused(operation("Put"), with_document("p2", identity_policy("Allow", "kms:" + filler))),
            "LimitExceeded");
  done(operation("Put"), with_document("p1", identity_policy("Allow", "kms:Encrypt")));
  done(operation("Put"), with_document("p2", identity_policy("Allow", "kms:" + filler)));
}

TEST_P(PoliciesTest, NamesOfPoliciesAndTheirOwnersAreChecked) {
  EXPECT_EQ(refused(operation("Put"), with_document("a/b", identity_policy("Allow", "kms:*"))),
            "ValidationError");
  EXPECT_EQ(
      refused(operation("Put"), with_document(std::string(129, 'p'), identity_policy("Allow", "kms:*"))),
      "ValidationError");
  Json of_nobody = with_document("p", identity_policy("Allow", "kms:*"));
  of_nobody[member()] = "nobody";
  EXPECT_EQ(refused(operation("Put"), of_nobody), "NoSuchEntity");
}

TEST_P(PoliciesTest, ABoundaryIsPutShownAndDeleted) {
  if (title() == "Group") {
    EXPECT_EQ(refused("PutGroupPermissionsBoundary", {{"GroupName", "one"}}), "InvalidAction");
    return;
  }
  const Json boundary{{member(), "one"}, {"PermissionsBoundary", identity_policy("Allow", "kms:List*")}};
  done(operation("Put", "PermissionsBoundary"), boundary);
  EXPECT_EQ(
      done("Get" + title(), {{member(), "one"}})[title()]["PermissionsBoundary"]["Statement"][0]["Action"],
      "kms:List*");
  EXPECT_EQ(refused(operation("Put", "PermissionsBoundary"),
                    {{member(), "one"}, {"PermissionsBoundary", "arn:aws:iam::aws:policy/ReadOnlyAccess"}}),
            "MalformedPolicyDocument");
  done(operation("Delete", "PermissionsBoundary"), {{member(), "one"}});
  EXPECT_EQ(refused(operation("Delete", "PermissionsBoundary"), {{member(), "one"}}), "NoSuchEntity");
}

INSTANTIATE_TEST_SUITE_P(OfEachKind, PoliciesTest, ::testing::Values("User", "Group", "Role"),
                         [](const auto& of) { return std::string(of.param); });

class BoundariesTest : public DoorTest {};

TEST_F(BoundariesTest, ABoundaryLimitsAndNeverAllows) {
  const Invocation alice = user("alice", "kms:*");
  ASSERT_TRUE(service_->list_keys(alice, {}));
  const auto boundary = [&](const std::string& action) {
    done("PutUserPermissionsBoundary",
         {{"UserName", "alice"}, {"PermissionsBoundary", identity_policy("Allow", action)}});
  };
  boundary("kms:ListAliases");
  EXPECT_FALSE(service_->list_keys(alice, {}));
  EXPECT_TRUE(service_->list_aliases(alice, {}));
  boundary("kms:*");
  EXPECT_TRUE(service_->list_keys(alice, {}));
  done("DeleteUserPolicy", {{"UserName", "alice"}, {"PolicyName", "allowed"}});
  EXPECT_FALSE(service_->list_keys(alice, {}));
}

TEST_F(BoundariesTest, AUserCanBeMadeWithOne) {
  done("CreateUser",
       {{"UserName", "alice"}, {"PermissionsBoundary", identity_policy("Allow", "kms:ListAliases")}});
  done("PutUserPolicy",
       {{"UserName", "alice"}, {"PolicyName", "all"}, {"PolicyDocument", identity_policy("Allow", "kms:*")}});
  const Invocation alice = as("arn:aws:iam::111122223333:user/alice");
  EXPECT_FALSE(service_->list_keys(alice, {}));
  EXPECT_TRUE(service_->list_aliases(alice, {}));
}

TEST_F(BoundariesTest, PrincipalTagsOpenWhatPoliciesTieToThem) {
  const Invocation alice = user("alice");
  done("PutUserPolicy",
       {{"UserName", "alice"},
        {"PolicyName", "tagged"},
        {"PolicyDocument",
         R"({"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"kms:*","Resource":"*",
            "Condition":{"StringEquals":{"aws:PrincipalTag/team":"red"}}}]})"}});
  EXPECT_FALSE(service_->list_keys(alice, {}));
  done("TagUser", {{"UserName", "alice"}, {"Tags", Json::array({{{"Key", "team"}, {"Value", "red"}}})}});
  EXPECT_TRUE(service_->list_keys(alice, {}));
  done("UntagUser", {{"UserName", "alice"}, {"TagKeys", {"team"}}});
  EXPECT_FALSE(service_->list_keys(alice, {}));
}

}  // namespace kmsfs::kms::test
