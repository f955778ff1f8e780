#include "tests/kms/decision/world.h"

namespace kmsfs::kms::test {
namespace {

std::string summary(const World& world, std::string_view action) {
  return sentence(world.decide(action), world.asking(action), world.policies());
}
std::string message(const World& world, std::string_view action) {
  return access_denied_message(world.decide(action), world.asking(action));
}

TEST(Sentences, NameTheStatementThatDecided) {
  World world;
  world.key_policy(allow(kHomeRoot, "kms:*", R"("Sid":"Delegate")") + "," + deny("\"*\"", "kms:Encrypt"));
  EXPECT_EQ(summary(world, "kms:Encrypt"),
            "Denied: statement 2 of the key policy forbids it, and a deny always wins.");
  EXPECT_EQ(summary(world, "kms:Decrypt"),
            "Denied: no identity policy of the caller allows it, though statement 'Delegate' of the key "
            "policy does.");
  world.identity(may("kms:Decrypt"));
  EXPECT_EQ(summary(world, "kms:Decrypt"),
            "Allowed: statement 'Delegate' of the key policy allows it to the account, and statement 1 of "
            "the identity "
            "policy 'inline' to the caller.");
}

TEST(Sentences, NameTheGrant) {
  World world;
  world.key_policy(allow(kHomeRoot, "kms:*")).grant(world.caller.arn, {"Decrypt"});
  EXPECT_EQ(summary(world, "kms:Decrypt"), "Allowed: grant g0 allows it.");
}

TEST(DeniedMessages, AreWordedAsAwsWordsThem) {
  World world;
  world.key_policy(allow(kHomeRoot, "kms:*"));
  const std::string head =
      "User: arn:aws:iam::111111111111:user/bob is not authorized to perform: kms:Decrypt on resource: " +
      std::string(kKeyArn);
  EXPECT_EQ(message(world, "kms:Decrypt"),
            head + " because no identity-based policy allows the kms:Decrypt action");
  world.key_policy(allow(kHomeRoot, "kms:Encrypt"));
  EXPECT_EQ(message(world, "kms:Decrypt"),
            head + " because no resource-based policy allows the kms:Decrypt action");
  world.key_policy(deny("\"*\"", "kms:*"));
  EXPECT_EQ(message(world, "kms:Decrypt"), head + " with an explicit deny in a resource-based policy");
  world.key_policy(allow(kBob, "kms:*")).identity(must_not("kms:*"));
  EXPECT_EQ(message(world, "kms:Decrypt"), head + " with an explicit deny in an identity-based policy");
}

TEST(DeniedMessages, TellAnotherAccountNothingAboutTheKeyPolicy) {
  World silent;
  silent.by(Caller::user(kForeign, "eve")).identity(may("*")).key_policy(allow(kHomeRoot, "kms:*"));
  World denying = silent;
  denying.key_policy(deny(kForeignRoot, "kms:*"));
  EXPECT_EQ(message(silent, "kms:Decrypt"), message(denying, "kms:Decrypt"));
}

TEST(Explanation, HasOneStepPerStatementAndGrantAndSaysWhatFailedFirst) {
  World world;
  world.key_policy(allow(R"({"AWS":"arn:aws:iam::111111111111:user/alice"})", "kms:*", R"("Sid":"Admins")") +
                   "," + allow(kHomeRoot, "kms:*", R"("Sid":"Delegate")") + "," +
                   deny("\"*\"", "kms:*", R"("Condition":{"Bool":{"aws:SecureTransport":"true"}})"));
  world.identity(may("kms:Encrypt")).boundary(may("*")).session(may("kms:*"));
  world.grant("arn:aws:iam::111111111111:user/alice", {"Decrypt"}).grant(world.caller.arn, {"Encrypt"});
  const Explanation explanation = explain(world.asking("kms:Decrypt"), world.policies());
  EXPECT_FALSE(explanation.decision.allowed());
  ASSERT_EQ(explanation.steps.size(), 8U);
  const auto line = [&](std::size_t i) {
    const Step& step = explanation.steps[i];
    return step.policy + ", " + step.statement + ": " + step.why;
  };
  EXPECT_EQ(line(0), "key policy, statement 'Admins': names another principal");
  EXPECT_EQ(
      line(1),
      "key policy, statement 'Delegate': applies: it leaves the decision to the account's identity policies");
  EXPECT_EQ(line(2), "key policy, statement 3: condition Bool on aws:SecureTransport does not hold");
  EXPECT_EQ(line(3), "identity policy 'inline', statement 1: is about other actions");
  EXPECT_EQ(line(4), "permissions boundary 'limit', statement 1: applies, and allows it");
  EXPECT_EQ(line(5), "session policy 'session', statement 1: applies, and allows it");
  EXPECT_EQ(line(6), "grants, grant g0: is for another principal");
  EXPECT_EQ(line(7), "grants, grant g1: does not include the operation");
  EXPECT_TRUE(explanation.steps[1].matched);
  EXPECT_FALSE(explanation.steps[2].matched);
  EXPECT_FALSE(explanation.steps[2].allows);
}

}  // namespace
}  // namespace kmsfs::kms::test
