// One call on its way through the KMS: who calls, resolve the key, decide, check its state.
//
// Every operation goes this way; what it does with the key then is the operation's own (kms/service_*.cc).
// Always: a key that authorised_key() returns was decided upon for this caller, action and encryption
// context, and is in a state that the operation allows. What was resolved stands in the record, also when it
// is refused. Threads: one.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "kms/engine.h"
#include "kms/identities/caller_identity.h"
#include "kms/operations.h"
#include "kms/requests.h"

namespace kmsfs::kms {

class Call {
 public:
  Call(Engine& engine, const OperationFacts& facts, const Invocation& from, const Transaction& transaction,
       AuditRecord& record);

  // Who calls; first of all. kDenied for a principal that the store does not know.
  Result<void> identify();

  struct Use {
    std::string_view action = {};  // empty: the operation's own
    const EncryptionContext* context = nullptr;
    std::optional<bool> reencrypt_on_same_key = {};
    const Tags* request_tags = nullptr;
    const std::vector<std::string>* tag_keys = nullptr;
    const Grant* new_grant = nullptr;
    std::optional<bool> bypass_policy_lockout_safety_check = {};
    std::optional<std::int64_t> pending_window_days = {};
    std::optional<std::int64_t> rotation_period_days = {};
    bool in_any_state = false;
  };
  using Key = std::shared_ptr<const LoadedKey>;

  Result<Key> authorised_key(std::string_view name, const Use& use);
  // The key that a blob names; if `name` is not empty, it must be that one.
  Result<Key> authorised_key_of_blob(ByteView blob, std::string_view name, const Use& use);
  // For operations on no key, and on aliases: identity policies decide.
  Result<void> authorise_without_key(std::string_view resource, const Use& use);
  // By the grant's own rule.
  Result<void> authorise_retiring(const LoadedKey& key, const Grant& grant);
  // Each must be one of this store whose grant still is. What a grant allows it allows without its token too:
  // here a grant holds from the moment it is made.
  Result<void> check_grant_tokens(const GrantTokens& tokens);
  // May the caller still change the policy of a key that has this one?
  Result<void> check_lockout(const KeyFacts& key, const Policy& policy);

  // Finds, without deciding.
  Result<Key> resolve(std::string_view name);
  // The same, in the caller's account only; a foreign key is denied, whether it is there or not.
  Result<Key> resolve_own(std::string_view name);
  // By id, as an index or a token has it.
  Result<Key> key_of_id(const KeyId& id);
  // Fails with not_recorded() if something in the store is due; so lists tell of no key that has ended.
  Result<void> check_nothing_due();
  // What must be settled before this call can be answered.
  const std::optional<KeyId>& due() const { return due_; }

  Engine& engine() const { return engine_; }
  const std::string& region() const { return engine_.region(); }
  const Transaction& transaction() const { return transaction_; }
  AuditRecord& record() { return record_; }
  const Caller& caller() const { return identity_->caller(); }

 private:
  Request request(std::string_view action, std::string_view resource,
                  std::string_view resource_account) const;
  PolicySet policies(const Policy* resource_policy) const;
  Result<void> authorise(const LoadedKey& key, const Use& use);
  Result<void> check_state(const LoadedKey& key) const;
  Result<void> check_due(const LoadedKey& key);
  Result<void> check_manager(const LoadedKey& key) const;
  Request request_on_key(const LoadedKey& key, const Use& use) const;
  Error not_there(const KeyName& name, std::string_view text) const;
  void add_resource(const LoadedKey& key);

  Engine& engine_;
  const OperationFacts& facts_;
  const Invocation& from_;
  const Transaction& transaction_;
  AuditRecord& record_;
  Circumstances circumstances_;
  std::optional<CallerIdentity> identity_;  // after identify()
  std::string request_alias_;               // the alias by which the key was named last
  std::optional<KeyId> due_;
};

}  // namespace kmsfs::kms
