#include "kms/decision/decision.h"

#include "tests/kms/decision/world.h"

namespace kmsfs::kms::test {
namespace {

TEST(Decision, WithoutAnyPolicyNobodyMayUseAKey) {
  EXPECT_EQ(World().decide("kms:Decrypt").verdict, Verdict::kImplicitDeny);
  EXPECT_FALSE(World().by(Caller::account_root(kHome)).allows("kms:Decrypt"));
}

TEST(Decision, AnIdentityPolicyAloneNeverOpensAKey) {
  World world;
  world.key_policy(allow(R"({"AWS":"arn:aws:iam::111111111111:user/alice"})", "kms:*")).identity(may("*"));
  const Decision decision = world.decide("kms:Decrypt");
  EXPECT_EQ(decision.verdict, Verdict::kImplicitDeny);
  EXPECT_EQ(decision.reason, Reason::kNoResourcePolicyAllows);
}

TEST(Decision, NamingTheAccountOnlyLetsIdentityPoliciesDecide) {
  World world;
  world.key_policy(allow(kHomeRoot, "kms:*"));
  EXPECT_EQ(world.decide("kms:Decrypt").reason, Reason::kNoIdentityPolicyAllows);
  world.identity(may("kms:Decrypt"));
  const Decision decision = world.decide("kms:Decrypt");
  EXPECT_TRUE(decision.allowed());
  EXPECT_EQ(decision.reason, Reason::kResourcePolicyAndIdentity);
  EXPECT_EQ(decision.first.kind, PolicyKind::kResource);
  EXPECT_EQ(decision.second.kind, PolicyKind::kIdentity);
  EXPECT_FALSE(world.allows("kms:Encrypt"));
}

TEST(Decision, TwelveDigitsMeanTheAccountToo) {
  World world;
  world.key_policy(allow(R"({"AWS":"111111111111"})", "kms:*"));
  EXPECT_FALSE(world.allows("kms:Decrypt"));
  EXPECT_TRUE(world.identity(may("kms:*")).allows("kms:Decrypt"));
}

TEST(Decision, DelegationReachesNoFurtherThanItsActionsAndConditions) {
  World world;
  world.key_policy(allow(kHomeRoot, "kms:Describe*")).identity(may("kms:*"));
  EXPECT_TRUE(world.allows("kms:DescribeKey"));
  EXPECT_FALSE(world.allows("kms:Decrypt"));
  world.key_policy(
      allow(kHomeRoot, "kms:*", R"("Condition":{"StringEquals":{"kms:EncryptionContext:app":"a"}})"));
  EXPECT_FALSE(world.allows("kms:Decrypt"));
  world.context = {{"app", "a"}};
  EXPECT_TRUE(world.allows("kms:Decrypt"));
}

TEST(Decision, TheRootOfTheAccountNeedsNoIdentityPolicyButTheKeyPolicyMustNameTheAccount) {
  World world;
  world.by(Caller::account_root(kHome)).key_policy(allow(kHomeRoot, "kms:*"));
  EXPECT_TRUE(world.allows("kms:PutKeyPolicy"));
  world.key_policy(allow(kBob, "kms:*"));
  EXPECT_FALSE(world.allows("kms:PutKeyPolicy"));
}

TEST(Decision, AUserNamedByTheKeyPolicyNeedsNoIdentityPolicy) {
  World world;
  world.key_policy(allow(kBob, "kms:Decrypt"));
  EXPECT_EQ(world.decide("kms:Decrypt").reason, Reason::kResourcePolicyNamesCaller);
  EXPECT_FALSE(world.allows("kms:Encrypt"));
  EXPECT_FALSE(world.by(Caller::user(kHome, "bobby")).allows("kms:Decrypt"));
  EXPECT_FALSE(world.by(Caller::user(kHome, "Bob")).allows("kms:Decrypt"));
}

TEST(Decision, EveryoneMeansCallersOfTheAccountWithoutPoliciesAndOthersOnlyWithTheirOwn) {
  World world;
  world.key_policy(allow("\"*\"", "kms:*"));
  EXPECT_TRUE(world.allows("kms:Decrypt"));
  world.by(Caller::user(kForeign, "eve"));
  EXPECT_FALSE(world.allows("kms:Decrypt"));
  EXPECT_TRUE(world.identity(may("kms:Decrypt")).allows("kms:Decrypt"));
}

TEST(Decision, AnExplicitDenyInAnyPolicyWinsOverEveryAllowAndEveryGrant) {
  World base;
  base.by(Caller::session(kHome, "worker", "s1"));
  base.key_policy(allow(R"({"AWS":"arn:aws:sts::111111111111:assumed-role/worker/s1"})", "kms:*"));
  base.identity(may("*")).grant(base.caller.arn, {"Decrypt"});
  ASSERT_TRUE(base.allows("kms:Decrypt"));

  const auto explicitly_denied = [](const World& world, PolicyKind kind) {
    const Decision decision = world.decide("kms:Decrypt");
    return decision.verdict == Verdict::kExplicitDeny && decision.first.kind == kind;
  };
  World world = base;
  world.key_policy(allow("\"*\"", "kms:*") + "," + deny("\"*\"", "kms:Decrypt"));
  EXPECT_TRUE(explicitly_denied(world, PolicyKind::kResource));
  world = base;
  world.identity(must_not("kms:Decrypt"));
  EXPECT_TRUE(explicitly_denied(world, PolicyKind::kIdentity));
  world = base;
  world.boundary(may("*") + "," + must_not("kms:D*"));
  EXPECT_TRUE(explicitly_denied(world, PolicyKind::kBoundary));
  world = base;
  world.session(may("*") + "," + must_not("kms:*"));
  EXPECT_TRUE(explicitly_denied(world, PolicyKind::kSession));
}

TEST(Decision, AnIdentityDenyCountsEvenWhereTheKeyPolicyDoesNotDelegate) {
  World world;
  world.key_policy(allow(kBob, "kms:*")).identity(must_not("kms:Decrypt"));
  EXPECT_EQ(world.decide("kms:Decrypt").verdict, Verdict::kExplicitDeny);
  EXPECT_TRUE(world.allows("kms:Encrypt"));
}

TEST(Decision, ADenyOfTheAccountHitsEveryPrincipalOfIt) {
  World world;
  world.key_policy(allow("\"*\"", "kms:*") + "," + deny(kHomeRoot, "kms:Decrypt"));
  EXPECT_FALSE(world.allows("kms:Decrypt"));
  EXPECT_FALSE(world.by(Caller::session(kHome, "worker", "s")).allows("kms:Decrypt"));
  EXPECT_FALSE(world.by(Caller::account_root(kHome)).allows("kms:Decrypt"));
  EXPECT_TRUE(world.by(Caller::user(kForeign, "eve")).identity(may("*")).allows("kms:Decrypt"));
}

TEST(Decision, AnotherAccountNeedsTheKeyPolicyAndItsOwnIdentityPolicy) {
  World world;
  world.by(Caller::user(kForeign, "eve")).key_policy(allow(kHomeRoot, "kms:*"));
  EXPECT_EQ(world.decide("kms:Decrypt").reason, Reason::kNoResourcePolicyAllows);
  world.identity(may("kms:Decrypt"));
  EXPECT_FALSE(world.allows("kms:Decrypt"));
  world.key_policy(allow(kHomeRoot, "kms:*") + "," + allow(kForeignRoot, "kms:Decrypt"));
  EXPECT_TRUE(world.allows("kms:Decrypt"));
  world.identities.clear();
  EXPECT_EQ(world.decide("kms:Decrypt").reason, Reason::kNoIdentityPolicyAllows);
}

TEST(Decision, NamingAForeignUserDirectlyIsStillNotEnough) {
  World world;
  world.by(Caller::user(kForeign, "eve"))
      .key_policy(allow(R"({"AWS":"arn:aws:iam::222222222222:user/eve"})", "kms:Decrypt"));
  EXPECT_FALSE(world.allows("kms:Decrypt"));
  EXPECT_TRUE(world.identity(may("kms:Decrypt")).allows("kms:Decrypt"));
}

TEST(Decision, ForeignBoundariesAndSessionPoliciesLimitToo) {
  World world;
  world.by(Caller::session(kForeign, "reader", "s"))
      .key_policy(allow(kForeignRoot, "kms:*"))
      .identity(may("kms:*"));
  ASSERT_TRUE(world.allows("kms:Decrypt"));
  World bounded = world;
  EXPECT_EQ(bounded.boundary(may("kms:Encrypt")).decide("kms:Decrypt").reason, Reason::kNoBoundaryAllows);
  EXPECT_EQ(world.session(may("kms:Encrypt")).decide("kms:Decrypt").reason, Reason::kNoSessionPolicyAllows);
}

TEST(Decision, ManagingAForeignKeyIsRefusedWhateverThePoliciesSay) {
  World world;
  world.by(Caller::user(kForeign, "eve")).key_policy(allow(kForeignRoot, "kms:*")).identity(may("*"));
  for (const char* action :
       {"kms:PutKeyPolicy", "kms:GetKeyPolicy", "kms:ListKeyPolicies", "kms:EnableKey", "kms:DisableKey",
        "kms:ScheduleKeyDeletion", "kms:CancelKeyDeletion", "kms:EnableKeyRotation", "kms:DisableKeyRotation",
        "kms:RotateKeyOnDemand", "kms:ListKeyRotations", "kms:TagResource", "kms:UntagResource",
        "kms:ListResourceTags", "kms:UpdateKeyDescription", "kms:CreateAlias", "kms:UpdateAlias",
        "kms:DeleteAlias"}) {
    EXPECT_EQ(world.decide(action).reason, Reason::kNotAcrossAccounts) << action;
  }
  for (const char* action :
       {"kms:Encrypt", "kms:Decrypt", "kms:ReEncryptFrom", "kms:ReEncryptTo", "kms:GenerateDataKey",
        "kms:GenerateDataKeyWithoutPlaintext", "kms:DescribeKey", "kms:GetKeyRotationStatus",
        "kms:CreateGrant", "kms:ListGrants", "kms:RevokeGrant"}) {
    EXPECT_TRUE(world.allows(action)) << action;
  }
}

TEST(Decision, AServiceManagedKeyIsNeverOpenedToAnotherAccount) {
  World world;
  world.key.manager = KeyManager::kService;
  world.by(Caller::user(kForeign, "eve")).key_policy(allow("\"*\"", "kms:*")).identity(may("*"));
  world.grant(world.caller.arn, {"Decrypt", "CreateGrant"});
  for (const char* action : {"kms:Decrypt", "kms:Encrypt", "kms:DescribeKey", "kms:CreateGrant"}) {
    EXPECT_EQ(world.decide(action).reason, Reason::kServiceManagedKeyOfAnotherAccount) << action;
  }
}

TEST(Decision, TheServiceManagedPolicyLetsTheAccountUseTheKeyAndNobodyChangeIt) {
  World world;
  world.key.manager = KeyManager::kService;
  world.resource_policy = World::parsed(service_managed_key_policy(kHome), PolicyUse::kKey);
  EXPECT_TRUE(world.allows("kms:Decrypt"));
  EXPECT_TRUE(world.allows("kms:GenerateDataKeyWithoutPlaintext"));
  for (const Caller& caller : {Caller::account_root(kHome), Caller::user(kHome, "bob")}) {
    world.by(caller).identity(may("*"));
    EXPECT_TRUE(world.allows("kms:GetKeyPolicy"));
    for (const char* action : {"kms:PutKeyPolicy", "kms:DisableKey", "kms:ScheduleKeyDeletion",
                               "kms:CreateGrant", "kms:TagResource"}) {
      EXPECT_FALSE(world.allows(action)) << action;
    }
  }
}

TEST(Decision, TheDefaultPolicyLeavesEverythingToTheAccount) {
  World world;
  world.resource_policy = World::parsed(default_key_policy(kHome), PolicyUse::kKey);
  EXPECT_EQ(world.resource_policy->id, "key-default-1");
  EXPECT_EQ(world.resource_policy->statements.at(0).sid, "Enable IAM User Permissions");
  EXPECT_FALSE(world.allows("kms:Decrypt"));
  EXPECT_TRUE(world.identity(may("kms:Decrypt")).allows("kms:Decrypt"));
  EXPECT_TRUE(world.by(Caller::account_root(kHome)).allows("kms:PutKeyPolicy"));
}

TEST(Decision, ARoleInThePolicyMeansItsSessionsAndBoundaryAndSessionPolicyStillLimitThem) {
  World world;
  world.by(Caller::session(kHome, "team/worker", "s1"))
      .key_policy(allow(R"({"AWS":"arn:aws:iam::111111111111:role/team/worker"})", "kms:*"));
  EXPECT_TRUE(world.allows("kms:Decrypt"));
  World bounded = world;
  bounded.boundary(may("kms:Encrypt"));
  EXPECT_EQ(bounded.decide("kms:Decrypt").reason, Reason::kNoBoundaryAllows);
  EXPECT_TRUE(bounded.allows("kms:Encrypt"));
  world.session(may("kms:Encrypt"));
  EXPECT_EQ(world.decide("kms:Decrypt").reason, Reason::kNoSessionPolicyAllows);
  EXPECT_TRUE(world.session(may("kms:Decrypt")).allows("kms:Decrypt"));
}

TEST(Decision, ASessionNamedDirectlyIsNotLimitedByImplicitDenies) {
  World world;
  world.by(Caller::session(kHome, "team/worker", "s1"))
      .key_policy(allow(R"({"AWS":"arn:aws:sts::111111111111:assumed-role/worker/s1"})", "kms:*"))
      .boundary(may("s3:*"))
      .session(may("s3:*"));
  EXPECT_TRUE(world.allows("kms:Decrypt"));
  EXPECT_FALSE(world.by(Caller::session(kHome, "team/worker", "s2")).allows("kms:Decrypt"));
}

TEST(Decision, AUserNamedDirectlyIsNotLimitedByItsBoundaryButDelegationIs) {
  World world;
  world.key_policy(allow(kBob, "kms:Decrypt") + "," + allow(kHomeRoot, "kms:*")).identity(may("kms:*"));
  world.boundary(may("kms:Describe*"));
  EXPECT_TRUE(world.allows("kms:Decrypt"));
  EXPECT_EQ(world.decide("kms:Encrypt").reason, Reason::kNoBoundaryAllows);
  EXPECT_TRUE(world.allows("kms:DescribeKey"));
}

TEST(Decision, ABoundaryAloneAllowsNothing) {
  World world;
  world.key_policy(allow(kHomeRoot, "kms:*")).boundary(may("*"));
  EXPECT_FALSE(world.allows("kms:Decrypt"));
}

TEST(Decision, AnIdentityMadeAnewUnderAnOldNameInheritsNothing) {
  World world;
  world.key_policy(allow(kBob, "kms:*"));
  world.resource_policy->bind_principals({{"arn:aws:iam::111111111111:user/bob", "AIDABOBBOBBOBBOBBOB1"}});
  EXPECT_TRUE(world.allows("kms:Decrypt"));
  world.caller.unique_id = "AIDABOBBOBBOBBOBBOB2";
  EXPECT_FALSE(world.allows("kms:Decrypt"));
  world.caller.unique_id.clear();
  EXPECT_FALSE(world.allows("kms:Decrypt"));
}

TEST(Decision, AUniqueIdNamesOneIdentity) {
  World world;
  world.key_policy(allow(R"({"AWS":"AIDABOBBOBBOBBOBBOB1"})", "kms:*"));
  EXPECT_TRUE(world.allows("kms:Decrypt"));
  world.caller.unique_id = "AIDABOBBOBBOBBOBBOB2";
  EXPECT_FALSE(world.allows("kms:Decrypt"));
}

TEST(Decision, ServicesAreReachedByTheirNameOnly) {
  World world;
  world.caller.type = CallerType::kService;
  world.caller.arn = "kmsfs.amazonaws.com";
  world.key_policy(allow(R"({"Service":"kmsfs.amazonaws.com"})", "kms:Decrypt"));
  EXPECT_TRUE(world.allows("kms:Decrypt"));
  world.key_policy(allow(R"({"Service":"other.amazonaws.com"})", "kms:Decrypt"));
  EXPECT_FALSE(world.allows("kms:Decrypt"));
  world.key_policy(allow(kHomeRoot, "kms:Decrypt")).identity(may("*"));
  EXPECT_FALSE(world.allows("kms:Decrypt"));
}

TEST(Decision, NotPrincipalSparesACallerOnlyIfItsAccountIsListedToo) {
  const auto denied_but = [](const std::string& spared) {
    return allow("\"*\"", "kms:*") + R"(,{"Effect":"Deny","NotPrincipal":)" + spared +
           R"(,"Action":"kms:Decrypt","Resource":"*"})";
  };
  World world;
  world.key_policy(
      denied_but(R"({"AWS":["arn:aws:iam::111111111111:user/bob","arn:aws:iam::111111111111:root"]})"));
  EXPECT_TRUE(world.allows("kms:Decrypt"));
  World alice = world;
  EXPECT_FALSE(alice.by(Caller::user(kHome, "alice")).allows("kms:Decrypt"));
  world.key_policy(denied_but(kBob));
  EXPECT_FALSE(world.allows("kms:Decrypt"));
  world.key_policy(denied_but(kHomeRoot));
  EXPECT_FALSE(world.allows("kms:Decrypt"));
}

TEST(Decision, NotPrincipalSparesASessionOnlyIfAccountRoleAndSessionAreListed) {
  const std::string role = R"("arn:aws:iam::111111111111:role/worker")";
  const std::string session = R"("arn:aws:sts::111111111111:assumed-role/worker/s1")";
  const std::string account = R"("arn:aws:iam::111111111111:root")";
  const auto escapes = [](const std::string& spared) {
    World world;
    world.by(Caller::session(kHome, "worker", "s1"));
    world.key_policy(allow("\"*\"", "kms:*") + R"(,{"Effect":"Deny","NotPrincipal":{"AWS":[)" + spared +
                     R"(]},"Action":"kms:Decrypt","Resource":"*"})");
    return world.allows("kms:Decrypt");
  };
  EXPECT_TRUE(escapes(role + "," + session + "," + account));
  EXPECT_FALSE(escapes(role + "," + session));
  EXPECT_FALSE(escapes(role + "," + account));
  EXPECT_FALSE(escapes(session + "," + account));
}

TEST(Decision, ActionsMatchInAnyCaseWithWildcards) {
  World world;
  world.key_policy(allow(kBob, "KMS:gen*KEY") + "," + allow(kBob, "kms:?ncrypt"));
  EXPECT_TRUE(world.allows("kms:GenerateDataKey"));
  EXPECT_FALSE(world.allows("kms:GenerateDataKeyWithoutPlaintext"));
  EXPECT_TRUE(world.allows("kms:Encrypt"));
  EXPECT_FALSE(world.allows("kms:Decrypt"));
}

TEST(Decision, NotActionAllowsAllThatItDoesNotList) {
  World world;
  world.key_policy(
      R"({"Effect":"Allow","Principal":"*","NotAction":["kms:Put*","kms:Decrypt"],"Resource":"*"})");
  EXPECT_TRUE(world.allows("kms:Encrypt"));
  EXPECT_FALSE(world.allows("kms:Decrypt"));
  EXPECT_FALSE(world.allows("kms:PutKeyPolicy"));
}

TEST(Decision, AStatementWithoutActionOrResourceIsInert) {
  World world;
  world.key_policy(R"({"Effect":"Allow","Principal":"*","Action":"kms:*"})");
  EXPECT_FALSE(world.allows("kms:Decrypt"));
  world.key_policy(R"({"Effect":"Allow","Principal":"*","Resource":"*"})");
  EXPECT_FALSE(world.allows("kms:Decrypt"));
}

TEST(Decision, ResourcesOfIdentityPoliciesMatchTheKeyArnPartByPart) {
  const auto reaches = [](const std::string& resource, const std::string& element = "Resource") {
    World world;
    world.key_policy(allow(kHomeRoot, "kms:*"));
    world.identity(R"({"Effect":"Allow","Action":"kms:*",")" + element + R"(":")" + resource + R"("})");
    return world.allows("kms:Decrypt");
  };
  EXPECT_TRUE(reaches(kKeyArn));
  EXPECT_TRUE(reaches("arn:aws:kms:*:111111111111:key/*"));
  EXPECT_TRUE(reaches("arn:aws:kms:eu-west-?:*:key/0d99*"));
  EXPECT_TRUE(reaches("arn:aws:kms:*"));
  EXPECT_FALSE(reaches("arn:aws:kms:*:222222222222:key/*"));
  EXPECT_FALSE(reaches("arn:aws:kms:*:key/*"));
  EXPECT_FALSE(reaches("arn:aws:KMS:*:111111111111:key/*"));
  EXPECT_FALSE(reaches("arn:aws:kms:eu-west-1:111111111111:alias/*"));
  EXPECT_FALSE(reaches(kKeyArn, "NotResource"));
  EXPECT_TRUE(reaches("arn:aws:kms:*:222222222222:key/*", "NotResource"));
}

TEST(Decision, AliasesAreDecidedByTheIdentityPoliciesOfTheirAccount) {
  World world;
  world.identity(
      R"({"Effect":"Allow","Action":"kms:CreateAlias","Resource":"arn:aws:kms:*:111111111111:alias/app-*"})");
  const char* app = "arn:aws:kms:eu-west-1:111111111111:alias/app-1";
  EXPECT_TRUE(decide(world.asking_about("kms:CreateAlias", app), world.policies()).allowed());
  EXPECT_FALSE(decide(world.asking_about("kms:DeleteAlias", app), world.policies()).allowed());
  const char* other = "arn:aws:kms:eu-west-1:111111111111:alias/other";
  EXPECT_FALSE(decide(world.asking_about("kms:CreateAlias", other), world.policies()).allowed());
  const char* foreign = "arn:aws:kms:eu-west-1:222222222222:alias/app-1";
  world.identity(may("*"));
  EXPECT_EQ(decide(world.asking_about("kms:CreateAlias", foreign, kForeign), world.policies()).reason,
            Reason::kNotAcrossAccounts);
}

TEST(Decision, OperationsThatNameNoKeyAreDecidedByIdentityPoliciesAlone) {
  World world;
  const auto allowed = [&](std::string_view action) {
    return decide(world.asking_about(action, "*"), world.policies()).allowed();
  };
  EXPECT_FALSE(allowed("kms:ListKeys"));
  world.identity(may("kms:List*"));
  EXPECT_TRUE(allowed("kms:ListKeys"));
  EXPECT_FALSE(allowed("kms:CreateKey"));
  world.boundary(may("kms:ListAliases"));
  EXPECT_FALSE(allowed("kms:ListKeys"));
  world.by(Caller::account_root(kHome)).boundary_policy.reset();
  EXPECT_TRUE(allowed("kms:CreateKey"));
}

TEST(Decision, UsingAKeyWithoutNamingItIsNeverAllowed) {
  World world;
  world.identity(may("*")).key_policy(allow(kHomeRoot, "kms:*"));
  Request request = world.asking_about("kms:Decrypt", "*");
  PolicySet policies = world.policies();
  policies.resource_policy = nullptr;
  EXPECT_FALSE(decide(request, policies).allowed());
  request.resource = "arn:aws:kms:eu-west-1:111111111111:alias/mine";
  EXPECT_FALSE(decide(request, policies).allowed());
}

TEST(Decision, ATrustPolicyDecidesWhoMayAssumeARole) {
  World world;
  const char* role = "arn:aws:iam::111111111111:role/worker";
  const auto assumes = [&](Caller caller) {
    world.by(std::move(caller));
    return decide(world.asking_about("sts:AssumeRole", role), world.policies()).allowed();
  };
  world.identity(may("sts:AssumeRole"));
  EXPECT_FALSE(assumes(Caller::user(kHome, "bob")));
  world.resource_policy = World::parsed(
      document(
          R"({"Effect":"Allow","Principal":{"AWS":["arn:aws:iam::222222222222:root","arn:aws:iam::111111111111:user/bob"]},)"
          R"("Action":"sts:AssumeRole"})"),
      PolicyUse::kTrust);
  EXPECT_TRUE(assumes(Caller::user(kForeign, "eve")));
  EXPECT_FALSE(assumes(Caller::user(kHome, "alice")));
  world.identities.clear();
  EXPECT_TRUE(assumes(Caller::user(kHome, "bob")));
  EXPECT_FALSE(assumes(Caller::user(kForeign, "eve")));
}

TEST(Decision, ManagingAndUsingAreSeparate) {
  World world;
  const std::string admin = R"({"AWS":"arn:aws:iam::111111111111:user/alice"})";
  world.key_policy(allow(admin, "kms:Put*") + "," + allow(admin, "kms:Disable*") + "," +
                   allow(kBob, "kms:*crypt"));
  EXPECT_TRUE(world.allows("kms:Encrypt"));
  EXPECT_FALSE(world.allows("kms:PutKeyPolicy"));
  EXPECT_FALSE(world.allows("kms:DisableKey"));
  world.by(Caller::user(kHome, "alice"));
  EXPECT_TRUE(world.allows("kms:DisableKey"));
  EXPECT_FALSE(world.allows("kms:Decrypt"));
}

TEST(Lockout, APolicyThatLeavesItsAuthorUnableToChangeItIsRefused) {
  World world;
  world.key_policy(allow(kBob, "kms:*"));
  const auto lockout = [&](const std::string& statements) {
    const Policy next = World::parsed(document(statements), PolicyUse::kKey);
    return check_lockout(world.asking("kms:PutKeyPolicy"), world.policies(), next);
  };
  EXPECT_TRUE(lockout(allow(kBob, "kms:PutKeyPolicy")).ok());
  const auto refused = lockout(allow(kBob, "kms:Decrypt"));
  ASSERT_FALSE(refused.ok());
  EXPECT_STREQ(refused.error().code, "MalformedPolicyDocumentException");
  EXPECT_EQ(refused.error().text,
            "The new key policy will not allow you to update the key policy in the future.");
  EXPECT_FALSE(lockout(allow(kHomeRoot, "kms:*")).ok());
  world.identity(may("kms:PutKeyPolicy"));
  EXPECT_TRUE(lockout(allow(kHomeRoot, "kms:*")).ok());
  EXPECT_FALSE(lockout(allow(kHomeRoot, "kms:*") + "," + deny("\"*\"", "kms:Put*")).ok());
}

}  // namespace
}  // namespace kmsfs::kms::test
