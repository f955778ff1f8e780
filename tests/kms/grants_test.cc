#include <set>

#include "kms/session.h"
#include "tests/kms/kms_fixture.h"

namespace kmsfs::kms::test {
namespace {

class GrantsTest : public KmsTest {
 protected:
  void SetUp() override {
    KmsTest::SetUp();
    bob_ = new_user("bob", account_);
  }
  CreateGrantRequest to(const Invocation& grantee, std::vector<std::string> operations) const {
    CreateGrantRequest request;
    request.key_id = key_;
    request.grantee_principal = grantee.principal;
    request.operations = std::move(operations);
    return request;
  }
  CreateGrantReply grant(const CreateGrantRequest& request) {
    auto made = service_->create_grant(alice_, request);
    EXPECT_TRUE(made) << text_of(made);
    return made ? *made : CreateGrantReply{};
  }
  std::size_t grants_of(const std::string& key) {
    auto listed = service_->list_grants(alice_, {.key_id = key});
    EXPECT_TRUE(listed) << text_of(listed);
    return listed ? listed->grants.size() : 0;
  }

  Invocation bob_;
};

TEST_F(GrantsTest, AGrantOpensTheKeyForItsOperationsAndNoOthersUntilItIsRevoked) {
  const Bytes blob = encrypt("hello");
  EXPECT_EQ(code_of(decrypt_as(bob_, blob, {}, key_)), "AccessDeniedException");
  const auto made = grant(to(bob_, {"Decrypt", "DescribeKey"}));
  EXPECT_EQ(made.grant_id.size(), 64U);
  EXPECT_TRUE(decrypt_as(bob_, blob, {}, key_));
  EXPECT_TRUE(decrypt_as(bob_, blob));
  EXPECT_TRUE(service_->describe_key(bob_, {key_}));
  EXPECT_EQ(code_of(encrypt_as(bob_, key_)), "AccessDeniedException");
  EXPECT_EQ(code_of(service_->disable_key(bob_, {key_})), "AccessDeniedException");
  ASSERT_TRUE(service_->revoke_grant(alice_, {.key_id = key_, .grant_id = made.grant_id}));
  EXPECT_EQ(code_of(decrypt_as(bob_, blob, {}, key_)), "AccessDeniedException");
  EXPECT_EQ(grants_of(key_), 0U);
  EXPECT_EQ(code_of(service_->revoke_grant(alice_, {.key_id = key_, .grant_id = made.grant_id})),
            "InvalidGrantIdException");
}

TEST_F(GrantsTest, AnExplicitDenyBeatsAGrant) {
  const Bytes blob = encrypt("hello");
  grant(to(bob_, {"Decrypt"}));
  ASSERT_TRUE(decrypt_as(bob_, blob));
  put_policy(bob_, policy_of({R"({"Effect":"Deny","Action":"kms:Decrypt","Resource":"*"})"}));
  EXPECT_FALSE(decrypt_as(bob_, blob));
}

TEST_F(GrantsTest, AGrantOfAnotherKeyOrToSomebodyElseOpensNothing) {
  const Bytes blob = encrypt("hello");
  CreateGrantRequest other_key = to(bob_, {"Decrypt"});
  other_key.key_id = new_key();
  grant(other_key);
  grant(to(new_user("carol", account_), {"Decrypt"}));
  EXPECT_FALSE(decrypt_as(bob_, blob));
}

TEST_F(GrantsTest, ConstraintsAreHeldAgainstTheEncryptionContext) {
  CreateGrantRequest equals = to(bob_, {"Encrypt"});
  equals.constraints.encryption_context_equals = EncryptionContext{{"team", "a"}};
  grant(equals);
  EXPECT_TRUE(encrypt_as(bob_, key_, {{"team", "a"}}));
  EXPECT_FALSE(encrypt_as(bob_, key_, {{"team", "a"}, {"more", "x"}}));
  EXPECT_FALSE(encrypt_as(bob_, key_, {{"team", "A"}}));
  EXPECT_FALSE(encrypt_as(bob_, key_));

  const Invocation carol = new_user("carol", account_);
  CreateGrantRequest subset = to(carol, {"Encrypt"});
  subset.constraints.encryption_context_subset = EncryptionContext{{"team", "a"}};
  grant(subset);
  EXPECT_TRUE(encrypt_as(carol, key_, {{"team", "a"}, {"more", "x"}}));
  EXPECT_FALSE(encrypt_as(carol, key_, {{"more", "x"}}));

  CreateGrantRequest both = equals;
  both.constraints.encryption_context_subset = EncryptionContext{};
  EXPECT_EQ(code_of(service_->create_grant(alice_, both)), "ValidationException");
  for (int i = 0; i < 9; ++i) (*equals.constraints.encryption_context_equals)["k" + std::to_string(i)] = "v";
  EXPECT_EQ(code_of(service_->create_grant(alice_, equals)), "ValidationException");
}

TEST_F(GrantsTest, EveryCreateGrantGivesANewTokenAndANamedOneTheSameGrant) {
  CreateGrantRequest named = to(bob_, {"Decrypt", "Encrypt"});
  named.name = "for-bob";
  const auto first = grant(named);
  std::swap(named.operations[0], named.operations[1]);
  const auto again = grant(named);
  EXPECT_EQ(first.grant_id, again.grant_id);
  EXPECT_NE(first.grant_token, again.grant_token);
  EXPECT_EQ(grants_of(key_), 1U);
  // Anything else that differs makes it another grant.
  named.operations = {"Decrypt"};
  EXPECT_NE(grant(named).grant_id, first.grant_id);
  named.operations = {"Decrypt", "Encrypt"};
  named.constraints.encryption_context_subset = EncryptionContext{{"a", "b"}};
  EXPECT_NE(grant(named).grant_id, first.grant_id);
  EXPECT_NE(grant(to(bob_, {"Decrypt"})).grant_id, grant(to(bob_, {"Decrypt"})).grant_id);
  EXPECT_EQ(grants_of(key_), 5U);
}

TEST_F(GrantsTest, ATokenIsTiedToItsGrantAndWidensNothing) {
  const Bytes blob = encrypt("hello");
  const auto made = grant(to(bob_, {"Decrypt"}));
  const auto ask = [&](const Invocation& who, GrantTokens tokens) {
    return code_of(service_->decrypt(
        who, {.key_id = key_, .ciphertext = blob, .context = {}, .grant_tokens = std::move(tokens)}));
  };
  EXPECT_EQ(ask(bob_, {made.grant_token}), "ok");
  EXPECT_EQ(ask(new_user("carol", account_), {made.grant_token}), "AccessDeniedException");
  EXPECT_EQ(ask(bob_, {"bm90IGEgdG9rZW4="}), "InvalidGrantTokenException");
  EXPECT_EQ(ask(bob_, {"%%"}), "InvalidGrantTokenException");
  std::string changed = made.grant_token;
  changed[10] = changed[10] == 'A' ? 'B' : 'A';
  EXPECT_EQ(ask(bob_, {changed}), "InvalidGrantTokenException");
  EXPECT_EQ(ask(bob_, GrantTokens(11, made.grant_token)), "ValidationException");
  EXPECT_EQ(ask(bob_, GrantTokens(10, made.grant_token)), "ok");
  ASSERT_TRUE(service_->revoke_grant(alice_, {.key_id = key_, .grant_id = made.grant_id}));
  EXPECT_EQ(ask(alice_, {made.grant_token}), "InvalidGrantTokenException");
}

TEST_F(GrantsTest, TokensNeverStandInTheAuditLogAndTheGrantIdDoes) {
  const auto made = grant(to(bob_, {"Decrypt", "RetireGrant"}));
  const Bytes blob = encrypt("hello");
  ASSERT_TRUE(service_->decrypt(
      bob_, {.key_id = {}, .ciphertext = blob, .context = {}, .grant_tokens = {made.grant_token}}));
  ASSERT_TRUE(service_->retire_grant(bob_, {.grant_token = made.grant_token}));
  const std::string log = read_text(store_path() + "/audit.log");
  EXPECT_EQ(log.find(made.grant_token), std::string::npos);
  EXPECT_EQ(log.find("rantToken"), std::string::npos);
  EXPECT_NE(audit_lines().back().find(made.grant_id), std::string::npos);
  EXPECT_NE(audit_lines().back().find("RetireGrant"), std::string::npos);
}

TEST_F(GrantsTest, OnlyWhomTheGrantNamesOrWhoIssuedItRetiresIt) {
  const Invocation carol = new_user("carol", account_), dave = new_user("dave", account_);
  CreateGrantRequest request = to(bob_, {"Decrypt"});
  request.retiring_principal = carol.principal;
  const auto made = grant(request);
  const RetireGrantRequest by_id{.key_id = key_, .grant_id = made.grant_id};
  EXPECT_EQ(code_of(service_->retire_grant(dave, by_id)), "AccessDeniedException");
  EXPECT_EQ(code_of(service_->retire_grant(bob_, by_id)), "AccessDeniedException");  // lacks RetireGrant
  EXPECT_EQ(code_of(service_->revoke_grant(carol, {.key_id = key_, .grant_id = made.grant_id})),
            "AccessDeniedException");
  EXPECT_EQ(code_of(service_->retire_grant(carol, by_id)), "ok");
  const auto theirs = grant(to(bob_, {"Decrypt", "RetireGrant"}));
  EXPECT_EQ(code_of(service_->retire_grant(bob_, {.grant_token = theirs.grant_token})), "ok");
  const auto issued = grant(to(bob_, {"Decrypt"}));
  EXPECT_EQ(code_of(service_->retire_grant(alice_, {.key_id = key_, .grant_id = issued.grant_id})), "ok");
  EXPECT_EQ(code_of(service_->retire_grant(alice_, {.key_id = key_, .grant_id = issued.grant_id})),
            "InvalidGrantIdException");
  EXPECT_EQ(code_of(service_->retire_grant(alice_, {.grant_token = issued.grant_token})),
            "InvalidGrantTokenException");
  EXPECT_EQ(code_of(service_->retire_grant(alice_, {})), "ValidationException");
}

TEST_F(GrantsTest, AForeignAccountRetiresByKeyArnAndGrantIdWithoutAToken) {
  const Invocation carol = new_administrator("carol");
  CreateGrantRequest request = to(bob_, {"Decrypt"});
  request.retiring_principal = carol.principal;
  const auto made = grant(request);
  const std::string id = key_.substr(key_.size() - 36);
  EXPECT_EQ(code_of(service_->retire_grant(carol, {.key_id = id, .grant_id = made.grant_id})),
            "NotFoundException");
  EXPECT_EQ(code_of(service_->retire_grant(carol, {.key_id = key_, .grant_id = std::string(64, 'a')})),
            "AccessDeniedException");
  auto listed = service_->list_retirable_grants(carol, {.retiring_principal = carol.principal});
  ASSERT_TRUE(listed) << text_of(listed);
  ASSERT_EQ(listed->grants.size(), 1U);
  EXPECT_EQ(listed->grants[0].key_arn, key_);
  EXPECT_EQ(listed->grants[0].issuing_account, root_of(alice_));
  EXPECT_EQ(code_of(service_->retire_grant(carol, {.key_id = key_, .grant_id = made.grant_id})), "ok");
  EXPECT_TRUE(
      service_->list_retirable_grants(carol, {.retiring_principal = carol.principal})->grants.empty());
  // Only for principals of the own account.
  EXPECT_EQ(code_of(service_->list_retirable_grants(carol, {.retiring_principal = alice_.principal})),
            "AccessDeniedException");
}

TEST_F(GrantsTest, WhoHoldsCreateGrantThroughAGrantPassesOnNoMoreThanItHas) {
  CreateGrantRequest held = to(bob_, {"Decrypt", "CreateGrant"});
  held.constraints.encryption_context_subset = EncryptionContext{{"team", "a"}};
  grant(held);
  const Invocation carol = new_user("carol", account_);
  CreateGrantRequest passed = to(carol, {"Decrypt"});
  EXPECT_EQ(code_of(service_->create_grant(bob_, passed)), "AccessDeniedException");  // no constraint
  passed.constraints.encryption_context_subset = EncryptionContext{{"team", "b"}};
  EXPECT_EQ(code_of(service_->create_grant(bob_, passed)), "AccessDeniedException");
  passed.constraints.encryption_context_subset = EncryptionContext{{"team", "a"}};
  passed.operations = {"Encrypt"};
  EXPECT_EQ(code_of(service_->create_grant(bob_, passed)), "AccessDeniedException");
  passed.operations = {"Decrypt"};
  EXPECT_EQ(code_of(service_->create_grant(bob_, passed)), "ok");
  passed.constraints = {.encryption_context_equals = EncryptionContext{{"team", "a"}, {"x", "y"}}};
  EXPECT_EQ(code_of(service_->create_grant(bob_, passed)), "ok");
}

TEST_F(GrantsTest, AnAccountThatIsGrantedDecidesByItsOwnPolicies) {
  const Invocation carol = new_user("carol");
  CreateGrantRequest request = to(carol, {"Decrypt"});
  request.grantee_principal = root_of(carol);
  grant(request);
  const Bytes blob = encrypt("hello");
  EXPECT_FALSE(decrypt_as(carol, blob, {}, key_));
  put_policy(carol, policy_of({allow("\"kms:Decrypt\"")}));
  EXPECT_TRUE(decrypt_as(carol, blob, {}, key_));
}

TEST_F(GrantsTest, AForeignUserUsesAKeyThroughAGrantThatNamesIt) {
  const Invocation carol = new_user("carol");
  grant(to(carol, {"Decrypt", "Encrypt", "DescribeKey"}));
  EXPECT_TRUE(decrypt_as(carol, encrypt("hello"), {}, key_));
  EXPECT_TRUE(service_->describe_key(carol, {key_}));
  EXPECT_FALSE(service_->list_grants(carol, {.key_id = key_}));
}

TEST_F(GrantsTest, AUserMadeAnewUnderAnOldNameHasNoneOfItsGrants) {
  grant(to(bob_, {"Decrypt"}));
  const Bytes blob = encrypt("hello");
  ASSERT_TRUE(decrypt_as(bob_, blob));
  administer("DeleteUser", R"({"UserName":"bob"})");
  EXPECT_EQ(code_of(decrypt_as(bob_, blob)), "UnrecognizedClientException");
  administer("CreateUser", R"({"UserName":"bob"})");
  EXPECT_EQ(code_of(decrypt_as(bob_, blob, {}, key_)), "AccessDeniedException");
}

TEST_F(GrantsTest, PrincipalsAndOperationsThatCannotBeGrantedAreRefused) {
  const auto code = [&](const CreateGrantRequest& request) {
    return code_of(service_->create_grant(alice_, request));
  };
  CreateGrantRequest request = to(bob_, {"Decrypt"});
  for (const std::string& wrong :
       {"arn:aws:iam::" + account_ + ":user/nobody", "arn:aws:iam::" + account_ + ":group/x",
        std::string("*"), std::string("bob"), account_, std::string("arn:aws:iam::1:root")}) {
    request.grantee_principal = wrong;
    EXPECT_EQ(code(request), "InvalidArnException") << wrong;
  }
  request.grantee_principal = bob_.principal;
  request.retiring_principal = "arn:aws:iam::" + account_ + ":user/nobody";
  EXPECT_EQ(code(request), "InvalidArnException");
  request.retiring_principal.clear();
  request.operations = {};
  EXPECT_EQ(code(request), "ValidationException");
  request.operations = {"decrypt"};
  EXPECT_EQ(code(request), "ValidationException");
  request.operations = {"Decrypt"};
  request.name = "not a name";
  EXPECT_EQ(code(request), "ValidationException");
  EXPECT_EQ(grants_of(key_), 0U);
}

TEST_F(GrantsTest, ListsComeInPagesAndByGranteeAndById) {
  const Invocation carol = new_user("carol", account_);
  std::set<std::string> ids;
  for (int i = 0; i < 5; ++i) ids.insert(grant(to(i < 2 ? bob_ : carol, {"Decrypt"})).grant_id);
  std::set<std::string> seen;
  ListGrantsRequest request{.key_id = key_, .limit = 2};
  for (int pages = 0; pages < 5; ++pages) {
    auto page = service_->list_grants(alice_, request);
    ASSERT_TRUE(page) << text_of(page);
    EXPECT_LE(page->grants.size(), 2U);
    for (const auto& grant : page->grants) seen.insert(grant.grant_id);
    if (page->next_marker.empty()) break;
    request.marker = page->next_marker;
  }
  EXPECT_EQ(seen, ids);
  EXPECT_EQ(
      service_->list_grants(alice_, {.key_id = key_, .grantee_principal = bob_.principal})->grants.size(),
      2U);
  auto one = service_->list_grants(alice_, {.key_id = key_, .grant_id = *ids.begin()});
  ASSERT_EQ(one->grants.size(), 1U);
  EXPECT_EQ(one->grants[0].grant_id, *ids.begin());
  EXPECT_EQ(code_of(service_->list_grants(alice_, {.key_id = key_, .grant_id = std::string(64, '0')})),
            "InvalidGrantIdException");
  EXPECT_EQ(code_of(service_->list_grants(alice_, {.key_id = key_, .marker = "x"})),
            "InvalidMarkerException");
  EXPECT_EQ(code_of(service_->list_grants(alice_, {.key_id = key_, .limit = 101})), "ValidationException");
}

TEST_F(GrantsTest, ADryRunChangesNothing) {
  CreateGrantRequest request = to(bob_, {"Decrypt"});
  request.dry_run = true;
  EXPECT_EQ(code_of(service_->create_grant(alice_, request)), "DryRunOperationException");
  EXPECT_EQ(grants_of(key_), 0U);
  request.dry_run = false;
  const auto made = grant(request);
  EXPECT_EQ(
      code_of(service_->revoke_grant(alice_, {.key_id = key_, .grant_id = made.grant_id, .dry_run = true})),
      "DryRunOperationException");
  EXPECT_EQ(code_of(service_->retire_grant(alice_, {.grant_token = made.grant_token, .dry_run = true})),
            "DryRunOperationException");
  EXPECT_EQ(grants_of(key_), 1U);
  request.dry_run = true;
  EXPECT_EQ(code_of(service_->create_grant(bob_, request)), "AccessDeniedException");
}

TEST_F(GrantsTest, AGrantToARoleServesItsSessionsAndOneToASessionThatSessionOnly) {
  administer(
      "CreateRole",
      R"({"RoleName":"worker","AssumeRolePolicyDocument":"{\"Version\":\"2012-10-17\",\"Statement\":[{\"Effect\":\"Allow\",\"Principal\":{\"AWS\":\")" +
          root_of(alice_) + R"(\"},\"Action\":\"sts:AssumeRole\"}]}"})");
  put_policy(bob_, policy_of({allow("\"sts:AssumeRole\"")}));
  const std::string role = "arn:aws:iam::" + account_ + ":role/worker";
  const auto session = [&](const std::string& name) {
    AssumeRoleRequest request;
    request.role_arn = role;
    request.session_name = name;
    auto made = assume_role(service_->administration().engine(), bob_, request);
    EXPECT_TRUE(made) << text_of(made);
    Invocation invocation = bob_;
    if (made) invocation.principal = made->facts->arn();
    if (made) invocation.session = made->facts;
    return invocation;
  };
  const Invocation day = session("day"), night = session("night");
  const Bytes blob = encrypt("hello");
  EXPECT_FALSE(decrypt_as(day, blob));
  CreateGrantRequest request = to(night, {"Decrypt"});
  grant(request);
  EXPECT_TRUE(decrypt_as(night, blob));
  EXPECT_FALSE(decrypt_as(day, blob));
  request.grantee_principal = role;
  request.operations = {"Encrypt"};
  grant(request);
  EXPECT_TRUE(encrypt_as(day, key_));
  EXPECT_TRUE(encrypt_as(night, key_));
  EXPECT_FALSE(decrypt_as(day, blob));
  EXPECT_FALSE(encrypt_as(bob_, key_));
}

TEST_F(GrantsTest, AServiceManagedKeyIsNeverGranted) {
  auto key = service_->administration().ensure_service_key(account_, "alias/aws/kmsfs");
  ASSERT_TRUE(key);
  CreateGrantRequest request = to(new_user("carol"), {"Decrypt"});
  request.key_id = key->arn;
  EXPECT_EQ(code_of(service_->create_grant(alice_, request)), "NotAuthorizedException");
}

}  // namespace
}  // namespace kmsfs::kms::test
