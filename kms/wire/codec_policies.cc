// GetKeyPolicy, PutKeyPolicy, ListKeyPolicies.
#include "kms/wire/codec.h"

namespace kmsfs::kms {

namespace {

constexpr Member kGetKeyPolicy[] = {{"KeyId", &shape::kKeyId, kRequired},
                                    {"PolicyName", &shape::kPolicyName}};
Result<Body> get_key_policy(const CodecCall& call) {
  auto reply = call.service.get_key_policy(
      call.from, {.key_id = call.in.text("KeyId"), .policy_name = call.in.text("PolicyName")});
  if (!reply) return std::move(reply).error();
  return std::move(Output().text("Policy", reply->policy).text("PolicyName", reply->policy_name)).body();
}

constexpr Member kPutKeyPolicy[] = {
    {"KeyId", &shape::kKeyId, kRequired},
    {"PolicyName", &shape::kPolicyName},
    {"Policy", &shape::kPolicy, kRequired},
    {"BypassPolicyLockoutSafetyCheck", &shape::kBoolean},
};
Result<Body> put_key_policy(const CodecCall& call) {
  const Input& in = call.in;
  return nothing(call.service.put_key_policy(
      call.from, {.key_id = in.text("KeyId"),
                  .policy = in.text("Policy"),
                  .policy_name = in.text("PolicyName"),
                  .bypass_policy_lockout_safety_check = in.flag("BypassPolicyLockoutSafetyCheck")}));
}

constexpr Member kListKeyPolicies[] = {
    {"KeyId", &shape::kKeyId, kRequired}, {"Limit", &shape::kLimit}, {"Marker", &shape::kMarker}};
Result<Body> list_key_policies(const CodecCall& call) {
  const Input& in = call.in;
  auto reply = call.service.list_key_policies(
      call.from, {.key_id = in.text("KeyId"), .limit = in.integer("Limit"), .marker = in.text("Marker")});
  if (!reply) return std::move(reply).error();
  return std::move(Output().texts("PolicyNames", reply->policy_names).page(reply->next_marker)).body();
}

constexpr Codec kCodecs[] = {
    {"GetKeyPolicy", kGetKeyPolicy, get_key_policy},
    {"PutKeyPolicy", kPutKeyPolicy, put_key_policy},
    {"ListKeyPolicies", kListKeyPolicies, list_key_policies},
};

}  // namespace

std::span<const Codec> policy_codecs() { return kCodecs; }

}  // namespace kmsfs::kms
