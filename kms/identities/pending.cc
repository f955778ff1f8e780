// To be replaced, piece by piece.
#include "kms/console_policy.h"
#include "kms/errors.h"
#include "kms/identities/access_keys.h"
#include "kms/identities/administration_call.h"
#include "kms/session.h"

namespace kmsfs::kms {

namespace {
Error pending() { return error(Kind::kUnsupported, "not yet"); }
}  // namespace

std::string SessionFacts::arn() const {
  return "arn:aws:sts::" + account + ":assumed-role/" + role_name + "/" + session_name;
}
std::string SessionFacts::role_arn() const { return "arn:aws:iam::" + account + ":role/" + role_name; }

Result<Session> assume_role(Engine&, const Invocation&, const AssumeRoleRequest&) { return pending(); }
Result<CallerIdentityReply> get_caller_identity(Engine&, const Invocation&) { return pending(); }
Result<Credential> find_credential(Engine&, std::string_view, std::string_view) { return pending(); }
Result<SecretAccessKey> new_secret_access_key() { return pending(); }
Result<std::optional<AccessKey>> find_access_key(const Engine&, const Transaction&, std::string_view) {
  return pending();
}
Result<SensitiveBytes> administration_call(Administration&, std::string_view, std::string_view) {
  return pending();
}
std::span<const std::string_view> administration_operations() { return {}; }
Result<std::string> console_policy(const ConsolePolicy&) { return pending(); }
Result<std::string> share_policy(std::string_view, std::string_view) { return pending(); }
Result<std::string> unshare_policy(std::string_view, std::string_view) { return pending(); }

}  // namespace kmsfs::kms
