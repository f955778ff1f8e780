#include "tests/kms/decision/world.h"

namespace kmsfs::kms::test {
namespace {

std::string refusal(const std::string& text, PolicyUse use = PolicyUse::kKey) {
  const auto policy = parse_policy(text, use);
  if (policy.ok()) return "";
  EXPECT_STREQ(policy.error().code, "MalformedPolicyDocumentException");
  EXPECT_EQ(policy.error().kind, Kind::kInvalid);
  return policy.error().text;
}

struct Refused {
  const char* text;
  const char* says;  // a part of the message
};

class RefusedKeyPolicies : public ::testing::TestWithParam<Refused> {};

TEST_P(RefusedKeyPolicies, SayWhereAndWhat) {
  const std::string text = refusal(GetParam().text);
  EXPECT_NE(text.find(GetParam().says), std::string::npos) << text << "\n" << GetParam().text;
  EXPECT_NE(text, "");
}

#define STATEMENT(x) R"({"Version":"2012-10-17","Statement":[{)" x "}]}"
#define REST R"("Effect":"Allow","Action":"kms:*","Resource":"*")"
#define WITH_CONDITION(x) STATEMENT(REST R"(,"Principal":"*","Condition":)" x)

INSTANTIATE_TEST_SUITE_P(
    Matrix, RefusedKeyPolicies,
    ::testing::Values(
        Refused{"", "not valid JSON"}, Refused{"my policy", "not valid JSON"},
        Refused{"[]", "must be an object"}, Refused{"{}", "has no Statement"},
        Refused{R"({"Statement":[]})", "empty list"},
        Refused{R"({"Version":"2012-10-17","Statement":[{)" REST "}", "not valid JSON"},
        Refused{R"({"Statement":[],"Statement":[]})", "'Statement' twice"},
        Refused{R"({"Version":"2013-01-01","Statement":[]})", "Version"},
        Refused{R"({"Statements":[]})", "'Statements'"}, Refused{R"({"Id":7,"Statement":[]})", "Id"},
        Refused{R"({"Statement":["x"]})", "Statement[0]: must be an object"},
        Refused{STATEMENT(REST), "Statement[0]: has no Principal"},
        Refused{STATEMENT(R"("Principal":"*","Action":"kms:*","Resource":"*")"), "has no Effect"},
        Refused{STATEMENT(R"("Principal":"*","Effect":"allow")"), "Effect: must be"},
        Refused{STATEMENT(REST R"(,"Principal":"*","Extra":1)"), "'Extra'"},
        Refused{STATEMENT(REST R"(,"Principal":"*","Sid":1)"), "Sid"},
        Refused{STATEMENT(REST R"(,"Principal":"*","NotAction":"kms:*")"), "both Action and NotAction"},
        Refused{STATEMENT(REST R"(,"Principal":"*","NotResource":"*")"), "both Resource and NotResource"},
        Refused{STATEMENT(REST R"(,"Principal":"*","NotPrincipal":"*")"), "both Principal and NotPrincipal"},
        Refused{STATEMENT(REST R"(,"NotPrincipal":{"AWS":"111111111111"})"), "cannot be used with 'Allow'"},
        Refused{STATEMENT(REST R"(,"Principal":"bob")"), "Principal: must be"},
        Refused{STATEMENT(REST R"(,"Principal":{})"), "Principal: must be"},
        Refused{STATEMENT(REST R"(,"Principal":{"AWS":[]})"), "empty list"},
        Refused{STATEMENT(REST R"(,"Principal":{"AWS":7})"), "string or a list"},
        Refused{STATEMENT(REST R"(,"Principal":{"Federated":"x"})"), "'Federated'"},
        Refused{STATEMENT(REST R"(,"Principal":{"Service":"kms"})"), "name of a service"},
        Refused{STATEMENT(REST R"(,"Principal":{"AWS":"11111111111"})"), "not the ARN of a principal"},
        Refused{STATEMENT(REST R"(,"Principal":{"AWS":"arn:aws:iam::111111111111:user/*"})"), "wildcard"},
        Refused{STATEMENT(REST R"(,"Principal":{"AWS":"arn:aws:iam::111111111111:group/g"})"), "groups"},
        Refused{STATEMENT(REST R"(,"Principal":{"AWS":"arn:aws:iam::1:user/bob"})"), "12 digits"},
        Refused{STATEMENT(REST R"(,"Principal":{"AWS":"arn:aws:iam::111111111111:user/"})"), "no valid name"},
        Refused{STATEMENT(REST R"(,"Principal":{"AWS":"arn:aws:sts::111111111111:assumed-role/r"})"),
                "session"},
        Refused{STATEMENT(R"("Effect":"Allow","Principal":"*","Action":"Decrypt","Resource":"*")"),
                "not an action"},
        Refused{STATEMENT(R"("Effect":"Allow","Principal":"*","Action":"k*s:Decrypt","Resource":"*")"),
                "not an action"},
        Refused{STATEMENT(R"("Effect":"Allow","Principal":"*","Action":[],"Resource":"*")"), "empty list"},
        Refused{STATEMENT(R"("Effect":"Allow","Principal":"*","Action":"*","Resource":"alias/x")"),
                "Resource: 'alias/x'"},
        Refused{
            STATEMENT(
                R"("Effect":"Allow","Principal":"*","Action":"*","Resource":"arn:aws:kms:${aws:username}:1:key/x")"),
            "before the fifth colon"},
        Refused{STATEMENT(
                    R"("Effect":"Allow","Principal":"*","Action":"*","Resource":"arn:aws:kms:a:1:key/${x")"),
                "closing brace"},
        Refused{WITH_CONDITION("[]"), "Condition: must be an object"},
        Refused{WITH_CONDITION(R"({"StringEqual":{"aws:username":"x"}})"),
                "'StringEqual' is not a condition operator"},
        Refused{WITH_CONDITION(R"({"NullIfExists":{"aws:username":"true"}})"), "not a condition operator"},
        Refused{WITH_CONDITION(R"({"StringEquals":"x"})"), "must be an object"},
        Refused{WITH_CONDITION(R"({"StringEquals":{"username":"x"}})"), "not a condition key"},
        Refused{WITH_CONDITION(R"({"StringEquals":{"kms:EncryptionContxt:a":"x"}})"),
                "not a condition key of KMS"},
        Refused{WITH_CONDITION(R"({"StringEquals":{"aws:username":{}}})"), "string or a list"},
        Refused{WITH_CONDITION(R"({"StringEquals":{"aws:username":[]}})"), "empty list"},
        Refused{WITH_CONDITION(R"({"NumericEquals":{"aws:EpochTime":"x"}})"), "not a number"},
        Refused{WITH_CONDITION(R"({"NumericEquals":{"aws:EpochTime":"inf"}})"), "not a number"},
        Refused{WITH_CONDITION(R"({"DateEquals":{"aws:CurrentTime":"x"}})"), "not a date"},
        Refused{WITH_CONDITION(R"({"IpAddress":{"aws:SourceIp":"300.1.1.1"}})"), "not an IP address"},
        Refused{WITH_CONDITION(R"({"Bool":{"aws:SecureTransport":"yes"}})"), "neither true nor false"},
        Refused{WITH_CONDITION(R"({"BinaryEquals":{"aws:username":"!"}})"), "not base64"},
        Refused{WITH_CONDITION(R"({"ArnLike":{"aws:PrincipalArn":"bob"}})"), "not an ARN"},
        Refused{WITH_CONDITION(R"({"StringEquals":{"aws:username":"${aws:PrincipalTag/x, none}"}})"),
                "single quotes"},
        Refused{WITH_CONDITION(R"({"ForAllValues:StringEquals":{"kms:EncryptionContext:a":"x"}})"),
                "OverlyPermissiveCondition"},
        Refused{WITH_CONDITION(R"({"ForAllValues:StringLike":{"aws:RequestTag/a":"x"}})"),
                "OverlyPermissiveCondition"}));

TEST(PolicyParser, TheSecondStatementIsNamedByItsPlace) {
  const std::string text =
      document(allow("\"*\"", "kms:*") + R"(,{"Effect":"Deny","Principal":"*","Action":7})");
  EXPECT_EQ(refusal(text).find("Statement[1].Action"), 0U) << refusal(text);
}

TEST(PolicyParser, ASidUsedTwiceIsRefused) {
  const std::string sid = R"("Sid":"a")";
  EXPECT_NE(refusal(document(allow("\"*\"", "kms:*", sid) + "," + deny("\"*\"", "kms:*", sid))), "");
}

TEST(PolicyParser, DuplicateNamesAtAnyDepthAreRefused) {
  EXPECT_NE(refusal(document(allow("\"*\"", "kms:*", R"("Effect":"Deny")"))), "");
  EXPECT_NE(
      refusal(document(allow("\"*\"", "kms:*",
                             R"("Condition":{"StringEquals":{"aws:username":"a","aws:username":"b"}})"))),
      "");
}

TEST(PolicyParser, AStatementNeedNotBeInAList) {
  const auto policy = parse_policy(R"({"Statement":)" + allow("\"*\"", "kms:*") + "}", PolicyUse::kKey);
  ASSERT_TRUE(policy.ok());
  EXPECT_EQ(policy->statements.size(), 1U);
}

TEST(PolicyParser, ThirtyTwoKibAreTakenAndOneByteMoreIsNot) {
  std::string text = document(allow("\"*\"", "kms:*"));
  text.append(kPolicySizeLimit - text.size(), ' ');
  EXPECT_TRUE(parse_policy(text, PolicyUse::kKey).ok());
  text += ' ';
  const auto policy = parse_policy(text, PolicyUse::kKey);
  ASSERT_FALSE(policy.ok());
  EXPECT_STREQ(policy.error().code, "LimitExceededException");
}

TEST(PolicyParser, NestingAsDeepAsTheLimitAllowsIsAnErrorAndNotACrash) {
  EXPECT_NE(refusal(std::string(kPolicySizeLimit, '[')), "");
  std::string nested;
  while (nested.size() + 8 < kPolicySizeLimit) nested += R"({"a":)";
  EXPECT_NE(refusal(nested), "");
  const std::size_t depth = kPolicySizeLimit / 2;
  EXPECT_NE(refusal(std::string(depth, '[') + std::string(depth, ']')), "");
}

TEST(PolicyParser, CharactersBeyondLatinOneAreRefused) {
  EXPECT_EQ(refusal(document(allow("\"*\"", "kms:*", "\"Sid\":\"Schl\xc3\xbcssel\""))), "");
  EXPECT_NE(refusal(document(allow("\"*\"", "kms:*", "\"Sid\":\"\xe9\x8d\xb5\""))), "");
  EXPECT_NE(refusal(document(allow("\"*\"", "kms:*", std::string("\"Sid\":\"a\0b\"", 11)))), "");
  EXPECT_NE(refusal(document(allow("\"*\"", "kms:*", "\"Sid\":\"a\xc3\""))), "");
}

TEST(PolicyParser, EachUseHasItsElements) {
  EXPECT_NE(refusal(document(allow("\"*\"", "kms:*")), PolicyUse::kIdentity), "");
  EXPECT_NE(refusal(document(R"({"Effect":"Allow","Action":"kms:*"})"), PolicyUse::kIdentity), "");
  EXPECT_NE(refusal(document(R"({"Effect":"Allow","Resource":"*"})"), PolicyUse::kIdentity), "");
  EXPECT_NE(refusal(document(allow("\"*\"", "sts:AssumeRole")), PolicyUse::kTrust), "");
  EXPECT_NE(refusal(document(R"({"Effect":"Allow","Principal":"*"})"), PolicyUse::kTrust), "");
  EXPECT_EQ(refusal(document(may("kms:*")), PolicyUse::kIdentity), "");
}

TEST(PolicyParser, ThePrincipalsThatMustExistAreListed) {
  const Policy policy = World::parsed(
      document(
          allow(
              R"({"AWS":["arn:aws:iam::111111111111:user/bob","111111111111","arn:aws:iam::111111111111:role/r"]})",
              "kms:*") +
          "," + deny("\"*\"", "kms:*")),
      PolicyUse::kKey);
  EXPECT_EQ(policy.named_principals(), (std::vector<std::string>{"arn:aws:iam::111111111111:user/bob",
                                                                 "arn:aws:iam::111111111111:role/r"}));
}

}  // namespace
}  // namespace kmsfs::kms::test
