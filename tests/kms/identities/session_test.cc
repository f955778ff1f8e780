#include "kms/session_token.h"
#include "tests/kms/identities/door_fixture.h"

namespace kmsfs::kms::test {

using namespace std::chrono_literals;

class SessionTest : public DoorTest {
 protected:
  static constexpr const char* kRole = "arn:aws:iam::111122223333:role/reader";
  static constexpr const char* kAccountRoot = "arn:aws:iam::111122223333:root";

  void SetUp() override {
    DoorTest::SetUp();
    alice_ = user("alice");
    make_role(trust_policy(alice_.principal));
  }
  void make_role(const std::string& trust, const char* allowed = "kms:ListKeys") {
    done("CreateRole", {{"RoleName", "reader"}, {"AssumeRolePolicyDocument", trust}});
    done("PutRolePolicy", {{"RoleName", "reader"},
                           {"PolicyName", "allowed"},
                           {"PolicyDocument", identity_policy("Allow", allowed)}});
  }
  void drop_role() {
    done("DeleteRolePolicy", {{"RoleName", "reader"}, {"PolicyName", "allowed"}});
    done("DeleteRole", {{"RoleName", "reader"}});
  }
  void trust(const std::string& document) {
    done("UpdateAssumeRolePolicy",
         {{"AccountId", kFirst}, {"RoleName", "reader"}, {"PolicyDocument", document}});
  }
  Result<Session> assume(const Invocation& who, AssumeRoleRequest request = {}) {
    if (request.role_arn.empty()) request.role_arn = kRole;
    if (request.session_name.empty()) request.session_name = "work";
    return assume_role(engine(), who, request);
  }
  Session session(AssumeRoleRequest request = {}) {
    auto made = assume(alice_, std::move(request));
    EXPECT_TRUE(made) << text_of(made);
    return std::move(*made);
  }
  std::string refusal(const Invocation& who, AssumeRoleRequest request = {}) {
    auto made = assume(who, std::move(request));
    EXPECT_FALSE(made);
    return made ? "" : code_of(made.error());
  }
  Result<Credential> open_token(const Session& session) {
    return find_credential(engine(), session.facts->access_key_id, session.token);
  }
  Invocation alice_;
};

TEST_F(SessionTest, ASessionLooksAsAwsGivesItOut) {
  const Session made = session({.duration_seconds = 900});
  EXPECT_TRUE(made.facts->access_key_id.starts_with("ASIA"));
  EXPECT_EQ(made.facts->access_key_id.size(), 20U);
  EXPECT_EQ(made.facts->arn(), "arn:aws:sts::111122223333:assumed-role/reader/work");
  EXPECT_TRUE(made.assumed_role_id.starts_with("AROA") && made.assumed_role_id.ends_with(":work"));
  EXPECT_EQ(made.facts->expires_ms - made.facts->issued_ms, 900'000);
  EXPECT_LE(made.token.size(), 1024U);
}

TEST_F(SessionTest, ATokenBringsBackEverythingAndNothingIsStored) {
  const Session made = session({.policy = identity_policy("Allow", "kms:*")});
  open();
  auto found = open_token(made);
  ASSERT_TRUE(found) << text_of(found);
  EXPECT_EQ(text_in(found->secret), text_in(made.secret));
  EXPECT_EQ(found->principal, made.facts->arn());
  EXPECT_EQ(found->session->role_unique_id, made.facts->role_unique_id);
  EXPECT_EQ(found->session->expires_ms, made.facts->expires_ms);
  EXPECT_EQ(found->session->policy, made.facts->policy);
  EXPECT_NE(found->session->parsed_policy, nullptr);
  service_.reset();
  EXPECT_EQ(read_text(store_path() + "/store.mdb").find(made.facts->access_key_id), std::string::npos);
  EXPECT_EQ(audit_log().find(made.token), std::string::npos);
  EXPECT_EQ(audit_log().find(text_in(made.secret)), std::string::npos);
}

TEST_F(SessionTest, ASessionMayWhatItsRoleMayAndNoMore) {
  const Session made = session();
  EXPECT_FALSE(service_->list_keys(alice_, {}));
  EXPECT_TRUE(service_->list_keys(as(made), {}));
  EXPECT_FALSE(service_->list_aliases(as(made), {}));
  auto who = get_caller_identity(engine(), as(made));
  ASSERT_TRUE(who) << text_of(who);
  EXPECT_EQ(who->arn, made.facts->arn());
  EXPECT_EQ(who->user_id, made.assumed_role_id);
  EXPECT_EQ(who->account, kFirst);
}

TEST_F(SessionTest, ASessionPolicyLimitsAndNeverAllows) {
  const Session narrow = session({.policy = identity_policy("Allow", "kms:ListAliases")});
  EXPECT_FALSE(service_->list_keys(as(narrow), {}));
  EXPECT_FALSE(service_->list_aliases(as(narrow), {}));
  const Session wide = session({.policy = identity_policy("Allow", "kms:*")});
  EXPECT_TRUE(service_->list_keys(as(wide), {}));
  EXPECT_FALSE(service_->list_aliases(as(wide), {}));
}

TEST_F(SessionTest, TheBoundaryOfTheRoleBindsItsSessions) {
  const Session made = session();
  done("PutRolePermissionsBoundary",
       {{"RoleName", "reader"}, {"PermissionsBoundary", identity_policy("Allow", "kms:ListAliases")}});
  EXPECT_FALSE(service_->list_keys(as(made), {}));
}

TEST_F(SessionTest, TrustInTheAccountLeavesItToIdentityPolicies) {
  trust(trust_policy(kAccountRoot));
  EXPECT_EQ(refusal(alice_), "AccessDenied");
  done("PutUserPolicy", {{"UserName", "alice"},
                         {"PolicyName", "assume"},
                         {"PolicyDocument", identity_policy("Allow", "sts:AssumeRole")}});
  session();
}

TEST_F(SessionTest, AnotherAccountNeedsTrustAndItsOwnPolicy) {
  done("CreateAccount", {{"AccountId", kSecond}});
  const Invocation bob = user("bob", "", kSecond);
  EXPECT_EQ(refusal(bob), "AccessDenied");
  trust(trust_policy(bob.principal));
  EXPECT_EQ(refusal(bob), "AccessDenied");
  done("PutUserPolicy", {{"AccountId", kSecond},
                         {"UserName", "bob"},
                         {"PolicyName", "assume"},
                         {"PolicyDocument", identity_policy("Allow", "sts:AssumeRole")}});
  auto made = assume(bob);
  ASSERT_TRUE(made) << text_of(made);
  EXPECT_TRUE(service_->list_keys(as(*made), {}));
  trust(trust_policy(alice_.principal));
  EXPECT_EQ(refusal(bob), "AccessDenied");
}

TEST_F(SessionTest, ARefusalNeverTellsWhetherTheRoleExists) {
  const Invocation mallory = user("mallory");
  auto there = assume(mallory);
  auto not_there = assume(mallory, {.role_arn = "arn:aws:iam::111122223333:role/nothing"});
  ASSERT_FALSE(there);
  ASSERT_FALSE(not_there);
  EXPECT_EQ(code_of(not_there.error()), "AccessDenied");
  EXPECT_EQ(there.error().text,
            "User: arn:aws:iam::111122223333:user/mallory is not authorized to perform: "
            "sts:AssumeRole on resource: arn:aws:iam::111122223333:role/reader");
  EXPECT_EQ(refusal(alice_, {.role_arn = alice_.principal}), "AccessDenied");
  EXPECT_EQ(refusal(alice_, {.role_arn = "nonsense"}), "AccessDenied");
  EXPECT_EQ(refusal(alice_, {.role_arn = std::string(4000, 'a')}), "AccessDenied");
}

TEST_F(SessionTest, ARootNeverAssumesARole) {
  trust(trust_policy("*"));
  EXPECT_EQ(refusal(as(kAccountRoot)), "AccessDenied");
}

TEST_F(SessionTest, ConditionsOfATrustPolicyHold) {
  trust(trust_policy(alice_.principal, R"({"StringEquals":{"sts:ExternalId":"s3cret"}})"));
  EXPECT_EQ(refusal(alice_), "AccessDenied");
  EXPECT_EQ(refusal(alice_, {.external_id = "wrong"}), "AccessDenied");
  session({.external_id = "s3cret"});
  trust(trust_policy(alice_.principal, R"({"StringLike":{"sts:RoleSessionName":"${aws:username}-*"}})"));
  EXPECT_EQ(refusal(alice_), "AccessDenied");
  session({.session_name = "alice-1"});
}

TEST_F(SessionTest, AUserMadeAnewIsNotTheOneThatTheRoleTrusts) {
  done("DeleteUser", {{"UserName", "alice"}});
  EXPECT_EQ(refusal(user("alice")), "AccessDenied");
}

TEST_F(SessionTest, ASessionEndsAtItsTime) {
  const Session made = session({.duration_seconds = 900});
  clock_.advance(899s);
  EXPECT_TRUE(open_token(made));
  EXPECT_TRUE(service_->list_keys(as(made), {}));
  clock_.advance(2s);
  auto late = open_token(made);
  ASSERT_FALSE(late);
  EXPECT_EQ(late.error().kind, Kind::kDenied);
  EXPECT_EQ(code_of(late.error()), "ExpiredTokenException");
  // Also where it was opened in time.
  EXPECT_EQ(code_of(service_->list_keys(as(made), {}).error()), "ExpiredTokenException");
}

TEST_F(SessionTest, ASessionEndsWithItsRoleAndARoleMadeAnewDoesNotReviveIt) {
  const Session made = session();
  drop_role();
  EXPECT_EQ(code_of(open_token(made).error()), "UnrecognizedClientException");
  EXPECT_FALSE(service_->list_keys(as(made), {}));
  make_role(trust_policy(alice_.principal));
  EXPECT_EQ(code_of(open_token(made).error()), "UnrecognizedClientException");
  EXPECT_FALSE(service_->list_keys(as(made), {}));
  EXPECT_TRUE(open_token(session()));
}

TEST_F(SessionTest, EveryTokenThatIsNotOursGetsOneAnswer) {
  const Session made = session(), other = session();
  std::vector<std::string> tokens = {"",
                                     "x",
                                     "AAAA",
                                     std::string(100, 'A'),
                                     std::string(100'000, 'A'),
                                     made.token + "A",
                                     made.token.substr(4),
                                     other.token,
                                     "\xff\xfe"};
  for (std::size_t cut = 0; cut < made.token.size(); cut += 4) tokens.push_back(made.token.substr(0, cut));
  for (std::size_t at = 0; at < made.token.size() - 2; at += 3) {
    tokens.push_back(made.token);
    tokens.back()[at] = tokens.back()[at] == 'A' ? 'B' : 'A';
  }
  for (const std::string& token : tokens) {
    auto found = find_credential(engine(), made.facts->access_key_id, token);
    ASSERT_FALSE(found) << token;
    EXPECT_EQ(found.error().kind, Kind::kDenied);
    EXPECT_EQ(code_of(found.error()), "UnrecognizedClientException");
    EXPECT_EQ(found.error().text, "The security token included in the request is invalid.");
  }
  EXPECT_FALSE(find_credential(engine(), "ASIAAAAAAAAAAAAAAAAA", made.token));
}

TEST_F(SessionTest, ATokenOfAnotherStoreOpensNothing) {
  const Session made = session();
  TemporaryDirectory other;
  ASSERT_TRUE(Service::create_store(other / "kms", {key_file_seal(), "local-1"}, {}));
  auto service = Service::open(other / "kms", {}, clock_, make_null_logger());
  ASSERT_TRUE(service);
  auto found = find_credential((*service)->administration().engine(), made.facts->access_key_id, made.token);
  ASSERT_FALSE(found);
  EXPECT_EQ(code_of(found.error()), "UnrecognizedClientException");
}

TEST_F(SessionTest, DurationsAreLimitedByAwsByTheRoleAndByChaining) {
  EXPECT_EQ(refusal(alice_, {.duration_seconds = 899}), "ValidationError");
  EXPECT_EQ(refusal(alice_, {.duration_seconds = 43201}), "ValidationError");
  EXPECT_EQ(refusal(alice_, {.duration_seconds = 3601}), "ValidationError");
  done("UpdateRole", {{"RoleName", "reader"}, {"MaxSessionDuration", 43200}});
  session({.duration_seconds = 43200});
  trust(trust_policy("*"));
  const Session first = session();
  EXPECT_EQ(refusal(as(first), {.duration_seconds = 3601}), "ValidationError");
  EXPECT_TRUE(assume(as(first), {.duration_seconds = 3600}));
}

TEST_F(SessionTest, NamesAndSessionPoliciesAreChecked) {
  for (const std::string name : {"a", "a b", "a/b", "ä-ä"}) {
    EXPECT_EQ(refusal(alice_, {.session_name = name}), "ValidationError") << name;
  }
  EXPECT_EQ(refusal(alice_, {.session_name = std::string(65, 'a')}), "ValidationError");
  EXPECT_EQ(refusal(alice_, {.policy = "nonsense"}), "MalformedPolicyDocument");
  EXPECT_EQ(refusal(alice_, {.policy = std::string(2049, ' ')}), "PackedPolicyTooLarge");
  std::string largest = identity_policy("Allow", "kms:*");
  largest.resize(2048, ' ');
  const Session made = session({.session_name = std::string(64, 'a'), .policy = largest});
  EXPECT_TRUE(open_token(made));
  EXPECT_LT(made.token.size(), 4096U);
}

TEST_F(SessionTest, SessionsAndRefusalsAreInTheAuditLog) {
  session();
  refusal(user("mallory"));
  const std::string log = audit_log();
  EXPECT_NE(log.find(R"("eventSource":"sts.amazonaws.com")"), std::string::npos);
  EXPECT_NE(log.find(R"("eventName":"AssumeRole")"), std::string::npos);
  EXPECT_NE(log.find(R"("roleSessionName":"work")"), std::string::npos);
  EXPECT_NE(log.find(R"("errorCode":"AccessDenied")"), std::string::npos);
}

TEST_F(SessionTest, WhatASessionDoesIsTiedToItsRoleInTheAuditLog) {
  const Session made = session();
  ASSERT_TRUE(service_->list_keys(as(made), {}));
  const std::string log = audit_log();
  const std::string line = log.substr(log.rfind('\n', log.size() - 2) + 1);
  const auto record = Json::parse(line);
  const auto& identity = record["userIdentity"];
  EXPECT_EQ(identity["type"], "AssumedRole");
  EXPECT_EQ(identity["principalId"], made.assumed_role_id);
  EXPECT_EQ(identity["arn"], made.facts->arn());
  EXPECT_EQ(identity["sessionContext"]["sessionIssuer"]["arn"], kRole);
  EXPECT_EQ(identity["sessionContext"]["sessionIssuer"]["userName"], "reader");
  EXPECT_TRUE(identity["sessionContext"]["attributes"].contains("creationDate"));
}

TEST_F(SessionTest, UsersAndRootsLearnWhoTheyAre) {
  auto user = get_caller_identity(engine(), alice_);
  ASSERT_TRUE(user);
  EXPECT_EQ(user->arn, alice_.principal);
  EXPECT_TRUE(user->user_id.starts_with("AIDA"));
  auto root = get_caller_identity(engine(), as(kAccountRoot));
  ASSERT_TRUE(root);
  EXPECT_EQ(root->user_id, kFirst);
  EXPECT_EQ(code_of(get_caller_identity(engine(), as("arn:aws:iam::999999999999:root")).error()),
            "UnrecognizedClientException");
}

}  // namespace kmsfs::kms::test
