#include "tests/kms/kms_fixture.h"

namespace kmsfs::kms::test {
namespace {

class PoliciesTest : public KmsTest {
 protected:
  std::string put(const std::string& policy, bool bypass = false) {
    return code_of(service_->put_key_policy(
        alice_, {.key_id = key_, .policy = policy, .bypass_policy_lockout_safety_check = bypass}));
  }
  std::string policy() { return service_->get_key_policy(alice_, {key_})->policy; }
  std::string root() const { return root_of(alice_); }
};

TEST_F(PoliciesTest, ThePolicyComesBackByteForByte) {
  const std::string odd = "{ \"Version\" : \"2012-10-17\",\n\t\"Id\":\"\\u00e9 ü\",\"Statement\": [" +
                          allow("\"kms:*\"", root()) + "  ] }\n";
  ASSERT_EQ(put(odd), "ok");
  EXPECT_EQ(policy(), odd);
  EXPECT_EQ(service_->get_key_policy(alice_, {.key_id = key_, .policy_name = "default"})->policy, odd);
  EXPECT_EQ(code_of(service_->get_key_policy(alice_, {.key_id = key_, .policy_name = "other"})),
            "NotFoundException");
  EXPECT_EQ(
      code_of(service_->put_key_policy(alice_, {.key_id = key_, .policy = odd, .policy_name = "other"})),
      "NotFoundException");
  auto names = service_->list_key_policies(alice_, {.key_id = key_});
  ASSERT_TRUE(names) << text_of(names);
  EXPECT_EQ(names->policy_names, std::vector<std::string>{"default"});
  service_.reset();
  service_ = open();
  EXPECT_EQ(policy(), odd);
}

TEST_F(PoliciesTest, WhatIsNoKeyPolicyIsRefusedAndTheOldOneStays) {
  const std::string before = policy();
  for (
      const std::string& wrong :
      {std::string("my policy"), std::string("{}"), std::string("[]"), policy_of({allow("\"kms:*\"")}),
       policy_of(
           {R"({"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::1:root"},"Action":"kms:*","Resource":"*"})"}),
       policy_of({R"({"Effect":"Perhaps","Principal":"*","Action":"kms:*","Resource":"*"})"}),
       policy_of({allow("\"kms:*\"", root(), R"({"StringSortOf":{"kms:ViaService":"x"}})")})}) {
    EXPECT_EQ(put(wrong), "MalformedPolicyDocumentException") << wrong;
  }
  EXPECT_EQ(put(policy_of({allow("\"kms:*\"", root())}) + std::string(32'768, ' ')),
            "LimitExceededException");
  EXPECT_EQ(put(""), "ValidationException");
  EXPECT_EQ(policy(), before);
}

TEST_F(PoliciesTest, APolicyUnderWhichItsPutterCouldNotPutAgainIsRefusedUnlessAskedFor) {
  const std::string use_only = policy_of({allow("\"kms:Encrypt\"", alice_.principal)});
  auto refused = service_->put_key_policy(alice_, {.key_id = key_, .policy = use_only});
  EXPECT_EQ(code_of(refused), "MalformedPolicyDocumentException");
  EXPECT_EQ(refused.error().text,
            "The new key policy will not allow you to update the key policy in the future.");
  EXPECT_EQ(put(use_only, true), "ok");
  EXPECT_EQ(put(policy_of({allow("\"kms:*\"", root())})), "AccessDeniedException");
  // Nobody has implicit access, the account's root neither.
  EXPECT_EQ(code_of(service_->get_key_policy(from(root()), {key_})), "AccessDeniedException");
}

TEST_F(PoliciesTest, NamedPrincipalsMustExist) {
  const auto with = [&](const std::string& principal) {
    return put(policy_of({allow("\"kms:*\"", root()), allow("\"kms:Encrypt\"", principal)}));
  };
  const std::string account = "arn:aws:iam::" + account_;
  EXPECT_EQ(with(account + ":user/nobody"), "MalformedPolicyDocumentException");
  EXPECT_EQ(with(account + ":role/nobody"), "MalformedPolicyDocumentException");
  EXPECT_EQ(with("arn:aws:sts::" + account_ + ":assumed-role/nobody/x"), "MalformedPolicyDocumentException");
  administer(
      "CreateRole",
      R"({"RoleName":"worker","AssumeRolePolicyDocument":"{\"Version\":\"2012-10-17\",\"Statement\":[{\"Effect\":\"Allow\",\"Principal\":{\"AWS\":\")" +
          root() + R"(\"},\"Action\":\"sts:AssumeRole\"}]}"})");
  EXPECT_EQ(with(account + ":role/worker"), "ok");
  EXPECT_EQ(with("arn:aws:sts::" + account_ + ":assumed-role/worker/night"), "ok");
  EXPECT_EQ(with(new_user("carol").principal), "ok");
}

TEST_F(PoliciesTest, AUserMadeAnewUnderAnOldNameInheritsNothing) {
  const Invocation bob = new_user("bob", account_);
  const std::string named = policy_of({allow("\"kms:*\"", root()), allow("\"kms:Encrypt\"", bob.principal)});
  ASSERT_EQ(put(named), "ok");
  ASSERT_TRUE(encrypt_as(bob, key_));
  administer("DeleteUser", R"({"UserName":"bob"})");
  administer("CreateUser", R"({"UserName":"bob"})");
  EXPECT_EQ(code_of(encrypt_as(bob, key_)), "AccessDeniedException");
  ASSERT_EQ(put(named), "ok");
  EXPECT_TRUE(encrypt_as(bob, key_));
}

TEST_F(PoliciesTest, ManagingAndUsingAreSeparate) {
  const Invocation admin = new_user("admin", account_), user = new_user("user", account_);
  ASSERT_EQ(put(policy_of({allow("\"kms:*\"", root()),
                           allow(R"(["kms:Describe*","kms:Enable*","kms:Disable*","kms:Put*","kms:Get*"])",
                                 admin.principal),
                           allow(R"(["kms:Encrypt","kms:Decrypt"])", user.principal)})),
            "ok");
  const Bytes blob = encrypt("hello");
  EXPECT_EQ(code_of(service_->disable_key(admin, {key_})), "ok");
  EXPECT_EQ(code_of(service_->enable_key(admin, {key_})), "ok");
  EXPECT_EQ(code_of(decrypt_as(admin, blob)), "AccessDeniedException");
  EXPECT_EQ(code_of(encrypt_as(admin, key_)), "AccessDeniedException");
  EXPECT_EQ(code_of(decrypt_as(user, blob)), "ok");
  EXPECT_EQ(code_of(service_->disable_key(user, {key_})), "AccessDeniedException");
  EXPECT_EQ(code_of(service_->put_key_policy(user, {.key_id = key_, .policy = policy()})),
            "AccessDeniedException");
  EXPECT_EQ(code_of(service_->get_key_policy(user, {key_})), "AccessDeniedException");
}

TEST_F(PoliciesTest, AnotherAccountNeverManagesAKeyWhateverThePolicySays) {
  const Invocation carol = new_administrator("carol");
  ASSERT_EQ(put(policy_of({allow("\"kms:*\"", root()), allow("\"kms:*\"", root_of(carol))})), "ok");
  EXPECT_TRUE(encrypt_as(carol, key_));
  EXPECT_TRUE(service_->describe_key(carol, {key_}));
  EXPECT_TRUE(service_->list_grants(carol, {.key_id = key_}));
  const std::vector<std::string> refused = {
      code_of(service_->disable_key(carol, {key_})),
      code_of(service_->put_key_policy(carol, {.key_id = key_, .policy = policy()})),
      code_of(service_->get_key_policy(carol, {key_})),
      code_of(service_->schedule_key_deletion(carol, {.key_id = key_})),
      code_of(service_->tag_resource(carol, {.key_id = key_, .tags = {{"a", "b"}}})),
      code_of(service_->create_alias(carol, {"alias/mine", key_})),
      code_of(service_->update_key_description(carol, {.key_id = key_, .description = "x"})),
      code_of(service_->list_key_policies(carol, {.key_id = key_})),
      code_of(service_->list_resource_tags(carol, {.key_id = key_}))};
  for (const std::string& code : refused) EXPECT_EQ(code, "AccessDeniedException");
  // A bare id means a key of the caller's own account.
  EXPECT_EQ(code_of(encrypt_as(carol, key_.substr(key_.size() - 36))), "NotFoundException");
}

TEST_F(PoliciesTest, AServiceManagedKeyIsNeitherRePoliciedNorChanged) {
  auto key = service_->administration().ensure_service_key(account_, "alias/aws/kmsfs");
  ASSERT_TRUE(key);
  const std::string& arn = key->arn;
  const std::vector<std::string> refused = {
      code_of(service_->put_key_policy(alice_,
                                       {.key_id = arn, .policy = policy_of({allow("\"kms:*\"", root())})})),
      code_of(service_->disable_key(alice_, {arn})),
      code_of(service_->schedule_key_deletion(alice_, {.key_id = arn})),
      code_of(service_->enable_key_rotation(alice_, {.key_id = arn})),
      code_of(service_->tag_resource(alice_, {.key_id = arn, .tags = {{"a", "b"}}})),
      code_of(service_->update_key_description(alice_, {.key_id = arn, .description = "x"})),
      code_of(service_->create_alias(alice_, {"alias/mine", arn})),
      code_of(service_->delete_alias(alice_, {"alias/aws/kmsfs"})),
      code_of(service_->update_alias(alice_, {"alias/aws/kmsfs", key_}))};
  for (const std::string& code : refused) EXPECT_EQ(code, "NotAuthorizedException");
  EXPECT_TRUE(service_->get_key_policy(alice_, {arn}));
  EXPECT_TRUE(encrypt_as(alice_, arn));
}

TEST_F(PoliciesTest, TheLockoutCheckThatIsBypassedIsAFactThatPoliciesMayForbid) {
  const Invocation bob = new_user("bob", account_);
  put_policy(
      bob,
      policy_of(
          {allow("\"kms:*\""),
           R"({"Effect":"Deny","Action":["kms:CreateKey","kms:PutKeyPolicy"],"Resource":"*","Condition":{"Bool":{"kms:BypassPolicyLockoutSafetyCheck":"true"}}})"}));
  EXPECT_EQ(code_of(service_->put_key_policy(
                bob, {.key_id = key_, .policy = policy(), .bypass_policy_lockout_safety_check = true})),
            "AccessDeniedException");
  EXPECT_EQ(code_of(service_->put_key_policy(bob, {.key_id = key_, .policy = policy()})), "ok");
  CreateKeyRequest create;
  create.bypass_policy_lockout_safety_check = true;
  EXPECT_EQ(code_of(service_->create_key(bob, create)), "AccessDeniedException");
}

}  // namespace
}  // namespace kmsfs::kms::test
