// Every operation on a key, in each state of the key.
#include <functional>

#include "tests/kms/kms_fixture.h"

namespace kmsfs::kms::test {
namespace {

struct Case {
  const char* operation;
  std::function<std::string(Service&, const Invocation&, const std::string& key)> ask;
  const char* enabled;
  const char* disabled;
  const char* pending;
};

constexpr const char* kOk = "ok";
constexpr const char* kDisabled = "DisabledException";
constexpr const char* kInvalidState = "KMSInvalidStateException";

std::vector<Case> cases() {
  using S = Service;
  using I = Invocation;
  using K = const std::string&;
  return {
      {"Encrypt",
       [](S& s, const I& i, K k) {
         return code_of(s.encrypt(i, {.key_id = k, .plaintext = as_bytes("x"), .context = {}}));
       },
       kOk, kDisabled, kInvalidState},
      {"GenerateDataKey",
       [](S& s, const I& i, K k) {
         return code_of(s.generate_data_key(i, {.key_id = k, .context = {}, .key_spec = "AES_256"}));
       },
       kOk, kDisabled, kInvalidState},
      {"GenerateDataKeyWithoutPlaintext",
       [](S& s, const I& i, K k) {
         return code_of(
             s.generate_data_key_without_plaintext(i, {.key_id = k, .context = {}, .key_spec = "AES_128"}));
       },
       kOk, kDisabled, kInvalidState},
      {"CreateGrant",
       [](S& s, const I& i, K k) {
         return code_of(
             s.create_grant(i, {.key_id = k, .grantee_principal = i.principal, .operations = {"Decrypt"}}));
       },
       kOk, kDisabled, kInvalidState},
      {"EnableKeyRotation",
       [](S& s, const I& i, K k) { return code_of(s.enable_key_rotation(i, {.key_id = k})); }, kOk, kDisabled,
       kInvalidState},
      {"DisableKeyRotation", [](S& s, const I& i, K k) { return code_of(s.disable_key_rotation(i, {k})); },
       kOk, kDisabled, kInvalidState},
      {"RotateKeyOnDemand", [](S& s, const I& i, K k) { return code_of(s.rotate_key_on_demand(i, {k})); },
       kOk, kDisabled, kInvalidState},
      {"EnableKey", [](S& s, const I& i, K k) { return code_of(s.enable_key(i, {k})); }, kOk, kOk,
       kInvalidState},
      {"DisableKey", [](S& s, const I& i, K k) { return code_of(s.disable_key(i, {k})); }, kOk, kOk,
       kInvalidState},
      {"ScheduleKeyDeletion",
       [](S& s, const I& i, K k) { return code_of(s.schedule_key_deletion(i, {.key_id = k})); }, kOk, kOk,
       kInvalidState},
      {"CreateAlias",
       [](S& s, const I& i, K k) {
         return code_of(s.create_alias(i, {"alias/" + k.substr(k.size() - 12), k}));
       },
       kOk, kOk, kInvalidState},
      {"TagResource",
       [](S& s, const I& i, K k) {
         return code_of(s.tag_resource(i, {.key_id = k, .tags = {{"a", "b"}}}));
       },
       kOk, kOk, kInvalidState},
      {"UntagResource",
       [](S& s, const I& i, K k) { return code_of(s.untag_resource(i, {.key_id = k, .tag_keys = {"a"}})); },
       kOk, kOk, kInvalidState},
      {"UpdateKeyDescription",
       [](S& s, const I& i, K k) {
         return code_of(s.update_key_description(i, {.key_id = k, .description = "d"}));
       },
       kOk, kOk, kInvalidState},
      {"CancelKeyDeletion", [](S& s, const I& i, K k) { return code_of(s.cancel_key_deletion(i, {k})); },
       kInvalidState, kInvalidState, kOk},
      {"DescribeKey", [](S& s, const I& i, K k) { return code_of(s.describe_key(i, {k})); }, kOk, kOk, kOk},
      {"GetKeyPolicy", [](S& s, const I& i, K k) { return code_of(s.get_key_policy(i, {k})); }, kOk, kOk,
       kOk},
      {"PutKeyPolicy",
       [](S& s, const I& i, K k) {
         return code_of(s.put_key_policy(
             i, {.key_id = k,
                 .policy = policy_of(
                     {allow("\"kms:*\"", "arn:aws:iam::" + i.principal.substr(13, 12) + ":root")})}));
       },
       kOk, kOk, kOk},
      {"ListKeyPolicies",
       [](S& s, const I& i, K k) { return code_of(s.list_key_policies(i, {.key_id = k})); }, kOk, kOk, kOk},
      {"ListGrants", [](S& s, const I& i, K k) { return code_of(s.list_grants(i, {.key_id = k})); }, kOk, kOk,
       kOk},
      {"ListResourceTags",
       [](S& s, const I& i, K k) { return code_of(s.list_resource_tags(i, {.key_id = k})); }, kOk, kOk, kOk},
      {"GetKeyRotationStatus",
       [](S& s, const I& i, K k) { return code_of(s.get_key_rotation_status(i, {k})); }, kOk, kOk, kOk},
      {"ListKeyRotations",
       [](S& s, const I& i, K k) { return code_of(s.list_key_rotations(i, {.key_id = k})); }, kOk, kOk, kOk},
  };
}

using StatesTest = KmsTest;

TEST_F(StatesTest, EveryOperationDoesInEachStateWhatAwsDoes) {
  for (const Case& one : cases()) {
    EXPECT_EQ(one.ask(*service_, alice_, new_key()), one.enabled) << one.operation;
    const std::string disabled = new_key();
    ASSERT_TRUE(service_->disable_key(alice_, {disabled}));
    EXPECT_EQ(one.ask(*service_, alice_, disabled), one.disabled) << one.operation;
    const std::string pending = new_key();
    ASSERT_TRUE(service_->schedule_key_deletion(alice_, {.key_id = pending}));
    EXPECT_EQ(one.ask(*service_, alice_, pending), one.pending) << one.operation;
  }
}

TEST_F(StatesTest, WhatWasMadeBeforeOpensInTheEnabledStateOnly) {
  const Bytes blob = encrypt("hello");
  const std::string other = new_key();
  ReEncryptRequest request;
  request.ciphertext = blob;
  request.destination_key_id = other;
  EXPECT_EQ(code_of(service_->re_encrypt(alice_, request)), "ok");
  ASSERT_TRUE(service_->disable_key(alice_, {key_}));
  EXPECT_EQ(code_of(decrypt(blob)), kDisabled);
  EXPECT_EQ(code_of(service_->re_encrypt(alice_, request)), kDisabled);
  ASSERT_TRUE(service_->schedule_key_deletion(alice_, {.key_id = key_}));
  EXPECT_EQ(code_of(decrypt(blob)), kInvalidState);
  EXPECT_EQ(code_of(service_->re_encrypt(alice_, request)), kInvalidState);
}

TEST_F(StatesTest, GrantsOfAKeyThatIsDisabledOrPendingDeletionAreRevokedAndRetired) {
  for (const bool pending : {false, true}) {
    const std::string key = new_key();
    const CreateGrantRequest request{
        .key_id = key, .grantee_principal = alice_.principal, .operations = {"Decrypt", "RetireGrant"}};
    auto first = service_->create_grant(alice_, request), second = service_->create_grant(alice_, request);
    ASSERT_TRUE(first && second);
    if (pending) {
      ASSERT_TRUE(service_->schedule_key_deletion(alice_, {.key_id = key}));
    } else {
      ASSERT_TRUE(service_->disable_key(alice_, {key}));
    }
    EXPECT_TRUE(service_->revoke_grant(alice_, {.key_id = key, .grant_id = first->grant_id}));
    EXPECT_TRUE(service_->retire_grant(alice_, {.grant_token = second->grant_token}));
  }
}

TEST_F(StatesTest, AnAliasLeavesAKeyThatIsPendingDeletionButNeverGoesToOne) {
  const std::string pending = new_key();
  ASSERT_TRUE(service_->create_alias(alice_, {"alias/a", pending}));
  ASSERT_TRUE(service_->create_alias(alice_, {"alias/b", key_}));
  ASSERT_TRUE(service_->schedule_key_deletion(alice_, {.key_id = pending}));
  EXPECT_EQ(code_of(service_->update_alias(alice_, {"alias/b", pending})), kInvalidState);
  EXPECT_EQ(code_of(service_->update_alias(alice_, {"alias/a", key_})), "ok");
  EXPECT_EQ(service_->describe_key(alice_, {"alias/a"})->key.arn, key_);
  EXPECT_EQ(code_of(service_->delete_alias(alice_, {"alias/a"})), "ok");
}

TEST_F(StatesTest, ARefusalNamesTheKeyAndNothingOfItTellsTheDenied) {
  ASSERT_TRUE(service_->disable_key(alice_, {key_}));
  EXPECT_EQ(encrypt_as(alice_, key_).error().text, key_ + " is disabled.");
  // Who may not use the key learns nothing of its state.
  EXPECT_EQ(code_of(encrypt_as(new_user("bob", account_), key_)), "AccessDeniedException");
  ASSERT_TRUE(service_->schedule_key_deletion(alice_, {.key_id = key_}));
  EXPECT_EQ(encrypt_as(alice_, key_).error().text, key_ + " is pending deletion.");
}

}  // namespace
}  // namespace kmsfs::kms::test
