// Who an Invocation is, with all policies of its own side: what every decision starts from.
//
// An account's root has none; a user has its own policies, those of its groups and perhaps a boundary; a
// session has those of its role and perhaps a session policy. Always: a principal that the store does not
// know (any more), an expired session and one whose role was deleted or made anew are refused. It is loaded
// in the transaction that the decision is made in. Threads: one; it may be moved, and borrows nothing.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "kms/audit_record.h"
#include "kms/engine.h"
#include "kms/requests.h"
#include "kms/session.h"

namespace kmsfs::kms {

class CallerIdentity {
 public:
  // kDenied: UnrecognizedClientException, ExpiredTokenException.
  static Result<CallerIdentity> load(Engine& engine, const Transaction& transaction, const Invocation& from);

  const Caller& caller() const { return made_ ? *made_ : principal_->caller; }
  // Identity policies, boundary and session policies; borrowed from this object.
  PolicySet own_policies() const;
  // As GetCallerIdentity calls it: AIDA…, AROA…:SESSION, or a root's account.
  std::string user_id() const;
  void describe(AuditRecord::Identity& identity) const;

 private:
  Result<void> load_root(const Transaction& transaction, std::string_view account);
  Result<void> load_user(Engine& engine, const Transaction& transaction, const std::string& arn);
  Result<void> load_session(Engine& engine, const Transaction& transaction,
                            std::shared_ptr<const SessionFacts> session);

  std::shared_ptr<const LoadedPrincipal> principal_;  // null: a root
  std::unique_ptr<Caller> made_;                      // of a root or session; users keep theirs
  std::shared_ptr<const SessionFacts> session_;
  std::vector<NamedPolicy> with_groups_;  // filled for users in groups only
  std::vector<NamedPolicy> session_policies_;
};

// arn:aws:iam::ACCOUNT:root → ACCOUNT; empty if it is not one.
std::string_view account_of_root(std::string_view arn);

}  // namespace kmsfs::kms
