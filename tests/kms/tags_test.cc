#include "tests/kms/kms_fixture.h"

namespace kmsfs::kms::test {
namespace {

class TagsTest : public KmsTest {
 protected:
  std::string tag(std::vector<Tag> tags) {
    return code_of(service_->tag_resource(alice_, {.key_id = key_, .tags = std::move(tags)}));
  }
  std::vector<Tag> tags() { return service_->list_resource_tags(alice_, {.key_id = key_})->tags; }
};

TEST_F(TagsTest, TagsAreSetReplacedListedAndRemoved) {
  ASSERT_EQ(tag({{"team", "a"}, {"empty", ""}}), "ok");
  ASSERT_EQ(tag({{"team", "b"}}), "ok");
  ASSERT_EQ(tags().size(), 2U);
  EXPECT_EQ(tags()[1].key, "team");
  EXPECT_EQ(tags()[1].value, "b");
  ASSERT_TRUE(service_->untag_resource(alice_, {.key_id = key_, .tag_keys = {"team", "never"}}));
  ASSERT_EQ(tags().size(), 1U);
  EXPECT_EQ(tags()[0].key, "empty");
}

TEST_F(TagsTest, WhatAwsRefusesIsRefused) {
  EXPECT_EQ(tag({{"a", "1"}, {"a", "2"}}), "TagException");
  EXPECT_EQ(tag({{"aws:x", "1"}}), "TagException");
  EXPECT_EQ(tag({{"AwS:x", "1"}}), "TagException");
  EXPECT_EQ(tag({{"", "1"}}), "ValidationException");
  EXPECT_EQ(tag({{std::string(129, 'k'), "1"}}), "ValidationException");
  EXPECT_EQ(tag({{"k", std::string(257, 'v')}}), "ValidationException");
  auto named = service_->tag_resource(alice_, {.key_id = key_, .tags = {{"", "x"}}});
  EXPECT_EQ(named.error().text,
            "1 validation error detected: Value at 'tags.1.member.tagKey' failed to satisfy constraint: "
            "Member must "
            "have length greater than or equal to 1");
  std::vector<Tag> many;
  for (int i = 0; i < 50; ++i) many.push_back({"k" + std::to_string(i), "v"});
  EXPECT_EQ(tag(many), "ok");
  EXPECT_EQ(tag({{"k7", "other"}}), "ok");
  EXPECT_EQ(tag({{"one-more", "v"}}), "TagException");
  KeyListRequest request{.key_id = key_, .limit = 30};
  auto first = service_->list_resource_tags(alice_, request);
  EXPECT_EQ(first->tags.size(), 30U);
  request.marker = first->next_marker;
  auto second = service_->list_resource_tags(alice_, request);
  EXPECT_EQ(second->tags.size(), 20U);
  EXPECT_TRUE(second->next_marker.empty());
}

TEST_F(TagsTest, TagsEnterTheDecision) {
  const Invocation bob = new_user("bob", account_);
  put_policy(bob,
             policy_of({allow("\"kms:Encrypt\"", {}, R"({"StringEquals":{"aws:ResourceTag/team":"a"}})")}));
  EXPECT_FALSE(encrypt_as(bob, key_));
  ASSERT_EQ(tag({{"team", "a"}}), "ok");
  EXPECT_TRUE(encrypt_as(bob, key_));
  ASSERT_EQ(tag({{"team", "b"}}), "ok");
  EXPECT_FALSE(encrypt_as(bob, key_));

  put_policy(
      bob, policy_of({allow(
               R"(["kms:TagResource","kms:UntagResource"])", {},
               R"({"ForAllValues:StringEquals":{"aws:TagKeys":["cost"]},"Null":{"aws:TagKeys":"false"}})")}));
  EXPECT_EQ(code_of(service_->tag_resource(bob, {.key_id = key_, .tags = {{"cost", "1"}}})), "ok");
  EXPECT_EQ(code_of(service_->tag_resource(bob, {.key_id = key_, .tags = {{"team", "a"}}})),
            "AccessDeniedException");
  EXPECT_EQ(code_of(service_->untag_resource(bob, {.key_id = key_, .tag_keys = {"team"}})),
            "AccessDeniedException");
  EXPECT_EQ(code_of(service_->untag_resource(bob, {.key_id = key_, .tag_keys = {"cost"}})), "ok");
}

TEST_F(TagsTest, AKeyThatIsMadeWithTagsTakesPermissionToTag) {
  const Invocation bob = new_user("bob", account_);
  put_policy(bob, policy_of({allow("\"kms:CreateKey\"")}));
  CreateKeyRequest request;
  request.tags = {{"team", "a"}};
  EXPECT_EQ(code_of(service_->create_key(bob, request)), "AccessDeniedException");
  EXPECT_EQ(code_of(service_->create_key(bob, {})), "ok");
  put_policy(bob, policy_of({allow(R"(["kms:CreateKey","kms:TagResource"])", {},
                                   R"({"StringEquals":{"aws:RequestTag/team":"a"}})")}));
  EXPECT_EQ(code_of(service_->create_key(bob, request)), "ok");
  EXPECT_EQ(code_of(service_->create_key(bob, {})), "AccessDeniedException");
  request.tags = {{"team", "a"}, {"team", "b"}};
  EXPECT_EQ(code_of(service_->create_key(bob, request)), "TagException");
}

}  // namespace
}  // namespace kmsfs::kms::test
