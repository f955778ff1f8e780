// Any bytes as a policy document: they parse, or are refused with a reason; what parses can be decided on.
#include "kms/decision/decision.h"

#include "tests/fuzz/fuzz.h"

namespace {

using namespace kmsfs::kms;  // NOLINT

void decide_on(const Policy& policy) {
  static const Caller caller = Caller::session("111111111111", "team/worker", "s1");
  static const Circumstances circumstances{1'800'000'000'000, "203.0.113.7", "fuzz", "eu-west-1", "", true};
  static const kmsfs::EncryptionContext context = {{"app", "a*b"}, {"App", "x"}};
  static const KeyFacts key = [] {
    KeyFacts facts;
    facts.arn = "arn:aws:kms:eu-west-1:111111111111:key/k";
    facts.account = "111111111111";
    return facts;
  }();
  Request request;
  request.caller = &caller;
  request.circumstances = &circumstances;
  request.action = "kms:Decrypt";
  request.resource = key.arn;
  request.resource_account = key.account;
  request.key = &key;
  request.encryption_context = &context;
  PolicySet policies;
  policies.resource_policy = &policy;
  const Explanation explanation = explain(request, policies);
  kmsfs::fuzz::require(!explanation.summary.empty(), "every decision has a reason");
  kmsfs::fuzz::require(explanation.steps.size() == policy.statements.size(), "every statement is explained");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto text = kmsfs::as_text(kmsfs::fuzz::view(data, size));
  for (const PolicyUse use : {PolicyUse::kKey, PolicyUse::kIdentity, PolicyUse::kTrust}) {
    const auto policy = parse_policy(text, use);
    if (policy.ok()) {
      decide_on(*policy);
    } else {
      kmsfs::fuzz::require(policy.error().code != nullptr, "a refusal has an error code");
    }
  }
  return 0;
}
