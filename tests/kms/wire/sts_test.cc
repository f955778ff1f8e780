// AssumeRole and GetCallerIdentity, as `aws sts` speaks them.
#include <regex>

#include "kms/wire/form.h"
#include "tests/kms/wire/protocol_fixture.h"

namespace kmsfs::kms::test {
namespace {

std::string element(const std::string& xml, const std::string& name) {
  const std::size_t start = xml.find("<" + name + ">");
  if (start == std::string::npos) return {};
  const std::size_t from = start + name.size() + 2;
  return xml.substr(from, xml.find("</" + name + ">", from) - from);
}

class Sts : public ProtocolTest {
 protected:
  void SetUp() override {
    ProtocolTest::SetUp();
    const json trust = {
        {"Version", "2012-10-17"},
        {"Statement",
         {{{"Effect", "Allow"}, {"Action", "sts:AssumeRole"}, {"Principal", {{"AWS", alice_.principal}}}}}}};
    administrate(
        "CreateRole",
        {{"RoleName", "worker"}, {"AccountId", account_}, {"AssumeRolePolicyDocument", trust.dump()}});
    const json policy = {{"Version", "2012-10-17"},
                         {"Statement", {{{"Effect", "Allow"}, {"Action", "kms:*"}, {"Resource", "*"}}}}};
    administrate("PutRolePolicy", {{"RoleName", "worker"},
                                   {"AccountId", account_},
                                   {"PolicyName", "p"},
                                   {"PolicyDocument", policy.dump()}});
  }
  std::string role_arn() const { return "arn:aws:iam::" + account_ + ":role/worker"; }
  std::string form(const std::string& more = {}) const {
    return "Action=AssumeRole&Version=2011-06-15&RoleArn=arn%3Aaws%3Aiam%3A%3A" + account_ +
           "%3Arole%2Fworker&RoleSessionName=s1" + more;
  }
  struct XmlAnswer {
    int status;
    std::string xml;
    std::string code() const { return element(xml, "Code"); }
  };
  XmlAnswer ask(const std::string& body, const Credentials& by) {
    SentRequest request = SentRequest::sts(body);
    const HttpAnswer answer = http(sign(request, by, "sts"), tcp());
    EXPECT_EQ(header(answer, "Content-Type"), "text/xml");
    std::string xml(as_text(answer.body.view()));
    EXPECT_EQ(element(xml, "RequestId"), header(answer, "x-amzn-RequestId"));
    return {answer.status, std::move(xml)};
  }
  Credentials session(const std::string& more = {}) {
    const XmlAnswer answer = ask(form(more), alices_key_);
    EXPECT_EQ(answer.status, 200) << answer.xml;
    return {element(answer.xml, "AccessKeyId"), element(answer.xml, "SecretAccessKey"),
            element(answer.xml, "SessionToken")};
  }
};

TEST_F(Sts, TellsCallersWhoTheyAre) {
  const XmlAnswer answer = ask("Action=GetCallerIdentity&Version=2011-06-15", alices_key_);
  ASSERT_EQ(answer.status, 200) << answer.xml;
  EXPECT_EQ(element(answer.xml, "Arn"), alice_.principal);
  EXPECT_EQ(element(answer.xml, "Account"), account_);
  EXPECT_EQ(element(answer.xml, "UserId").substr(0, 4), "AIDA");
  EXPECT_EQ(
      answer.xml.rfind("<GetCallerIdentityResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\">", 0),
      0U);
}

TEST_F(Sts, ARoleCanBeAssumedAndItsSessionUsed) {
  const XmlAnswer answer = ask(form("&DurationSeconds=900"), alices_key_);
  ASSERT_EQ(answer.status, 200) << answer.xml;
  EXPECT_EQ(element(answer.xml, "Arn"), "arn:aws:sts::" + account_ + ":assumed-role/worker/s1");
  EXPECT_TRUE(std::regex_match(element(answer.xml, "AssumedRoleId"), std::regex("AROA[A-Z0-9]+:s1")));
  EXPECT_EQ(element(answer.xml, "Expiration"), "2023-11-14T22:28:20Z");
  const Credentials by = {element(answer.xml, "AccessKeyId"), element(answer.xml, "SecretAccessKey"),
                          element(answer.xml, "SessionToken")};
  EXPECT_EQ(by.id.substr(0, 4), "ASIA");
  EXPECT_EQ(by.secret.size(), 40U);
  EXPECT_EQ(send_signed(SentRequest::kms("ListKeys"), by).status, 200);
  EXPECT_NE(audit_lines().back().find("assumed-role/worker/s1"), std::string::npos);
  const XmlAnswer who = ask("Action=GetCallerIdentity&Version=2011-06-15", by);
  EXPECT_EQ(element(who.xml, "Arn"), "arn:aws:sts::" + account_ + ":assumed-role/worker/s1");
}

TEST_F(Sts, TheAnswerWithASecretIsInLockedMemory) {
  SentRequest request = SentRequest::sts(form());
  const HttpAnswer answer = http(sign(request, alices_key_, "sts"), tcp());
  ASSERT_EQ(answer.status, 200);
  EXPECT_TRUE(LockedMemory::contains(answer.body.view().data()));
}

TEST_F(Sts, AnExpiredSessionIsRefused) {
  const Credentials by = session("&DurationSeconds=900");
  clock_.advance(std::chrono::seconds(899));
  EXPECT_EQ(send_signed(SentRequest::kms("ListKeys"), by).status, 200);
  clock_.advance(std::chrono::seconds(2));
  const WireAnswer answer = send_signed(SentRequest::kms("ListKeys"), by);
  EXPECT_EQ(answer.status, 400);
  EXPECT_EQ(answer.code, "ExpiredTokenException");
}

TEST_F(Sts, ASessionNeedsItsOwnTokenAndNoOther) {
  Credentials by = session();
  const Credentials other = session();
  Credentials without = by;
  without.token.clear();
  EXPECT_EQ(send_signed(SentRequest::kms("ListKeys"), without).code, "UnrecognizedClientException");
  Credentials swapped = by;
  swapped.token = other.token;
  EXPECT_EQ(send_signed(SentRequest::kms("ListKeys"), swapped).code, "UnrecognizedClientException");
  for (std::size_t i = 0; i < by.token.size(); i += 7) {
    Credentials changed = by;
    changed.token[i] = changed.token[i] == 'A' ? 'B' : 'A';
    EXPECT_EQ(send_signed(SentRequest::kms("ListKeys"), changed).code, "UnrecognizedClientException") << i;
  }
}

TEST_F(Sts, ATokenThatIsNotSignedIsRefused) {
  const Credentials by = session();
  Credentials without = by;
  without.token.clear();
  SentRequest request = SentRequest::kms("ListKeys");
  sign(request, without);
  request.headers.push_back({"X-Amz-Security-Token", by.token});
  EXPECT_EQ(send(request).code, "InvalidSignatureException");
}

TEST_F(Sts, ASessionPolicyLimitsTheSession) {
  const Credentials by = session(
      "&Policy=%7B%22Version%22%3A%222012-10-17%22%2C%22Statement%22%3A%7B%22Effect%22%3A%22Allow%22%2C%"
      "22Action%22%3A%22kms%3AListKeys%22%2C%22Resource%22%3A%22*%22%7D%7D");
  EXPECT_EQ(send_signed(SentRequest::kms("ListKeys"), by).status, 200);
  EXPECT_EQ(send_signed(SentRequest::kms("ListAliases"), by).code, "AccessDeniedException");
}

TEST_F(Sts, ErrorsAreXmlAsStsWritesIt) {
  struct Case {
    std::string body, code;
    int status;
  };
  for (const auto& [body, code, status] :
       {Case{"Action=Fly&Version=2011-06-15", "InvalidAction", 400},
        Case{"Version=2011-06-15", "MissingAction", 400}, Case{"", "MissingAction", 400},
        Case{"Action=AssumeRole&Version=1999-01-01", "InvalidAction", 400},
        Case{"Action=AssumeRole&Version=2011-06-15", "ValidationError", 400},
        Case{form("&RoleSessionName=again"), "MalformedQueryString", 400},
        Case{form("&x=%g0"), "MalformedQueryString", 400},
        Case{form("&DurationSeconds=1"), "ValidationError", 400},
        Case{form("&DurationSeconds=x"), "MalformedInput", 400},
        Case{form("&Policy=nonsense"), "MalformedPolicyDocument", 400},
        // What would restrict the session and cannot be done is not overlooked.
        Case{form("&PolicyArns.member.1.arn=arn%3Aaws%3Aiam%3A%3Aaws%3Apolicy%2FReadOnlyAccess"),
             "ValidationError", 400},
        Case{form("&Tags.member.1.Key=a&Tags.member.1.Value=b"), "ValidationError", 400},
        Case{form("&SerialNumber=x&TokenCode=123456"), "ValidationError", 400}}) {
    const XmlAnswer answer = ask(body, alices_key_);
    EXPECT_EQ(answer.status, status) << body;
    EXPECT_EQ(answer.code(), code) << body << "\n" << answer.xml;
    EXPECT_EQ(element(answer.xml, "Type"), "Sender");
    EXPECT_EQ(answer.xml.rfind("<ErrorResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\">", 0), 0U);
  }
}

TEST_F(Sts, WhoIsNotTrustedIsDenied) {
  new_user("bob", account_);
  const XmlAnswer answer = ask(form(), access_key("bob", account_));
  EXPECT_EQ(answer.status, 403);
  EXPECT_EQ(answer.code(), "AccessDenied");
}

TEST_F(Sts, WhoIsUnknownIsRefusedInXmlToo) {
  const XmlAnswer answer = ask(form(), {"AKIAUNKNOWNUNKNOWN00", "x", ""});
  EXPECT_EQ(answer.status, 403);
  EXPECT_EQ(answer.code(), "InvalidClientTokenId");
  const HttpAnswer plain = http(SentRequest::sts(form()), tcp());
  EXPECT_EQ(plain.status, 403);
  EXPECT_EQ(element(std::string(as_text(plain.body.view())), "Code"), "MissingAuthenticationToken");
}

TEST_F(Sts, WhatCallersWroteIsEscaped) {
  const XmlAnswer answer = ask("Action=%3Cscript%3E%26%22%01&Version=2011-06-15", alices_key_);
  EXPECT_EQ(answer.code(), "InvalidAction");
  EXPECT_NE(answer.xml.find("&lt;script&gt;&amp;&quot;?"), std::string::npos) << answer.xml;
}

TEST(Form, ReadsNamesAndValues) {
  const auto form = parse_form("a=1&b=x+y%20z%2B&&c&d=");
  ASSERT_TRUE(form);
  EXPECT_EQ(*form, (std::map<std::string, std::string>{{"a", "1"}, {"b", "x y z+"}, {"c", ""}, {"d", ""}}));
  for (const char* bad : {"a=1&a=2", "a=%", "a=%4", "a=%zz", "%=1"}) EXPECT_FALSE(parse_form(bad)) << bad;
  std::string many;
  for (int i = 0; i < 300; ++i) many += "f" + std::to_string(i) + "=&";
  EXPECT_FALSE(parse_form(many));
}

}  // namespace
}  // namespace kmsfs::kms::test
