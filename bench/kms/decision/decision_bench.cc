// What one decision costs. The policies are parsed once, as the service keeps them.
#include <benchmark/benchmark.h>

#include "kms/decision/decision.h"

namespace {

using namespace kmsfs;       // NOLINT
using namespace kmsfs::kms;  // NOLINT

constexpr char kAccount[] = "111111111111";

struct Decrypt {
  explicit Decrypt(const std::string& key_policy) {
    key.arn = "arn:aws:kms:eu-west-1:111111111111:key/0d990263-018e-4e65-a703-eff731de951e";
    key.account = kAccount;
    policy = *parse_policy(key_policy, PolicyUse::kKey);
    auto identity = parse_policy(
        R"({"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":["kms:GenerateDataKey*","kms:Decrypt"],)"
        R"("Resource":"arn:aws:kms:*:111111111111:key/*"}})",
        PolicyUse::kIdentity);
    identities.push_back({"use", std::make_shared<const Policy>(std::move(*identity))});
    request.caller = &caller;
    request.circumstances = &circumstances;
    request.action = "kms:Decrypt";
    request.resource = key.arn;
    request.resource_account = kAccount;
    request.key = &key;
    request.encryption_context = &context;
    policies.resource_policy = &policy;
    policies.identity = identities;
  }

  void run(benchmark::State& state) {
    for ([[maybe_unused]] auto iteration : state) benchmark::DoNotOptimize(decide(request, policies));
    if (!decide(request, policies).allowed()) state.SkipWithError("denied");
  }

  Caller caller = Caller::user(kAccount, "bob");
  Circumstances circumstances;
  KeyFacts key;
  EncryptionContext context = {{"kmsfs:volume", "0123456789abcdef0123456789abcdef"},
                               {"kmsfs:file", "fedcba9876543210fedcba9876543210"}};
  Policy policy;
  std::vector<NamedPolicy> identities;
  Request request;
  PolicySet policies;
};

void decrypt_under_default_policy(benchmark::State& state) {
  Decrypt(default_key_policy(kAccount)).run(state);
}
BENCHMARK(decrypt_under_default_policy);

void decrypt_under_service_managed_policy(benchmark::State& state) {
  Decrypt(service_managed_key_policy(kAccount)).run(state);
}
BENCHMARK(decrypt_under_service_managed_policy);

// The four statements of the console's policy, and a condition with a variable.
void decrypt_under_console_policy(benchmark::State& state) {
  Decrypt(R"({"Version":"2012-10-17","Statement":[
    {"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::111111111111:root"},"Action":"kms:*","Resource":"*"},
    {"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::111111111111:user/alice"},"Action":["kms:Create*","kms:Put*",
      "kms:Describe*","kms:Enable*","kms:List*","kms:Update*","kms:Revoke*","kms:Disable*","kms:Get*","kms:Delete*",
      "kms:TagResource","kms:UntagResource","kms:ScheduleKeyDeletion","kms:CancelKeyDeletion"],"Resource":"*"},
    {"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::111111111111:user/bob"},"Action":["kms:Encrypt","kms:Decrypt",
      "kms:ReEncrypt*","kms:GenerateDataKey*","kms:DescribeKey"],"Resource":"*",
      "Condition":{"StringNotEquals":{"kms:EncryptionContext:kmsfs:volume":"${aws:username}"}}},
    {"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::111111111111:user/bob"},"Action":["kms:CreateGrant",
      "kms:ListGrants","kms:RevokeGrant"],"Resource":"*","Condition":{"Bool":{"kms:GrantIsForAWSResource":"true"}}}]})")
      .run(state);
}
BENCHMARK(decrypt_under_console_policy);

void parse_default_policy(benchmark::State& state) {
  const std::string text = default_key_policy(kAccount);
  for ([[maybe_unused]] auto iteration : state) benchmark::DoNotOptimize(parse_policy(text, PolicyUse::kKey));
}
BENCHMARK(parse_default_policy);

}  // namespace

BENCHMARK_MAIN();
