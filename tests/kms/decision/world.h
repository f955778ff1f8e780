// One key in account 1111…, one caller, and whatever policies a test puts around them.
#pragma once

#include <gtest/gtest.h>

#include <deque>
#include <string>
#include <vector>

#include "kms/decision/decision.h"

namespace kmsfs::kms::test {

inline constexpr char kHome[] = "111111111111";
inline constexpr char kForeign[] = "222222222222";
inline constexpr char kKeyArn[] =
    "arn:aws:kms:eu-west-1:111111111111:key/0d990263-018e-4e65-a703-eff731de951e";
inline constexpr char kHomeRoot[] = R"({"AWS":"arn:aws:iam::111111111111:root"})";
inline constexpr char kForeignRoot[] = R"({"AWS":"arn:aws:iam::222222222222:root"})";
inline constexpr char kBob[] = R"({"AWS":"arn:aws:iam::111111111111:user/bob"})";

inline std::string document(const std::string& statements) {
  return R"({"Version":"2012-10-17","Statement":[)" + statements + "]}";
}

// Statements of key policies: allow(kBob, "kms:Decrypt", R"("Condition":{…})").
inline std::string statement(const std::string& effect, const std::string& principal,
                             const std::string& action, const std::string& more) {
  return R"({"Effect":")" + effect + R"(","Principal":)" + principal + R"(,"Action":")" + action + R"(",)" +
         R"("Resource":"*")" + (more.empty() ? "" : "," + more) + "}";
}
inline std::string allow(const std::string& principal, const std::string& action,
                         const std::string& more = {}) {
  return statement("Allow", principal, action, more);
}
inline std::string deny(const std::string& principal, const std::string& action,
                        const std::string& more = {}) {
  return statement("Deny", principal, action, more);
}

// Statements of identity policies.
inline std::string may(const std::string& action, const std::string& more = {}) {
  return R"({"Effect":"Allow","Action":")" + action + R"(","Resource":"*")" +
         (more.empty() ? "" : "," + more) + "}";
}
inline std::string must_not(const std::string& action) {
  return R"({"Effect":"Deny","Action":")" + action + R"(","Resource":"*"})";
}

struct World {
  Caller caller = Caller::user(kHome, "bob");
  KeyFacts key;
  Circumstances circumstances;
  EncryptionContext context;
  Request request;
  std::optional<Policy> resource_policy;
  std::vector<NamedPolicy> identities;
  std::optional<NamedPolicy> boundary_policy;
  std::vector<NamedPolicy> sessions;
  std::vector<Grant> grants;

  World() {
    key.arn = kKeyArn;
    key.account = kHome;
    circumstances.now_ms = 1'800'000'000'000;  // 2027-01-15T08:00:00Z
    circumstances.region = "eu-west-1";
    caller.unique_id = "AIDABOBBOBBOBBOBBOB1";
  }

  static Policy parsed(const std::string& text, PolicyUse use) {
    auto policy = parse_policy(text, use);
    EXPECT_TRUE(policy.ok()) << (policy.ok() ? "" : policy.error().text) << "\n" << text;
    return policy.ok() ? *policy : Policy{};
  }
  static NamedPolicy named(const std::string& name, const std::string& statements) {
    return {name, std::make_shared<const Policy>(parsed(document(statements), PolicyUse::kIdentity))};
  }

  World& by(Caller who) {
    caller = std::move(who);
    return *this;
  }
  World& key_policy(const std::string& statements) {
    resource_policy = parsed(document(statements), PolicyUse::kKey);
    return *this;
  }
  World& identity(const std::string& statements) {
    identities.push_back(named("inline", statements));
    return *this;
  }
  World& boundary(const std::string& statements) {
    boundary_policy = named("limit", statements);
    return *this;
  }
  World& session(const std::string& statements) {
    sessions.push_back(named("session", statements));
    return *this;
  }
  World& grant(const std::string& grantee, std::vector<std::string> operations) {
    Grant made;
    made.id = "g" + std::to_string(grants.size());
    made.key_arn = kKeyArn;
    made.grantee = grantee;
    made.operations = std::move(operations);
    made.issuing_account = kHome;
    grants.push_back(std::move(made));
    return *this;
  }

  PolicySet policies() const {
    PolicySet set;
    set.resource_policy = resource_policy ? &*resource_policy : nullptr;
    set.identity = identities;
    set.boundary = boundary_policy ? &*boundary_policy : nullptr;
    set.session = sessions;
    set.grants = grants;
    return set;
  }
  // On the key.
  Request asking(std::string_view action) const {
    Request asked = request;
    asked.caller = &caller;
    asked.circumstances = &circumstances;
    asked.action = action;
    asked.resource = key.arn;
    asked.resource_account = key.account;
    asked.key = &key;
    asked.encryption_context = &context;
    asked.encryption_algorithm = "SYMMETRIC_DEFAULT";
    return asked;
  }
  // On something that is no key.
  Request asking_about(std::string_view action, std::string_view resource,
                       std::string_view account = kHome) const {
    Request asked = asking(action);
    asked.key = nullptr;
    asked.resource = resource;
    asked.resource_account = account;
    return asked;
  }
  Decision decide(std::string_view action) const { return kms::decide(asking(action), policies()); }
  bool allows(std::string_view action) const { return decide(action).allowed(); }
};

// Does the condition hold in this world? Asked through a key policy, as conditions always are.
inline bool holds(World world, const std::string& condition, std::string_view action = "kms:Decrypt") {
  return world.key_policy(allow("\"*\"", "kms:*", R"("Condition":)" + condition)).allows(action);
}

}  // namespace kmsfs::kms::test
