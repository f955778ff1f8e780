#include "tests/kms/identities/door_fixture.h"
#include "tests/support/crypto_environment.h"

namespace kmsfs::kms::test {

class AccountsTest : public DoorTest {};

TEST_F(AccountsTest, AnAccountHasTwelveDigitsGivenOrRandom) {
  const Json given = done("CreateAccount", {{"AccountId", kSecond}});
  EXPECT_EQ(given["Account"]["AccountId"], kSecond);
  EXPECT_EQ(given["Account"]["Arn"], std::string("arn:aws:iam::") + kSecond + ":root");
  const auto random = done("CreateAccount")["Account"]["AccountId"].get<std::string>();
  EXPECT_TRUE(is_account(random)) << random;
  EXPECT_EQ(refused("CreateAccount", {{"AccountId", kSecond}}), "EntityAlreadyExists");
  EXPECT_EQ(refused("CreateAccount", {{"AccountId", "12345"}}), "InvalidInput");
  EXPECT_EQ(done("ListAccounts")["Accounts"].size(), 3U);
}

TEST_F(AccountsTest, TheOnlyAccountNeedNotBeNamedAndSeveralMust) {
  EXPECT_EQ(done("CreateUser", {{"UserName", "alice"}})["User"]["AccountId"], kFirst);
  done("CreateAccount", {{"AccountId", kSecond}});
  EXPECT_EQ(refused("CreateUser", {{"UserName", "bob"}}), "ValidationError");
  EXPECT_EQ(refused("CreateUser", {{"AccountId", "999999999999"}, {"UserName", "bob"}}), "NoSuchEntity");
}

TEST_F(AccountsTest, AUidIsOnePrincipalUntilItIsUnmapped) {
  user("alice");
  user("bob");
  const Json mapped = done("MapUid", {{"Uid", 1000}, {"UserName", "alice"}});
  EXPECT_EQ(mapped["UidMapping"]["Arn"], "arn:aws:iam::111122223333:user/alice");
  EXPECT_EQ(**service_->administration().user_of_uid(1000), "arn:aws:iam::111122223333:user/alice");
  EXPECT_EQ(refused("MapUid", {{"Uid", 1000}, {"UserName", "bob"}}), "EntityAlreadyExists");
  done("UnmapUid", {{"Uid", 1000}});
  EXPECT_EQ(refused("UnmapUid", {{"Uid", 1000}}), "NoSuchEntity");
  done("MapUid", {{"Uid", 1000}, {"Root", true}});
  EXPECT_EQ(done("ListUids")["UidMappings"][0]["Arn"], "arn:aws:iam::111122223333:root");
}

TEST_F(AccountsTest, AUidIsNeverMappedToSomethingThatCannotCall) {
  done("CreateGroup", {{"GroupName", "staff"}});
  EXPECT_EQ(refused("MapUid", {{"Uid", 1000}, {"UserName", "staff"}}), "NoSuchEntity");
  EXPECT_EQ(refused("MapUid", {{"Uid", 1000}}), "ValidationError");
  EXPECT_EQ(refused("MapUid", {{"Uid", -1}, {"Root", true}}), "ValidationError");
  EXPECT_EQ(refused("MapUid", {{"Uid", 4294967295}, {"Root", true}}), "ValidationError");
  EXPECT_EQ(refused("MapUid", {{"Uid", "1000"}, {"Root", true}}), "ValidationError");
}

TEST_F(AccountsTest, AUserMadeAnewDoesNotInheritTheUidOfTheOldOne) {
  user("alice");
  done("MapUid", {{"Uid", 1000}, {"UserName", "alice"}});
  done("DeleteUser", {{"UserName", "alice"}});
  user("alice");
  EXPECT_FALSE((*service_->administration().user_of_uid(1000)).has_value());
}

TEST_F(AccountsTest, TheDoorRefusesWhatItDoesNotKnow) {
  EXPECT_EQ(refused("CreateEverything"), "InvalidAction");
  EXPECT_EQ(refused(""), "InvalidAction");
  EXPECT_EQ(refused("CreateUser", {{"UserName", "alice"}, {"Username", "bob"}}), "ValidationError");
  EXPECT_EQ(refused("CreateUser", {{"UserName", 7}}), "ValidationError");
  EXPECT_EQ(refused("CreateUser"), "ValidationError");
  for (const char* request : {"[]", "7", "{", "{\"UserName\":\"a\",\"UserName\":\"b\"}", "\xff"}) {
    auto reply = administration_call(service_->administration(), "CreateUser", request);
    ASSERT_FALSE(reply) << request;
    EXPECT_EQ(code_of(reply.error()), "ValidationError") << request;
  }
  const std::string deep = "{\"UserName\":" + std::string(100'000, '[');
  EXPECT_FALSE(administration_call(service_->administration(), "CreateUser", deep));
  EXPECT_TRUE(done("ListUsers")["Users"].empty());
}

TEST_F(AccountsTest, EveryChangeIsInTheAuditLogAndNoRefusalIsAChange) {
  user("alice");
  EXPECT_EQ(refused("CreateUser", {{"UserName", "alice"}}), "EntityAlreadyExists");
  const std::string log = audit_log();
  EXPECT_NE(log.find(R"("eventName":"CreateUser")"), std::string::npos);
  EXPECT_NE(log.find(R"("type":"StoreOwner")"), std::string::npos);
  EXPECT_NE(log.find(R"("userName":"alice")"), std::string::npos);
  EXPECT_NE(log.find(R"("errorCode":"EntityAlreadyExists")"), std::string::npos);
}

TEST_F(AccountsTest, TheListOfOperationsIsSortedAndEachOfThemAnswers) {
  const auto names = administration_operations();
  EXPECT_TRUE(std::ranges::is_sorted(names));
  for (const std::string_view name : names) {
    auto reply = administration_call(service_->administration(), name, R"({"NoSuchParameter":1})");
    ASSERT_FALSE(reply) << name;
    EXPECT_EQ(code_of(reply.error()), "ValidationError") << name << ": " << reply.error().text;
  }
}

TEST_F(AccountsTest, WhatIsReadAndWhoAskedIsInTheLogAndARefusalTooAndNoSecretEver) {
  const auto asked = [&](std::string_view operation, const Json& request, uid_t by) {
    const std::string before = audit_log();
    auto reply = administration_call(service_->administration(), operation, request.dump(), by);
    EXPECT_TRUE(audit_log().starts_with(before));
    return Json::parse(audit_log().substr(before.size()), nullptr, false);
  };
  done("CreateUser", {{"UserName", "alice"}});
  const Json key = done("CreateAccessKey", {{"UserName", "alice"}})["AccessKey"];
  Json line = asked("ListAccessKeys", {{"UserName", "alice"}}, 4242);
  EXPECT_EQ(line["eventName"], "ListAccessKeys");
  EXPECT_EQ(line["userIdentity"]["principalId"], "4242");
  EXPECT_EQ(line["requestParameters"]["userName"], "alice");
  EXPECT_EQ(line["readOnly"], true);
  line = asked("GetUser", {{"UserName", "nobody"}}, 4243);
  EXPECT_EQ(line["errorCode"], "NoSuchEntity");
  EXPECT_EQ(line["userIdentity"]["principalId"], "4243");
  line = asked("TagUser", {{"UserName", "alice"}, {"Tags", {{{"Key", "k"}, {"Value", "v"}}}}}, 4244);
  EXPECT_EQ(line["userIdentity"]["principalId"], "4244");
  EXPECT_EQ(line["readOnly"], false);
  EXPECT_EQ(audit_log().find(key["SecretAccessKey"].get<std::string>()), std::string::npos);
}

}  // namespace kmsfs::kms::test
