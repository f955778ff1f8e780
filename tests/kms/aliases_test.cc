#include "tests/kms/kms_fixture.h"

namespace kmsfs::kms::test {
namespace {

class AliasesTest : public KmsTest {
 protected:
  std::string target(const std::string& alias) {
    auto key = service_->describe_key(alice_, {alias});
    return key ? key->key.arn : code_of(key);
  }
};

TEST_F(AliasesTest, AnAliasMovesToAnotherKeyAndOldBlobsStayWithTheirs) {
  const std::string other = new_key();
  ASSERT_TRUE(service_->create_alias(alice_, {"alias/main", key_}));
  auto before = encrypt_as(alice_, "alias/main");
  ASSERT_TRUE(before);
  const auto created = service_->list_aliases(alice_, {})->aliases[0].created_ms;
  clock_.advance(std::chrono::hours(1));
  ASSERT_TRUE(service_->update_alias(alice_, {"alias/main", other}));
  EXPECT_EQ(target("alias/main"), other);
  EXPECT_EQ(encrypt_as(alice_, "alias/main")->key_arn, other);
  EXPECT_TRUE(decrypt(before->ciphertext));
  EXPECT_EQ(code_of(decrypt(before->ciphertext, {}, "alias/main")), "IncorrectKeyException");
  auto listed = service_->list_aliases(alice_, {});
  ASSERT_EQ(listed->aliases.size(), 1U);
  EXPECT_EQ(listed->aliases[0].target_key_id, other.substr(other.size() - 36));
  EXPECT_EQ(listed->aliases[0].created_ms, created);
  EXPECT_GT(listed->aliases[0].updated_ms, created);
  ASSERT_TRUE(service_->update_alias(alice_, {"alias/main", other}));  // to where it is
  ASSERT_TRUE(service_->delete_alias(alice_, {"alias/main"}));
  EXPECT_EQ(target("alias/main"), "NotFoundException");
  EXPECT_EQ(code_of(service_->delete_alias(alice_, {"alias/main"})), "NotFoundException");
  EXPECT_EQ(code_of(service_->update_alias(alice_, {"alias/main", key_})), "NotFoundException");
}

TEST_F(AliasesTest, ChangingAnAliasTakesPermissionOnTheAliasAndOnEachKey) {
  const std::string other = new_key();
  ASSERT_TRUE(service_->create_alias(alice_, {"alias/main", key_}));
  const Invocation bob = new_user("bob", account_);
  const auto on = [](const std::string& resource) {
    return R"({"Effect":"Allow","Action":"kms:*Alias","Resource":")" + resource + "\"}";
  };
  const std::string alias = "arn:aws:kms:local-1:" + account_ + ":alias/main";
  const auto update = [&](std::vector<std::string> statements) {
    put_policy(bob, policy_of(statements));
    return code_of(service_->update_alias(bob, {"alias/main", other}));
  };
  EXPECT_EQ(update({on(alias)}), "AccessDeniedException");
  EXPECT_EQ(update({on(alias), on(key_)}), "AccessDeniedException");
  EXPECT_EQ(update({on(alias), on(other)}), "AccessDeniedException");
  EXPECT_EQ(update({on(key_), on(other)}), "AccessDeniedException");
  EXPECT_EQ(update({on(alias), on(key_), on(other)}), "ok");
  put_policy(bob, policy_of({on(alias)}));
  EXPECT_EQ(code_of(service_->delete_alias(bob, {"alias/main"})), "AccessDeniedException");
  EXPECT_EQ(target("alias/main"), other);
}

TEST_F(AliasesTest, NamesAreCaseSensitiveAndOnlyThoseOfServicesAreReserved) {
  ASSERT_TRUE(service_->create_alias(alice_, {"alias/Main", key_}));
  EXPECT_EQ(code_of(service_->create_alias(alice_, {"alias/Main", key_})), "AlreadyExistsException");
  EXPECT_TRUE(service_->create_alias(alice_, {"alias/main", key_}));
  EXPECT_TRUE(service_->create_alias(alice_, {"alias/aws", key_}));  // no slash after it: nobody's
  EXPECT_TRUE(service_->create_alias(alice_, {"alias/awsome", key_}));
  EXPECT_EQ(code_of(service_->create_alias(alice_, {"alias/aws/x", key_})), "NotAuthorizedException");
  EXPECT_EQ(code_of(service_->delete_alias(alice_, {"alias/aws/x"})), "NotAuthorizedException");
  auto no_prefix = service_->create_alias(alice_, {"main", key_});
  EXPECT_EQ(code_of(no_prefix), "ValidationException");
  EXPECT_NE(no_prefix.error().text.find("Alias must start with the prefix \"alias/\""), std::string::npos);
  EXPECT_EQ(code_of(service_->create_alias(alice_, {"alias/a b", key_})), "InvalidAliasNameException");
  auto to_alias = service_->create_alias(alice_, {"alias/x", "alias/main"});
  EXPECT_EQ(code_of(to_alias), "ValidationException");
  EXPECT_EQ(to_alias.error().text, "Aliases must refer to keys. Not aliases");
}

TEST_F(AliasesTest, ListsHonourTheKeyAndCallersSeeTheirAccountOnly) {
  const std::string other = new_key();
  for (int i = 0; i < 4; ++i)
    ASSERT_TRUE(service_->create_alias(alice_, {"alias/a" + std::to_string(i), i < 3 ? key_ : other}));
  ListRequest request;
  request.key_id = key_;
  request.limit = 2;
  auto first = service_->list_aliases(alice_, request);
  ASSERT_TRUE(first) << text_of(first);
  EXPECT_EQ(first->aliases.size(), 2U);
  ASSERT_FALSE(first->next_marker.empty());
  request.marker = first->next_marker;
  auto second = service_->list_aliases(alice_, request);
  ASSERT_EQ(second->aliases.size(), 1U);
  EXPECT_EQ(second->aliases[0].name, "alias/a2");
  EXPECT_TRUE(second->next_marker.empty());
  // A marker of another list is none of this one.
  request.key_id = other;
  EXPECT_EQ(code_of(service_->list_aliases(alice_, request)), "InvalidMarkerException");
  EXPECT_EQ(code_of(service_->list_keys(alice_, {.limit = {}, .marker = request.marker, .key_id = {}})),
            "InvalidMarkerException");
  const Invocation carol = new_administrator("carol");
  EXPECT_TRUE(service_->list_aliases(carol, {})->aliases.empty());
  ListRequest foreign;
  foreign.key_id = key_;
  EXPECT_EQ(code_of(service_->list_aliases(carol, foreign)), "AccessDeniedException");
  foreign.key_id = "arn:aws:kms:local-1:" + account_ + ":key/12345678-1234-1234-1234-123456789012";
  EXPECT_EQ(code_of(service_->list_aliases(carol, foreign)), "AccessDeniedException");
}

TEST_F(AliasesTest, ConditionsSeeTheAliasOfTheRequestAndThoseOfTheKey) {
  ASSERT_TRUE(service_->create_alias(alice_, {"alias/use-me", key_}));
  const Invocation bob = new_user("bob", account_);
  put_policy(
      bob,
      policy_of({allow("\"kms:Encrypt\"", {}, R"({"StringEquals":{"kms:RequestAlias":"alias/use-me"}})")}));
  EXPECT_TRUE(encrypt_as(bob, "alias/use-me"));
  EXPECT_FALSE(encrypt_as(bob, key_));
  put_policy(bob,
             policy_of({allow("\"kms:Encrypt\"", {},
                              R"({"ForAnyValue:StringEquals":{"kms:ResourceAliases":"alias/use-me"}})")}));
  EXPECT_TRUE(encrypt_as(bob, key_));
  ASSERT_TRUE(service_->delete_alias(alice_, {"alias/use-me"}));
  EXPECT_FALSE(encrypt_as(bob, key_));
}

}  // namespace
}  // namespace kmsfs::kms::test
