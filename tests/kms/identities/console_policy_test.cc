#include "kms/console_policy.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "kms/decision/policy.h"
#include "tests/kms/kms_fixture.h"

namespace kmsfs::kms::test {

namespace {

using Json = nlohmann::ordered_json;

constexpr char kOwn[] = "111122223333";
constexpr char kOther[] = "222233334444";
constexpr char kOtherRoot[] = "arn:aws:iam::222233334444:root";

Json parsed(const Result<std::string>& policy) {
  EXPECT_TRUE(policy) << text_of(policy);
  if (!policy) return {};
  EXPECT_TRUE(parse_policy(*policy, PolicyUse::kKey));
  return Json::parse(*policy);
}

std::string full() {
  auto made = console_policy({kOwn, {"user/alice"}, {"user/bob", "role/app"}, {}});
  EXPECT_TRUE(made) << text_of(made);
  return made ? *made : "";
}

std::string one_statement(const std::string& principal, const std::string& effect = "Allow") {
  return R"({"Version":"2012-10-17","Statement":[{"Sid":"Own","Effect":"Allow","Principal":{"AWS":"arn:aws:iam::111122223333:root"},"Action":"kms:*","Resource":"*"},{"Sid":"Mine","Effect":")" +
         effect + R"(","Principal":)" + principal + R"(,"Action":"kms:Decrypt","Resource":"*"}]})";
}

}  // namespace

TEST(ConsolePolicy, HasTheFourStatementsOfTheConsole) {
  const Json policy = parsed(console_policy({kOwn, {"user/alice"}, {"user/bob"}, {kOther}}));
  const Json& statements = policy["Statement"];
  ASSERT_EQ(statements.size(), 4U);
  EXPECT_EQ(statements[0]["Sid"], "Enable IAM User Permissions");
  EXPECT_EQ(statements[0]["Principal"]["AWS"], Json::array({"arn:aws:iam::111122223333:root"}));
  EXPECT_EQ(statements[0]["Action"], "kms:*");
  EXPECT_EQ(statements[1]["Sid"], "Allow access for Key Administrators");
  EXPECT_EQ(statements[1]["Principal"]["AWS"], Json::array({"arn:aws:iam::111122223333:user/alice"}));
  EXPECT_EQ(statements[2]["Sid"], "Allow use of the key");
  EXPECT_EQ(statements[2]["Principal"]["AWS"],
            Json::array({"arn:aws:iam::111122223333:user/bob", kOtherRoot}));
  EXPECT_EQ(statements[3]["Sid"], "Allow attachment of persistent resources");
  EXPECT_EQ(statements[3]["Principal"], statements[2]["Principal"]);
  EXPECT_EQ(statements[3]["Condition"]["Bool"]["kms:GrantIsForAWSResource"], "true");
}

TEST(ConsolePolicy, NoAdministratorMayUseTheKeyAndNoUserMayManageIt) {
  const Json statements = Json::parse(full())["Statement"];
  const std::string admin = statements[1]["Action"].dump(), use = statements[2]["Action"].dump();
  for (const char* action : {"Encrypt", "Decrypt", "GenerateDataKey", "kms:*\"", "Create*", "CreateGrant"}) {
    EXPECT_EQ(admin.find(action), std::string::npos) << action;
  }
  for (const char* action : {"Put", "Delete", "Disable", "CreateGrant", "Schedule", "kms:*\""}) {
    EXPECT_EQ(use.find(action), std::string::npos) << action;
  }
}

TEST(ConsolePolicy, NobodyNamedMeansOneStatement) {
  EXPECT_EQ(parsed(console_policy({kOwn, {}, {}, {}}))["Statement"].size(), 1U);
  EXPECT_EQ(parsed(console_policy({kOwn, {}, {}, {kOther}}))["Statement"].size(), 3U);
}

TEST(ConsolePolicy, NamesThatAreNoneAreRefused) {
  EXPECT_FALSE(console_policy({"123", {}, {}, {}}));
  EXPECT_FALSE(console_policy({kOwn, {"group/staff"}, {}, {}}));
  EXPECT_FALSE(console_policy({kOwn, {}, {"*"}, {}}));
  EXPECT_FALSE(console_policy({kOwn, {}, {"user/"}, {}}));
  EXPECT_FALSE(console_policy({kOwn, {}, {}, {"arn:aws:iam::222233334444:root"}}));
  EXPECT_FALSE(console_policy({kOwn, {}, {}, {kOwn}}));
}

TEST(SharePolicy, AddsTheAccountToTheTwoStatementsAndKeepsTheRest) {
  const Json before = Json::parse(full());
  const Json after = parsed(share_policy(full(), kOther));
  EXPECT_EQ(after["Statement"][0], before["Statement"][0]);
  EXPECT_EQ(after["Statement"][1], before["Statement"][1]);
  for (const std::size_t i : {2U, 3U}) {
    const Json& principals = after["Statement"][i]["Principal"]["AWS"];
    ASSERT_EQ(principals.size(), 3U);
    EXPECT_EQ(principals[2], kOtherRoot);
    EXPECT_EQ(after["Statement"][i]["Action"], before["Statement"][i]["Action"]);
  }
}

TEST(SharePolicy, SharingTwiceIsSharingOnce) {
  const auto once = share_policy(full(), kOther);
  ASSERT_TRUE(once);
  EXPECT_EQ(Json::parse(*share_policy(*once, kOther)), Json::parse(*once));
}

TEST(SharePolicy, MakesTheStatementsWhereTheyAreNot) {
  const Json after = parsed(share_policy(default_key_policy(kOwn), kOther));
  ASSERT_EQ(after["Statement"].size(), 3U);
  EXPECT_EQ(after["Statement"][1]["Principal"]["AWS"], Json::array({kOtherRoot}));
  EXPECT_EQ(after["Statement"][2]["Condition"]["Bool"]["kms:GrantIsForAWSResource"], "true");
}

TEST(SharePolicy, UnsharingUndoesIt) {
  const auto shared = share_policy(full(), kOther);
  ASSERT_TRUE(shared);
  EXPECT_EQ(parsed(unshare_policy(*shared, kOther)), Json::parse(full()));
  const auto made = share_policy(default_key_policy(kOwn), kOther);
  ASSERT_TRUE(made);
  EXPECT_EQ(parsed(unshare_policy(*made, kOther))["Statement"].size(), 1U);
}

TEST(SharePolicy, UnsharingLeavesNobodyOfTheAccountIn) {
  for (const char* principal : {
           R"({"AWS":"arn:aws:iam::222233334444:root"})",
           R"({"AWS":["222233334444"]})",
           R"({"AWS":["arn:aws:iam::222233334444:user/carol","arn:aws:iam::222233334444:role/app"]})",
           R"({"AWS":"arn:aws:sts::222233334444:assumed-role/app/me"})",
       }) {
    const Json after = parsed(unshare_policy(one_statement(principal), kOther));
    ASSERT_EQ(after["Statement"].size(), 1U) << principal;
    EXPECT_EQ(after["Statement"][0]["Sid"], "Own");
  }
}

TEST(SharePolicy, UnsharingKeepsDeniesAndOtherPrincipals) {
  const std::string denied = one_statement(R"({"AWS":"arn:aws:iam::222233334444:root"})", "Deny");
  EXPECT_EQ(parsed(unshare_policy(denied, kOther)), Json::parse(denied));
  const Json mixed = parsed(unshare_policy(
      one_statement(R"({"AWS":["222233334444","333344445555"],"Service":"ec2.amazonaws.com"})"), kOther));
  EXPECT_EQ(mixed["Statement"][1]["Principal"],
            Json::parse(R"({"AWS":["333344445555"],"Service":"ec2.amazonaws.com"})"));
}

TEST(SharePolicy, EveryoneCannotBeTakenApart) {
  EXPECT_FALSE(unshare_policy(one_statement("\"*\""), kOther));
  EXPECT_FALSE(unshare_policy(one_statement(R"({"AWS":["222233334444","*"]})"), kOther));
  std::string everyone = one_statement("\"*\"");
  everyone.replace(everyone.find("Mine"), 4, "Allow use of the key");
  EXPECT_FALSE(share_policy(everyone, kOther));
}

TEST(SharePolicy, ThePolicyNeverEndsUpWithNobody) {
  EXPECT_FALSE(unshare_policy(default_key_policy(kOwn), kOwn));
}

TEST(SharePolicy, MalformedInputIsRefused) {
  for (const char* policy : {"", "{", "[]", "{}", R"({"Statement":[]})"}) {
    EXPECT_FALSE(share_policy(policy, kOther)) << policy;
    EXPECT_FALSE(unshare_policy(policy, kOther)) << policy;
  }
  EXPECT_FALSE(share_policy(full(), "12345"));
  EXPECT_FALSE(unshare_policy(full(), "*"));
}

TEST(SharePolicy, OneStatementThatIsNoListIsTakenToo) {
  const std::string single =
      R"({"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":{"AWS":"111122223333"},"Action":"kms:*","Resource":"*"}})";
  EXPECT_EQ(parsed(share_policy(single, kOther))["Statement"].size(), 3U);
  EXPECT_EQ(parsed(unshare_policy(single, kOther))["Statement"].size(), 1U);
}

}  // namespace kmsfs::kms::test
