#include "tests/kms/identities/door_fixture.h"

namespace kmsfs::kms::test {

class WhyTest : public DoorTest {
 protected:
  void SetUp() override {
    DoorTest::SetUp();
    alice_ = user("alice", "kms:*");
    auto key = service_->create_key(alice_, {.description = "a key", .policy = {}});
    ASSERT_TRUE(key) << text_of(key);
    key_ = key->key.arn;
  }
  Json why(const std::string& principal, const std::string& action, Json more = Json::object()) {
    more["Principal"] = principal;
    more["Action"] = action;
    if (!more.contains("Key") && !more.contains("Resource")) more["Key"] = key_;
    return done("Why", more);
  }
  static const Json* statement(const Json& reply, const std::string& policy) {
    for (const Json& one : reply["Statements"]) {
      if (one["Policy"].get<std::string>().find(policy) != std::string::npos) return &one;
    }
    return nullptr;
  }
  Invocation alice_;
  std::string key_;
};

TEST_F(WhyTest, AnAllowIsExplainedStatementByStatement) {
  const Json reply = why("user/alice", "kms:Decrypt");
  EXPECT_EQ(reply["Decision"], "allowed") << reply.dump(2);
  EXPECT_EQ(reply["Principal"], alice_.principal);
  EXPECT_EQ(reply["Resource"], key_);
  EXPECT_EQ(reply["KeyState"], "Enabled");
  ASSERT_NE(statement(reply, "key policy"), nullptr);
  EXPECT_EQ((*statement(reply, "key policy"))["Matched"], true);
  ASSERT_NE(statement(reply, "identity policy 'allowed'"), nullptr);
}

TEST_F(WhyTest, ADenialSaysWhichSideIsMissing) {
  user("bob");
  const Json reply = why("user/bob", "Decrypt");
  EXPECT_EQ(reply["Action"], "kms:Decrypt");
  EXPECT_EQ(reply["Decision"], "implicitDeny");
  EXPECT_NE(reply["Summary"].get<std::string>().find("no identity policy of the caller allows it"),
            std::string::npos)
      << reply["Summary"];
}

TEST_F(WhyTest, RootsSessionsGroupsAndOtherAccountsAreExplainedToo) {
  EXPECT_EQ(why("root", "kms:Decrypt")["Decision"], "allowed");
  done("CreateRole", {{"RoleName", "reader"}, {"AssumeRolePolicyDocument", trust_policy("*")}});
  EXPECT_EQ(why("role/reader", "kms:Decrypt")["Decision"], "implicitDeny");
  done("PutRolePolicy", {{"RoleName", "reader"},
                         {"PolicyName", "use"},
                         {"PolicyDocument", identity_policy("Allow", "kms:Decrypt")}});
  EXPECT_EQ(why("role/reader", "kms:Decrypt")["Decision"], "allowed");
  const Json named = why("arn:aws:sts::111122223333:assumed-role/reader/me", "kms:Decrypt");
  EXPECT_EQ(named["Principal"], "arn:aws:sts::111122223333:assumed-role/reader/me");
  const Json limited =
      why("role/reader", "kms:Decrypt", {{"SessionPolicy", identity_policy("Allow", "kms:Encrypt")}});
  EXPECT_EQ(limited["Decision"], "implicitDeny");
  EXPECT_NE(statement(limited, "session policy"), nullptr);

  done("CreateAccount", {{"AccountId", kSecond}});
  const Invocation carol = user("carol", "kms:*", kSecond);
  const Json foreign = why(carol.principal, "kms:Decrypt");
  EXPECT_EQ(foreign["Decision"], "implicitDeny");

  done("CreateGroup", {{"AccountId", kFirst}, {"GroupName", "staff"}});
  done("PutGroupPolicy", {{"AccountId", kFirst},
                          {"GroupName", "staff"},
                          {"PolicyName", "stop"},
                          {"PolicyDocument", identity_policy("Deny", "kms:Decrypt")}});
  done("AddUserToGroup", {{"AccountId", kFirst}, {"GroupName", "staff"}, {"UserName", "alice"}});
  const Json stopped = why(alice_.principal, "kms:Decrypt");
  EXPECT_EQ(stopped["Decision"], "explicitDeny");
  EXPECT_NE(stopped["Summary"].get<std::string>().find("'stop' of group 'staff'"), std::string::npos)
      << stopped["Summary"];
}

TEST_F(WhyTest, TheContextIsWhatConditionsSee) {
  user("bob");
  done("PutUserPolicy",
       {{"UserName", "bob"},
        {"PolicyName", "cond"},
        {"PolicyDocument",
         R"({"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"kms:Decrypt","Resource":"*",
            "Condition":{"StringEquals":{"kms:EncryptionContext:app":"a"},
                         "IpAddress":{"aws:SourceIp":"10.0.0.0/8"}}}]})"}});
  EXPECT_EQ(why("user/bob", "Decrypt")["Decision"], "implicitDeny");
  const Json ip{{"aws:SourceIp", "10.1.2.3"}};
  EXPECT_EQ(why("user/bob", "Decrypt", {{"Context", ip}})["Decision"], "implicitDeny");
  EXPECT_EQ(why("user/bob", "Decrypt", {{"Context", ip}, {"EncryptionContext", {{"app", "a"}}}})["Decision"],
            "allowed");
  EXPECT_EQ(
      why("user/bob", "Decrypt",
          {{"Context", {{"AWS:sourceip", "10.1.2.3"}, {"kms:EncryptionContext:app", "a"}}}})["Decision"],
      "allowed");
  EXPECT_EQ(
      why("user/bob", "Decrypt",
          {{"Context", {{"aws:SourceIp", "11.0.0.1"}, {"kms:EncryptionContext:app", "a"}}}})["Decision"],
      "implicitDeny");
}

TEST_F(WhyTest, KeysAreNamedByIdArnOrAlias) {
  ASSERT_TRUE(service_->create_alias(alice_, {.alias_name = "alias/mine", .target_key_id = key_}));
  EXPECT_EQ(why("user/alice", "Decrypt", {{"Key", "alias/mine"}})["Resource"], key_);
  EXPECT_EQ(why("user/alice", "Decrypt", {{"Key", key_.substr(key_.rfind('/') + 1)}})["Resource"], key_);
}

TEST_F(WhyTest, OperationsOnNoKeyAndRolesAreDecidedToo) {
  EXPECT_EQ(why("user/alice", "kms:CreateKey", {{"Resource", "*"}})["Decision"], "allowed");
  done("CreateRole", {{"RoleName", "reader"}, {"AssumeRolePolicyDocument", trust_policy(alice_.principal)}});
  const Json reply =
      why("user/alice", "sts:AssumeRole", {{"Resource", "arn:aws:iam::111122223333:role/reader"}});
  EXPECT_EQ(reply["Decision"], "allowed");
  EXPECT_NE(statement(reply, "trust policy"), nullptr);
}

TEST_F(WhyTest, AKeyThatIsDisabledIsSaidToBe) {
  ASSERT_TRUE(service_->disable_key(alice_, {.key_id = key_}));
  const Json reply = why("user/alice", "Decrypt");
  EXPECT_EQ(reply["Decision"], "allowed");
  EXPECT_EQ(reply["KeyState"], "Disabled");
  EXPECT_TRUE(reply.contains("Note"));
  EXPECT_FALSE(why("user/alice", "EnableKey").contains("Note"));
  EXPECT_TRUE(why("user/alice", "CancelKeyDeletion").contains("Note"));
}

TEST_F(WhyTest, AServiceManagedKeyIsSaidToBeOutOfReach) {
  auto managed = service_->administration().ensure_service_key(kFirst, "alias/aws/kmsfs");
  ASSERT_TRUE(managed) << text_of(managed);
  EXPECT_FALSE(why("user/alice", "kms:Decrypt", {{"Key", managed->arn}}).contains("Note"));
  EXPECT_TRUE(why("user/alice", "kms:PutKeyPolicy", {{"Key", managed->arn}}).contains("Note"));
  done("CreateAccount", {{"AccountId", kSecond}});
  const Invocation carol = user("carol", "kms:*", kSecond);
  const Json foreign = why(carol.principal, "kms:Decrypt", {{"Key", managed->arn}});
  EXPECT_EQ(foreign["Decision"], "implicitDeny");
  EXPECT_NE(foreign["Summary"].get<std::string>().find("serves its own account only"), std::string::npos);
}

TEST_F(WhyTest, WhoAndWhatMustExist) {
  const auto code = [&](const Json& request) { return refused("Why", request); };
  EXPECT_EQ(code({{"Principal", "user/nobody"}, {"Action", "kms:Decrypt"}, {"Key", key_}}), "NoSuchEntity");
  EXPECT_EQ(code({{"Principal", "role/nobody"}, {"Action", "kms:Decrypt"}, {"Key", key_}}), "NoSuchEntity");
  EXPECT_EQ(code({{"Principal", "group/staff"}, {"Action", "kms:Decrypt"}, {"Key", key_}}), "NoSuchEntity");
  EXPECT_EQ(code({{"Principal", "arn:"}, {"Action", "kms:Decrypt"}, {"Key", key_}}), "NoSuchEntity");
  EXPECT_EQ(code({{"Principal", "arn:aws:iam::1:role/"}, {"Action", "kms:Decrypt"}, {"Key", key_}}),
            "NoSuchEntity");
  EXPECT_EQ(code({{"Principal", "user/alice"}, {"Action", "kms:Decrypt"}, {"Key", "alias/none"}}),
            "NoSuchEntity");
  EXPECT_EQ(code({{"Principal", "user/alice"}, {"Action", "kms:Decrypt"}, {"Resource", "nonsense"}}),
            "ValidationError");
  EXPECT_EQ(code({{"Principal", "user/alice"}, {"Action", "ReEncrypt"}, {"Key", key_}}), "ValidationError");
}

TEST_F(WhyTest, AskingNeverChangesAnythingAndLeavesALineOfItsOwnAlone) {
  const std::string before = audit_log();
  why("user/alice", "kms:ScheduleKeyDeletion");
  ASSERT_TRUE(audit_log().starts_with(before));
  const auto line = Json::parse(audit_log().substr(before.size()));
  EXPECT_EQ(line["eventName"], "Why");
  EXPECT_EQ(line["readOnly"], true);
  EXPECT_EQ(line["userIdentity"]["type"], "StoreOwner");
  EXPECT_EQ(line["requestParameters"]["action"], "kms:ScheduleKeyDeletion");
  EXPECT_EQ(why("user/alice", "kms:Decrypt")["KeyState"], "Enabled");
}

}  // namespace kmsfs::kms::test
