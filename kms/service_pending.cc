// Operations that are not there yet.
#include "kms/errors.h"
#include "kms/service.h"

namespace kmsfs::kms {

namespace {

Error not_yet() { return answer(Kind::kUnsupported, "UnsupportedOperationException", "not implemented"); }

}  // namespace

Result<Done> Service::update_key_description(const Invocation&, const UpdateKeyDescriptionRequest&) {
  return not_yet();
}
Result<ScheduleKeyDeletionReply> Service::schedule_key_deletion(const Invocation&,
                                                                const ScheduleKeyDeletionRequest&) {
  return not_yet();
}
Result<KeyIdReply> Service::cancel_key_deletion(const Invocation&, const KeyRequest&) { return not_yet(); }
Result<Done> Service::update_alias(const Invocation&, const CreateAliasRequest&) { return not_yet(); }
Result<Done> Service::delete_alias(const Invocation&, const DeleteAliasRequest&) { return not_yet(); }
Result<Done> Service::put_key_policy(const Invocation&, const PutKeyPolicyRequest&) { return not_yet(); }
Result<ListKeyPoliciesReply> Service::list_key_policies(const Invocation&, const KeyListRequest&) {
  return not_yet();
}
Result<Done> Service::enable_key_rotation(const Invocation&, const EnableKeyRotationRequest&) {
  return not_yet();
}
Result<Done> Service::disable_key_rotation(const Invocation&, const KeyRequest&) { return not_yet(); }
Result<KeyRotationStatusReply> Service::get_key_rotation_status(const Invocation&, const KeyRequest&) {
  return not_yet();
}
Result<KeyIdReply> Service::rotate_key_on_demand(const Invocation&, const KeyRequest&) { return not_yet(); }
Result<ListKeyRotationsReply> Service::list_key_rotations(const Invocation&, const KeyListRequest&) {
  return not_yet();
}
Result<GenerateRandomReply> Service::generate_random(const Invocation&, const GenerateRandomRequest&) {
  return not_yet();
}
Result<CreateGrantReply> Service::create_grant(const Invocation&, const CreateGrantRequest&) {
  return not_yet();
}
Result<ListGrantsReply> Service::list_grants(const Invocation&, const ListGrantsRequest&) {
  return not_yet();
}
Result<Done> Service::revoke_grant(const Invocation&, const RevokeGrantRequest&) { return not_yet(); }
Result<Done> Service::retire_grant(const Invocation&, const RetireGrantRequest&) { return not_yet(); }
Result<ListGrantsReply> Service::list_retirable_grants(const Invocation&, const ListRetirableGrantsRequest&) {
  return not_yet();
}
Result<Done> Service::tag_resource(const Invocation&, const TagResourceRequest&) { return not_yet(); }
Result<Done> Service::untag_resource(const Invocation&, const UntagResourceRequest&) { return not_yet(); }
Result<ListResourceTagsReply> Service::list_resource_tags(const Invocation&, const KeyListRequest&) {
  return not_yet();
}
Result<void> Service::run_due() { return {}; }
Result<void> Service::backup(const std::string&) { return not_yet(); }

}  // namespace kmsfs::kms
