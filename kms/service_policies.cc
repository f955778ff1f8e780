// Key policies.
#include <utility>

#include "kms/pages.h"
#include "kms/perform.h"
#include "kms/service.h"

namespace kmsfs::kms {

namespace {

constexpr std::string_view kPolicyName = "default";
constexpr std::size_t kLongestPolicy = 131'072;  // of the API's model; parse_policy() is stricter

Result<void> check_policy_name(const std::string& name) {
  if (name.empty() || name == kPolicyName) return {};
  return key_not_found("No such policy exists");
}

}  // namespace

Result<KeyPolicyReply> Service::get_key_policy(const Invocation& from, const GetKeyPolicyRequest& request) {
  const auto act = [&](Call& call) -> Result<KeyPolicyReply> {
    auto key = call.authorised_key(request.key_id, {});
    if (!key) return std::move(key).error();
    KMSFS_TRY(check_policy_name(request.policy_name));
    return KeyPolicyReply{(*key)->record.policy, std::string(kPolicyName)};
  };
  return perform_use<KeyPolicyReply>(*engine_, Operation::kGetKeyPolicy, from, request, act);
}

Result<Done> Service::put_key_policy(const Invocation& from, const PutKeyPolicyRequest& request) {
  const auto act = [&](Call& call, WriteTransaction& transaction) -> Result<Done> {
    KMSFS_TRY(check_length("policy", request.policy.size(), 1, kLongestPolicy));
    Call::Use use;
    if (request.bypass_policy_lockout_safety_check) use.bypass_policy_lockout_safety_check = true;
    auto key = call.authorised_key(request.key_id, use);
    if (!key) return std::move(key).error();
    KMSFS_TRY(check_policy_name(request.policy_name));
    auto policy = parse_policy(request.policy, PolicyUse::kKey);
    if (!policy) return std::move(policy).error();
    auto principals = bound_principals(*engine_, transaction, *policy);
    if (!principals) return std::move(principals).error();
    policy->bind_principals(*principals);
    if (!request.bypass_policy_lockout_safety_check) {
      KMSFS_TRY(call.check_lockout((*key)->facts, *policy));
    }
    KeyRecord record = (*key)->record;
    record.policy = request.policy;
    record.principals = std::move(*principals);
    KMSFS_TRY(write_key(transaction, record));
    return Done{};
  };
  return perform_change<Done>(*engine_, Operation::kPutKeyPolicy, from, request, act);
}

Result<ListKeyPoliciesReply> Service::list_key_policies(const Invocation& from,
                                                        const KeyListRequest& request) {
  const auto act = [&](Call& call) -> Result<ListKeyPoliciesReply> {
    auto page = Page::make("policies/", request.limit, request.marker, {100, 1000});
    if (!page) return std::move(page).error();
    auto key = call.authorised_key(request.key_id, {});
    if (!key) return std::move(key).error();
    return ListKeyPoliciesReply{{std::string(kPolicyName)}, {}};
  };
  return perform_use<ListKeyPoliciesReply>(*engine_, Operation::kListKeyPolicies, from, request, act);
}

}  // namespace kmsfs::kms
