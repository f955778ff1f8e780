#include "kms/decision/condition.h"

#include "tests/kms/decision/world.h"

namespace kmsfs::kms::test {
namespace {

World with_context(EncryptionContext context) {
  World world;
  world.context = std::move(context);
  return world;
}

// {"OP":{"kms:EncryptionContext:k":VALUES}}
std::string on_k(const std::string& op, const std::string& values) {
  return R"({")" + op + R"(":{"kms:EncryptionContext:k":)" + values + "}}";
}

struct TextCase {
  const char* op;
  const char* values;
  bool for_alpha;   // k = "Alpha"
  bool for_absent;  // no k
};

class TextOperators : public ::testing::TestWithParam<TextCase> {};

TEST_P(TextOperators, HoldAsAwsSays) {
  const TextCase& one = GetParam();
  EXPECT_EQ(holds(with_context({{"k", "Alpha"}}), on_k(one.op, one.values)), one.for_alpha);
  EXPECT_EQ(holds(World(), on_k(one.op, one.values)), one.for_absent);
}

INSTANTIATE_TEST_SUITE_P(Matrix, TextOperators,
                         ::testing::Values(TextCase{"StringEquals", R"("Alpha")", true, false},
                                           TextCase{"StringEquals", R"("alpha")", false, false},
                                           TextCase{"StringEquals", R"("Alp*")", false, false},
                                           TextCase{"StringEquals", R"(["Beta","Alpha"])", true, false},
                                           TextCase{"StringNotEquals", R"("Alpha")", false, true},
                                           TextCase{"StringNotEquals", R"(["Beta","Alpha"])", false, true},
                                           TextCase{"StringNotEquals", R"("Beta")", true, true},
                                           TextCase{"StringEqualsIgnoreCase", R"("aLPHA")", true, false},
                                           TextCase{"StringNotEqualsIgnoreCase", R"("aLPHA")", false, true},
                                           TextCase{"StringLike", R"("A*a")", true, false},
                                           TextCase{"StringLike", R"("A?pha")", true, false},
                                           TextCase{"StringLike", R"("a*")", false, false},
                                           TextCase{"StringLike", R"("A?")", false, false},
                                           TextCase{"StringNotLike", R"("A*")", false, true},
                                           TextCase{"StringNotLike", R"("B*")", true, true},
                                           TextCase{"StringEqualsIfExists", R"("Alpha")", true, true},
                                           TextCase{"StringEqualsIfExists", R"("Beta")", false, true},
                                           TextCase{"StringNotEqualsIfExists", R"("Alpha")", false, true},
                                           TextCase{"ForAnyValue:StringEquals", R"("Alpha")", true, false},
                                           TextCase{"ForAnyValue:StringNotEquals", R"("Beta")", true, false},
                                           TextCase{"Null", R"("true")", false, true},
                                           TextCase{"Null", "false", true, false},
                                           TextCase{"stringequals", R"("Alpha")", true, false},
                                           TextCase{"BinaryEquals", R"("QWxwaGE=")", false, false}));

TEST(Conditions, OperatorsAndKeysAreAllNeeded) {
  const World world = with_context({{"a", "1"}, {"b", "2"}});
  EXPECT_TRUE(
      holds(world, R"({"StringEquals":{"kms:EncryptionContext:a":"1","kms:EncryptionContext:b":"2"}})"));
  EXPECT_FALSE(
      holds(world, R"({"StringEquals":{"kms:EncryptionContext:a":"1","kms:EncryptionContext:b":"3"}})"));
  EXPECT_FALSE(holds(
      world, R"({"StringEquals":{"kms:EncryptionContext:a":"1"},"Null":{"kms:EncryptionContext:b":true}})"));
}

TEST(Conditions, KeyNamesIgnoreCaseAndValuesDoNot) {
  const World world = with_context({{"AppName", "Payroll"}});
  EXPECT_TRUE(holds(world, R"({"StringEquals":{"KMS:encryptioncontext:appname":"Payroll"}})"));
  EXPECT_FALSE(holds(world, R"({"StringEquals":{"kms:EncryptionContext:AppName":"payroll"}})"));
  EXPECT_TRUE(holds(world, R"({"StringEquals":{"AWS:PRINCIPALACCOUNT":"111111111111"}})"));
}

TEST(Conditions, AContextNameOfAnotherCaseDoesNotHideTheExactOne) {
  const World world = with_context({{"APP", "x"}, {"app", "y"}});
  EXPECT_TRUE(holds(world, R"({"StringEquals":{"kms:EncryptionContext:app":"y"}})"));
  EXPECT_FALSE(holds(world, R"({"StringEquals":{"kms:EncryptionContext:app":"x"}})"));
}

TEST(Conditions, SetOperatorsLookAtEveryValue) {
  const World two = with_context({{"a", "1"}, {"b", "2"}});
  const auto keys = [](const std::string& op, const std::string& values) {
    return R"({")" + op + R"(":{"kms:EncryptionContextKeys":)" + values + "}}";
  };
  EXPECT_TRUE(holds(two, keys("ForAllValues:StringEquals", R"(["a","b","c"])")));
  EXPECT_FALSE(holds(two, keys("ForAllValues:StringEquals", R"(["a"])")));
  EXPECT_TRUE(holds(two, keys("ForAnyValue:StringEquals", R"(["a"])")));
  EXPECT_FALSE(holds(two, keys("ForAnyValue:StringEquals", R"(["A"])")));
  EXPECT_TRUE(holds(two, keys("ForAnyValue:StringNotEquals", R"(["a"])")));
  EXPECT_FALSE(holds(two, keys("ForAllValues:StringNotEquals", R"(["a"])")));
  EXPECT_TRUE(holds(two, keys("ForAllValues:StringNotEquals", R"(["c"])")));
  EXPECT_TRUE(holds(World(), keys("ForAllValues:StringEquals", R"(["a"])")));
  EXPECT_FALSE(holds(World(), keys("ForAnyValue:StringEquals", R"(["a"])")));
  EXPECT_FALSE(holds(World(), keys("ForAnyValue:StringNotEquals", R"(["a"])")));
}

TEST(Conditions, NumbersAreComparedAsNumbers) {
  World world;
  world.request.pending_window_days = 10;
  const auto window = [&](const std::string& op, const std::string& value) {
    return holds(world, R"({")" + op + R"(":{"kms:ScheduleKeyDeletionPendingWindowInDays":)" + value + "}}");
  };
  EXPECT_TRUE(window("NumericEquals", R"("10.0")"));
  EXPECT_TRUE(window("NumericGreaterThan", "9"));
  EXPECT_FALSE(window("NumericGreaterThan", "10"));
  EXPECT_TRUE(window("NumericGreaterThanEquals", "10"));
  EXPECT_TRUE(window("NumericLessThan", R"("100")"));
  EXPECT_FALSE(window("NumericLessThan", "10"));
  EXPECT_TRUE(window("NumericLessThanEquals", "10"));
  EXPECT_FALSE(window("NumericNotEquals", "10"));
}

TEST(Conditions, BinaryValuesAreComparedDecoded) {
  const World world = with_context({{"k", "QWxwaGE="}});
  EXPECT_TRUE(holds(world, on_k("BinaryEquals", R"(["QUFB","QWxwaGE="])")));
  EXPECT_FALSE(holds(world, on_k("BinaryEquals", R"("QWxwaGI=")")));
}

TEST(Conditions, DatesAreInstants) {
  const World world;  // 2027-01-15T08:00:00Z
  const auto now = [&](const std::string& op, const std::string& value,
                       const std::string& key = "aws:CurrentTime") {
    return holds(world, R"({")" + op + R"(":{")" + key + R"(":")" + value + R"("}})");
  };
  EXPECT_TRUE(now("DateEquals", "2027-01-15T08:00:00Z"));
  EXPECT_TRUE(now("DateEquals", "2027-01-15T09:30:00+01:30"));
  EXPECT_TRUE(now("DateEquals", "1800000000"));
  EXPECT_TRUE(now("DateGreaterThan", "2027-01-15"));
  EXPECT_FALSE(now("DateGreaterThan", "2027-01-15T08:00:00Z"));
  EXPECT_TRUE(now("DateGreaterThanEquals", "2027-01-15T08:00:00Z"));
  EXPECT_TRUE(now("DateLessThan", "2027-01-15T08:00:00.500Z"));
  EXPECT_FALSE(now("DateLessThan", "2026-12-31T23:59:59Z"));
  EXPECT_TRUE(now("DateLessThanEquals", "1800000000", "aws:EpochTime"));
  EXPECT_FALSE(now("DateNotEquals", "1800000000", "aws:EpochTime"));
  EXPECT_TRUE(now("NumericLessThan", "1800000001", "aws:EpochTime"));
}

TEST(Conditions, ADateThatDoesNotExistIsRefused) {
  for (const char* text : {"2027-02-30", "2027-13-01", "2027-01-15T25:00:00Z", "2027-01-15T08:00:00X",
                           "yesterday", "", "2027-01-15T08:00:00+0", "1e400", "-1", "2027-1-1"}) {
    EXPECT_FALSE(parse_date(text).ok()) << text;
  }
}

TEST(Conditions, AddressesMatchByTheirPrefix) {
  World world;
  const auto from = [&](const std::string& address, const std::string& op, const std::string& ranges) {
    world.circumstances.source_ip = address;
    return holds(world, R"({")" + op + R"(":{"aws:SourceIp":)" + ranges + "}}");
  };
  EXPECT_TRUE(from("203.0.113.77", "IpAddress", R"("203.0.113.0/24")"));
  EXPECT_FALSE(from("203.0.114.1", "IpAddress", R"("203.0.113.0/24")"));
  EXPECT_TRUE(from("203.0.113.130", "IpAddress", R"("203.0.113.128/25")"));
  EXPECT_FALSE(from("203.0.113.127", "IpAddress", R"("203.0.113.128/25")"));
  EXPECT_TRUE(from("10.1.2.3", "IpAddress", R"(["192.0.2.1","10.1.2.3"])"));
  EXPECT_FALSE(from("10.1.2.4", "IpAddress", R"("10.1.2.3")"));
  EXPECT_TRUE(from("2001:db8::17", "IpAddress", R"("2001:db8::/32")"));
  EXPECT_FALSE(from("2001:db9::17", "IpAddress", R"("2001:db8::/32")"));
  EXPECT_FALSE(from("10.1.2.3", "IpAddress", R"("::/0")"));
  EXPECT_TRUE(from("::ffff:10.1.2.3", "IpAddress", R"("10.0.0.0/8")"));
  EXPECT_FALSE(from("10.1.2.3", "NotIpAddress", R"("10.0.0.0/8")"));
  EXPECT_TRUE(from("", "NotIpAddress", R"("10.0.0.0/8")"));
  EXPECT_FALSE(from("", "IpAddress", R"("0.0.0.0/0")"));
}

TEST(Conditions, AnAddressThatIsNoneIsRefused) {
  for (const char* text :
       {"10.0.0.0/33", "10.0.0/8", "10.0.0.0/", "10.0.0.0/x", "2001:db8::/129", "host", "", "1.2.3.4/-1"}) {
    EXPECT_FALSE(parse_address_range(text).ok()) << text;
  }
}

TEST(Conditions, ArnsMatchPartByPart) {
  const World world;
  const auto principal = [&](const std::string& op, const std::string& value) {
    return holds(world, R"({")" + op + R"(":{"aws:PrincipalArn":")" + value + R"("}})");
  };
  EXPECT_TRUE(principal("ArnLike", "arn:aws:iam::111111111111:user/*"));
  EXPECT_TRUE(principal("ArnEquals", "arn:aws:iam::*:user/b?b"));
  EXPECT_FALSE(principal("ArnLike", "arn:*:user/bob"));
  EXPECT_FALSE(principal("ArnLike", "arn:aws:iam::222222222222:*"));
  EXPECT_FALSE(principal("ArnNotLike", "arn:aws:iam::111111111111:*"));
  EXPECT_TRUE(principal("ArnNotEquals", "arn:aws:iam::222222222222:*"));
}

TEST(Conditions, ThePrincipalArnOfASessionIsItsRole) {
  World world;
  world.by(Caller::session(kHome, "team/worker", "s1"));
  world.caller.unique_id = "AROAWORKERWORKER0001";
  EXPECT_TRUE(
      holds(world, R"({"ArnEquals":{"aws:PrincipalArn":"arn:aws:iam::111111111111:role/team/worker"}})"));
  EXPECT_TRUE(holds(world, R"({"StringEquals":{"aws:userid":"AROAWORKERWORKER0001:s1"}})"));
  EXPECT_TRUE(holds(world, R"({"StringEquals":{"aws:PrincipalType":"AssumedRole"}})"));
  EXPECT_TRUE(holds(world, R"({"Null":{"aws:username":"true"}})"));
}

TEST(Conditions, EveryFactOfTheCallHasItsKey) {
  World world = with_context({{"k", "v"}});
  world.key.aliases = {"alias/a", "alias/b"};
  world.key.tags = {{"Env", "prod"}};
  world.caller.tags = {{"Team", "red"}};
  world.caller.token_issued_ms = 1'799'999'000'000;
  world.caller.multi_factor = true;
  world.circumstances.user_agent = "aws-cli/2";
  world.circumstances.via_service = "kmsfs.eu-west-1.amazonaws.com";
  world.circumstances.secure_transport = true;
  const Tags request_tags = {{"Cost", "7"}};
  const std::vector<std::string> gone = {"Old"};
  world.request.request_tags = &request_tags;
  world.request.tag_keys = &gone;
  world.request.request_alias = "alias/a";
  world.request.reencrypt_on_same_key = true;
  world.request.bypass_policy_lockout_safety_check = false;
  world.request.rotation_period_days = 90;
  for (
      const char* condition : {
          R"({"StringEquals":{"kms:EncryptionAlgorithm":"SYMMETRIC_DEFAULT"}})",
          R"({"StringEquals":{"kms:KeySpec":"SYMMETRIC_DEFAULT","kms:CustomerMasterKeySpec":"SYMMETRIC_DEFAULT"}})",
          R"({"StringEquals":{"kms:KeyUsage":"ENCRYPT_DECRYPT","kms:KeyOrigin":"AWS_KMS"}})",
          R"({"StringEquals":{"kms:RequestAlias":"alias/a","kms:CallerAccount":"111111111111"}})",
          R"({"ForAnyValue:StringEquals":{"kms:ResourceAliases":"alias/b"}})",
          R"({"StringEquals":{"kms:ViaService":"kmsfs.eu-west-1.amazonaws.com"}})",
          R"({"Bool":{"kms:ReEncryptOnSameKey":"true","kms:BypassPolicyLockoutSafetyCheck":"false"}})",
          R"({"Bool":{"kms:MultiRegion":"false","aws:SecureTransport":"TRUE","aws:MultiFactorAuthPresent":true}})",
          R"({"NumericLessThan":{"kms:RotationPeriodInDays":"91"}})",
          R"({"StringEquals":{"aws:PrincipalTag/team":"red","aws:ResourceTag/Env":"prod","aws:RequestTag/Cost":"7"}})",
          R"({"ForAllValues:StringEquals":{"aws:TagKeys":["Cost","Old"]}})",
          R"({"StringEquals":{"aws:username":"bob","aws:userid":"AIDABOBBOBBOBBOBBOB1"}})",
          R"({"StringEquals":{"aws:PrincipalType":"User","aws:RequestedRegion":"eu-west-1"}})",
          R"({"StringLike":{"aws:UserAgent":"aws-cli/*"},"StringEquals":{"aws:ResourceAccount":"111111111111"}})",
          R"({"DateLessThan":{"aws:TokenIssueTime":"1800000000"},"Bool":{"aws:PrincipalIsAWSService":"false"}})",
      }) {
    EXPECT_TRUE(holds(world, condition)) << condition;
  }
}

TEST(Conditions, WhatTheCallDoesNotHaveIsAbsent) {
  for (const char* key :
       {"kms:ViaService", "kms:RequestAlias", "kms:ResourceAliases", "kms:EncryptionContextKeys",
        "kms:BypassPolicyLockoutSafetyCheck", "kms:GrantOperations", "kms:GrantIsForAWSResource",
        "kms:GrantConstraintType", "aws:SourceIp", "aws:TokenIssueTime", "aws:MultiFactorAuthPresent",
        "aws:SourceVpc", "kms:EncryptionContext:k", "aws:TagKeys"}) {
    EXPECT_TRUE(holds(World(), R"({"Null":{")" + std::string(key) + R"(":"true"}})")) << key;
  }
}

TEST(Variables, StandForFactsOfTheCaller) {
  World world = with_context({{"owner", "bob"}});
  world.caller.tags = {{"team", "red"}};
  EXPECT_TRUE(holds(world, R"({"StringEquals":{"kms:EncryptionContext:owner":"${aws:username}"}})"));
  EXPECT_TRUE(holds(world, R"({"StringLike":{"kms:EncryptionContext:owner":"${aws:username}*"}})"));
  world.context = {{"owner", "alice"}};
  EXPECT_FALSE(holds(world, R"({"StringEquals":{"kms:EncryptionContext:owner":"${aws:username}"}})"));
  world.context = {{"owner", "red"}};
  EXPECT_TRUE(holds(world, R"({"StringEquals":{"kms:EncryptionContext:owner":"${aws:PrincipalTag/team}"}})"));
  world.context = {{"owner", "none"}};
  EXPECT_TRUE(
      holds(world, R"({"StringEquals":{"kms:EncryptionContext:owner":"${aws:PrincipalTag/x, 'none'}"}})"));
}

TEST(Variables, AnUnresolvedOneMatchesNothingAndInvertedOperatorsHold) {
  const World world = with_context({{"owner", ""}});
  EXPECT_FALSE(holds(world, R"({"StringEquals":{"kms:EncryptionContext:owner":"${aws:PrincipalTag/x}"}})"));
  EXPECT_TRUE(holds(world, R"({"StringNotEquals":{"kms:EncryptionContext:owner":"${aws:PrincipalTag/x}"}})"));
  EXPECT_FALSE(
      holds(world, R"({"StringLike":{"kms:EncryptionContext:owner":"${kms:EncryptionContextKeys}*"}})"));
}

TEST(Variables, AStarInATagIsNoWildcard) {
  World world = with_context({{"owner", "anybody"}});
  world.caller.tags = {{"team", "*"}};
  EXPECT_FALSE(holds(world, R"({"StringLike":{"kms:EncryptionContext:owner":"${aws:PrincipalTag/team}"}})"));
  world.context = {{"owner", "*"}};
  EXPECT_TRUE(holds(world, R"({"StringLike":{"kms:EncryptionContext:owner":"${aws:PrincipalTag/team}"}})"));
  world.context = {{"owner", "x"}};
  EXPECT_FALSE(holds(world, R"({"StringLike":{"kms:EncryptionContext:owner":"${*}"}})"));
  world.context = {{"owner", "*?$"}};
  EXPECT_TRUE(holds(world, R"({"StringLike":{"kms:EncryptionContext:owner":"${*}${?}${$}"}})"));
}

TEST(Variables, AreTextInPoliciesOfTheOldVersion) {
  World world = with_context({{"owner", "${aws:username}"}});
  world.resource_policy = World::parsed(
      R"({"Version":"2008-10-17","Statement":{"Effect":"Allow","Principal":"*","Action":"kms:*","Resource":"*",)"
      R"("Condition":{"StringEquals":{"kms:EncryptionContext:owner":"${aws:username}"}}}})",
      PolicyUse::kKey);
  EXPECT_TRUE(world.allows("kms:Decrypt"));
  world.context = {{"owner", "bob"}};
  EXPECT_FALSE(world.allows("kms:Decrypt"));
}

TEST(Variables, InNotResourceAnUnresolvedOneAllowsNothing) {
  World world;
  world.key_policy(allow(kHomeRoot, "kms:*"));
  world.identity(
      R"({"Effect":"Allow","Action":"kms:*","NotResource":"arn:aws:kms:*:*:key/${aws:PrincipalTag/x}"})");
  EXPECT_FALSE(world.allows("kms:Decrypt"));
  world.caller.tags = {{"x", "another"}};
  EXPECT_TRUE(world.allows("kms:Decrypt"));
}

}  // namespace
}  // namespace kmsfs::kms::test
