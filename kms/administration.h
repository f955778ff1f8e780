// What the owner of a store does beside all policies: whoever has the directory and its seal may do all of
// it.
//
// Always: each change is one transaction with its audit record (identity type StoreOwner, with the uid).
// Threads: any, together.
#pragma once

#include <sys/types.h>
#include <unistd.h>

#include <optional>
#include <string>

#include "kms/engine.h"

namespace kmsfs::kms {

inline constexpr std::string_view kIamSource = "iam.amazonaws.com";

class Administration {
 public:
  explicit Administration(Engine& engine) : engine_(engine) {}
  Engine& engine() { return engine_; }

  // The ARN of the user that this uid is; none yet: nothing.
  Result<std::optional<std::string>> user_of_uid(uid_t uid);
  // The same; if there is none, makes an account, a user `name` that may do everything in it, and ties the
  // uid to it.
  Result<std::string> ensure_user_of_uid(uid_t uid, const std::string& name);

  Result<std::string> create_account();  // 12 digits
  // kExists if there is one of that name.
  Result<std::string> create_user(const std::string& account, const std::string& name);  // its ARN
  Result<bool> has_user(const std::string& arn);  // or the root of an account
  // Replaces the policy of that name; an empty document removes it.
  Result<void> put_user_policy(const std::string& user_arn, const std::string& policy_name,
                               const std::string& document);

  // The account's service-managed key of that alias ("alias/aws/…"); made if it is not there.
  Result<KeyDescription> ensure_service_key(const std::string& account, const std::string& alias);
  // Of a customer-managed key; without a lockout check.
  Result<void> put_key_policy(const std::string& key_arn, const std::string& document);

  // One change: `parameters` (JSON) for the record, `act` does it. `by`: the uid of whoever asked for it.
  Result<void> change(std::string_view event, std::string_view source, std::string parameters,
                      const Engine::Change& act, uid_t by = ::geteuid());
  // What leaves the store as it is, and is recorded like a change.
  Result<void> tell(std::string_view event, std::string parameters, uid_t by);
  // How a record of what the owner does begins.
  AuditRecord begin_record(std::string_view event, std::string_view source, std::string parameters,
                           uid_t by) const;

 private:
  Engine& engine_;
};

}  // namespace kmsfs::kms
