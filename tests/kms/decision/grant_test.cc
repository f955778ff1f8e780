#include "tests/kms/decision/world.h"

namespace kmsfs::kms::test {
namespace {

constexpr char kBobArn[] = "arn:aws:iam::111111111111:user/bob";
constexpr char kEveArn[] = "arn:aws:iam::222222222222:user/eve";
constexpr char kForeignRootArn[] = "arn:aws:iam::222222222222:root";

TEST(Grants, AGranteeMayDoWhatTheGrantListsAndNothingElse) {
  World world;
  world.key_policy(allow(kHomeRoot, "kms:*")).grant(kBobArn, {"Decrypt", "GenerateDataKey"});
  const Decision decision = world.decide("kms:Decrypt");
  EXPECT_TRUE(decision.allowed());
  EXPECT_EQ(decision.reason, Reason::kGrant);
  EXPECT_TRUE(world.allows("kms:GenerateDataKey"));
  EXPECT_FALSE(world.allows("kms:Encrypt"));
  EXPECT_FALSE(world.allows("kms:GenerateDataKeyWithoutPlaintext"));
  EXPECT_FALSE(world.by(Caller::user(kHome, "alice")).allows("kms:Decrypt"));
}

TEST(Grants, AGrantOfAnotherKeyIsIgnored) {
  World world;
  world.key_policy(allow(kHomeRoot, "kms:*")).grant(kBobArn, {"Decrypt"});
  world.grants[0].key_arn = "arn:aws:kms:eu-west-1:111111111111:key/another";
  EXPECT_FALSE(world.allows("kms:Decrypt"));
}

TEST(Grants, AForeignUserNamedByAGrantNeedsNoIdentityPolicyButAnAccountNeedsOne) {
  World world;
  world.by(Caller::user(kForeign, "eve")).key_policy(allow(kHomeRoot, "kms:*")).grant(kEveArn, {"Decrypt"});
  EXPECT_TRUE(world.allows("kms:Decrypt"));
  world.grants[0].grantee = kForeignRootArn;
  EXPECT_FALSE(world.allows("kms:Decrypt"));
  EXPECT_TRUE(world.identity(may("kms:Decrypt")).allows("kms:Decrypt"));
}

TEST(Grants, AGrantToARoleServesItsSessionsWithinTheirSessionPolicy) {
  World world;
  world.by(Caller::session(kHome, "worker", "s1")).key_policy(allow(kHomeRoot, "kms:*"));
  world.grant("arn:aws:iam::111111111111:role/worker", {"Decrypt"});
  EXPECT_TRUE(world.allows("kms:Decrypt"));
  EXPECT_FALSE(world.session(may("kms:Encrypt")).allows("kms:Decrypt"));
}

TEST(Grants, EqualsWantsTheVeryContextAndSubsetWantsItAmongOthers) {
  World world;
  world.key_policy(allow(kHomeRoot, "kms:*")).grant(kBobArn, {"Decrypt", "DescribeKey"});
  const auto decrypts_with = [&](EncryptionContext context) {
    world.context = std::move(context);
    return world.allows("kms:Decrypt");
  };
  world.grants[0].constraint_context = {{"dept", "hr"}};
  world.grants[0].constraint = GrantConstraint::kEncryptionContextEquals;
  EXPECT_TRUE(decrypts_with({{"dept", "hr"}}));
  EXPECT_FALSE(decrypts_with({{"dept", "hr"}, {"file", "1"}}));
  EXPECT_FALSE(decrypts_with({{"Dept", "hr"}}));
  EXPECT_FALSE(decrypts_with({}));
  world.grants[0].constraint = GrantConstraint::kEncryptionContextSubset;
  EXPECT_TRUE(decrypts_with({{"dept", "hr"}}));
  EXPECT_TRUE(decrypts_with({{"dept", "hr"}, {"file", "1"}}));
  EXPECT_FALSE(decrypts_with({{"dept", "it"}, {"file", "1"}}));
  EXPECT_FALSE(decrypts_with({}));
  EXPECT_TRUE(world.allows("kms:DescribeKey")) << "a constraint does not concern DescribeKey";
}

TEST(Grants, ReEncryptNeedsBothItsHalves) {
  World world;
  world.key_policy(allow(kHomeRoot, "kms:*")).grant(kBobArn, {"ReEncryptFrom"});
  EXPECT_TRUE(world.allows("kms:ReEncryptFrom"));
  EXPECT_FALSE(world.allows("kms:ReEncryptTo"));
}

TEST(Grants, AGranteeMadeAnewUnderAnOldNameInheritsNothing) {
  World world;
  world.key_policy(allow(kHomeRoot, "kms:*")).grant(kBobArn, {"Decrypt"});
  world.grants[0].grantee_unique_id = world.caller.unique_id;
  EXPECT_TRUE(world.allows("kms:Decrypt"));
  world.caller.unique_id = "AIDABOBBOBBOBBOBBOB2";
  EXPECT_FALSE(world.allows("kms:Decrypt"));
}

struct ChildGrant {
  GrantConstraint constraint;
  EncryptionContext context;
  bool within_none, within_equals, within_subset;
};

TEST(Grants, CreateGrantThroughAGrantGivesNoMoreThanWasHeld) {
  const EncryptionContext held_context = {{"a", "1"}};
  const ChildGrant cases[] = {
      {GrantConstraint::kNone, {}, true, false, false},
      {GrantConstraint::kEncryptionContextEquals, {{"a", "1"}}, true, true, true},
      {GrantConstraint::kEncryptionContextEquals, {{"a", "1"}, {"b", "2"}}, true, false, true},
      {GrantConstraint::kEncryptionContextEquals, {{"b", "2"}}, true, false, false},
      {GrantConstraint::kEncryptionContextSubset, {{"a", "1"}}, true, false, true},
      {GrantConstraint::kEncryptionContextSubset, {{"a", "1"}, {"b", "2"}}, true, false, true},
      {GrantConstraint::kEncryptionContextSubset, {{"a", "2"}}, true, false, false},
  };
  for (const ChildGrant& one : cases) {
    Grant child;
    child.key_arn = kKeyArn;
    child.grantee = kEveArn;
    child.operations = {"Decrypt"};
    child.constraint = one.constraint;
    child.constraint_context = one.context;
    const auto created_through = [&](GrantConstraint held) {
      World world;
      world.key_policy(allow(kHomeRoot, "kms:*")).grant(kBobArn, {"Decrypt", "CreateGrant"});
      world.grants[0].constraint = held;
      if (held != GrantConstraint::kNone) world.grants[0].constraint_context = held_context;
      world.request.new_grant = &child;
      return world.allows("kms:CreateGrant");
    };
    EXPECT_EQ(created_through(GrantConstraint::kNone), one.within_none) << &one - cases;
    EXPECT_EQ(created_through(GrantConstraint::kEncryptionContextEquals), one.within_equals) << &one - cases;
    EXPECT_EQ(created_through(GrantConstraint::kEncryptionContextSubset), one.within_subset) << &one - cases;
  }
}

TEST(Grants, CreateGrantThroughAGrantCannotAddOperations) {
  World world;
  world.key_policy(allow(kHomeRoot, "kms:*")).grant(kBobArn, {"Decrypt", "CreateGrant"});
  EXPECT_FALSE(world.allows("kms:CreateGrant")) << "nothing is known of the new grant";
  Grant child;
  child.key_arn = kKeyArn;
  child.operations = {"Decrypt", "Encrypt"};
  world.request.new_grant = &child;
  EXPECT_FALSE(world.allows("kms:CreateGrant"));
  child.operations = {"Decrypt", "CreateGrant"};
  EXPECT_TRUE(world.allows("kms:CreateGrant"));
}

TEST(Grants, ConditionsOfCreateGrantSeeTheContextOfTheNewGrantsConstraint) {
  World world;
  Grant child;
  child.key_arn = kKeyArn;
  child.grantee = kEveArn;
  child.operations = {"Decrypt"};
  world.request.new_grant = &child;
  world.context = {{"app", "x"}};  // not what a CreateGrant is judged by
  const std::string wants_app = R"({"StringEquals":{"kms:EncryptionContext:app":"x"}})";
  EXPECT_FALSE(holds(world, wants_app, "kms:CreateGrant"));
  child.constraint = GrantConstraint::kEncryptionContextSubset;
  child.constraint_context = {{"app", "x"}};
  EXPECT_TRUE(holds(world, wants_app, "kms:CreateGrant"));
  EXPECT_TRUE(holds(world, R"({"StringEquals":{"kms:GrantConstraintType":"EncryptionContextSubset"}})",
                    "kms:CreateGrant"));
  EXPECT_TRUE(holds(world, R"({"ForAllValues:StringEquals":{"kms:GrantOperations":["Decrypt","Encrypt"]}})",
                    "kms:CreateGrant"));
  child.operations.push_back("CreateGrant");
  EXPECT_FALSE(holds(world, R"({"ForAllValues:StringEquals":{"kms:GrantOperations":["Decrypt","Encrypt"]}})",
                     "kms:CreateGrant"));
  EXPECT_TRUE(holds(world, R"({"ArnLike":{"kms:GranteePrincipal":"arn:aws:iam::222222222222:user/*"}})",
                    "kms:CreateGrant"));
  EXPECT_FALSE(holds(world, R"({"Bool":{"kms:GrantIsForAWSResource":"true"}})", "kms:CreateGrant"));
  world.request.grant_is_for_aws_resource = true;
  EXPECT_TRUE(holds(world, R"({"Bool":{"kms:GrantIsForAWSResource":true}})", "kms:CreateGrant"));
}

class Retiring : public ::testing::Test {
 protected:
  Retiring() {
    world.key_policy(allow(kHomeRoot, "kms:*")).grant(kBobArn, {"Decrypt"});
    world.grants[0].retiring = "arn:aws:iam::222222222222:user/retirer";
  }
  bool retires(Caller caller) {
    world.by(std::move(caller));
    return decide_retire_grant(world.asking("kms:RetireGrant"), world.policies(), world.grants[0]).allowed();
  }
  World world;
};

TEST_F(Retiring, TheRetiringPrincipalMayEvenFromAnotherAccountAndTheGranteeMayNot) {
  EXPECT_TRUE(retires(Caller::user(kForeign, "retirer")));
  EXPECT_FALSE(retires(Caller::user(kHome, "bob")));
  world.grants[0].retiring_unique_id = "AIDARETIRERRETIRER01";
  EXPECT_FALSE(retires(Caller::user(kForeign, "retirer"))) << "made anew under the old name";
}

TEST_F(Retiring, TheGranteeMayIfItWasGrantedRetireGrant) {
  world.grants[0].operations.push_back("RetireGrant");
  EXPECT_TRUE(retires(Caller::user(kHome, "bob")));
}

TEST_F(Retiring, TheIssuingAccountMayByIdentityPolicy) {
  EXPECT_TRUE(retires(Caller::account_root(kHome)));
  EXPECT_FALSE(retires(Caller::user(kHome, "alice")));
  world.identity(may("kms:RetireGrant"));
  EXPECT_TRUE(retires(Caller::user(kHome, "alice")));
  EXPECT_FALSE(retires(Caller::user(kForeign, "eve")));
}

TEST_F(Retiring, AnAllowInTheKeyPolicyIsWithoutEffectAndADenyIsNot) {
  world.key_policy(allow(R"({"AWS":"arn:aws:iam::111111111111:user/alice"})", "kms:RetireGrant"));
  EXPECT_FALSE(retires(Caller::user(kHome, "alice")));
  world.key_policy(deny("\"*\"", "kms:RetireGrant"));
  EXPECT_FALSE(retires(Caller::user(kForeign, "retirer")));
}

}  // namespace
}  // namespace kmsfs::kms::test
