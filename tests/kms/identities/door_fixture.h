// A store with one account, asked through the door of administration.
#pragma once

#include <initializer_list>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>

#include "kms/identities/administration_call.h"
#include "kms/session.h"
#include "tests/kms/kms_fixture.h"

namespace kmsfs::kms::test {

using Json = nlohmann::ordered_json;

inline constexpr char kFirst[] = "111122223333";
inline constexpr char kSecond[] = "444455556666";

inline std::string identity_policy(const std::string& effect, const std::string& action) {
  return R"({"Version":"2012-10-17","Statement":[{"Effect":")" + effect + R"(","Action":")" + action +
         R"(","Resource":"*"}]})";
}
inline std::string trust_policy(const std::string& principal, const std::string& condition = {}) {
  return R"({"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":")" + principal +
         R"("},"Action":"sts:AssumeRole")" + (condition.empty() ? "" : R"(,"Condition":)" + condition) +
         "}]}";
}

class DoorTest : public ::testing::Test {
 protected:
  void SetUp() override {
    auto made = Service::create_store(store_path(), {key_file_seal(), "local-1"}, {});
    ASSERT_TRUE(made) << text_of(made);
    open();
    done("CreateAccount", {{"AccountId", kFirst}});
  }

  std::string store_path() const { return directory_ / "kms"; }
  void open() {
    service_.reset();
    auto service = Service::open(store_path(), {}, clock_, make_null_logger());
    ASSERT_TRUE(service) << text_of(service);
    service_ = std::move(*service);
  }
  Engine& engine() { return service_->administration().engine(); }

  Result<Json> ask(std::string_view operation, const Json& request = Json::object()) {
    auto reply = administration_call(service_->administration(), operation, request.dump());
    if (!reply) return std::move(reply).error();
    return Json::parse(as_text(reply->reveal()));
  }
  // The answer of what must succeed.
  Json done(std::string_view operation, const Json& request = Json::object()) {
    auto reply = ask(operation, request);
    EXPECT_TRUE(reply) << operation << " " << request.dump() << ": " << text_of(reply);
    return reply ? *reply : Json();
  }
  // The code of what must not.
  std::string refused(std::string_view operation, const Json& request = Json::object()) {
    auto reply = ask(operation, request);
    EXPECT_FALSE(reply) << operation << " " << request.dump();
    return reply || reply.error().code == nullptr ? "" : reply.error().code;
  }

  // A user of the first account (or of `account`), allowed these actions.
  Invocation user(const std::string& name, const std::string& allowed = {},
                  const std::string& account = kFirst) {
    done("CreateUser", {{"AccountId", account}, {"UserName", name}});
    if (!allowed.empty()) {
      done("PutUserPolicy", {{"AccountId", account},
                             {"UserName", name},
                             {"PolicyName", "allowed"},
                             {"PolicyDocument", identity_policy("Allow", allowed)}});
    }
    return as("arn:aws:iam::" + account + ":user/" + name);
  }
  static Invocation as(std::string principal) {
    Invocation invocation;
    invocation.principal = std::move(principal);
    invocation.user_agent = "test";
    return invocation;
  }
  static Invocation as(const Session& session) {
    Invocation invocation = as(session.facts->arn());
    invocation.session = session.facts;
    return invocation;
  }
  static std::string text_in(const SecretAccessKey& secret) { return std::string(as_text(secret.reveal())); }
  static std::string code_of(const Error& error) { return error.code == nullptr ? "" : error.code; }
  std::string audit_log() const { return read_text(store_path() + "/audit.log"); }

  TemporaryDirectory directory_;
  ManualClock clock_;
  std::unique_ptr<Service> service_;
};

}  // namespace kmsfs::kms::test
