// The local KMS: keys, aliases, accounts and users in one directory, with every use of a key decided and
// recorded.
//
// Always: a call is resolved, decided by kms/decision for the calling principal on the key that is really
// used, and recorded in the audit log before its answer leaves; if it cannot be recorded it fails. A change
// and its record are one transaction of the store. Nothing decided is remembered: what another process
// changed counts from the next call on. Key material is in locked memory only, and only while a call uses it.
// Errors carry the AWS code in Error::code: denied kDenied, disabled kDisabled, key gone kKeyGone, malformed
// input kInvalid, InvalidCiphertextException and IncorrectKeyException kCorrupt, a store or audit log that
// fails kUnavailable. Threads: any, together. Open after the process's last fork; several processes may have
// one store open.
#pragma once

#include <unistd.h>

#include <memory>
#include <string>

#include "core/clock.h"
#include "core/log.h"
#include "kms/operations.h"
#include "kms/passphrase.h"
#include "kms/requests.h"
#include "kms/seal.h"

namespace kmsfs::kms {

class Administration;
class Engine;

class Service {
 public:
  struct NewStore {
    SealOptions seal;
    std::string region = "local-1";
  };

  // Makes an empty store; `directory` must not hold one yet (kExists). It is made, mode 0700, if it is not
  // there.
  static Result<void> create_store(const std::string& directory, const NewStore& options,
                                   const PassphraseSource& passphrase);
  static Result<bool> has_store(const std::string& directory);

  // Unseals. kNotFound where no store is; kDenied for a wrong passphrase, an open key file, a foreign owner;
  // kUnsupported for a store of a newer format. `clock` must outlive the service.
  static Result<std::unique_ptr<Service>> open(const std::string& directory,
                                               const PassphraseSource& passphrase, const Clock& clock,
                                               Logger logger);
  ~Service();

  const std::string& region() const;
  // For whoever owns the store, beside all policies: accounts, users, service-managed keys.
  Administration& administration();

  // --- Keys ---
  Result<KeyReply> create_key(const Invocation& from, const CreateKeyRequest& request);
  Result<KeyReply> describe_key(const Invocation& from, const KeyRequest& request);
  Result<ListKeysReply> list_keys(const Invocation& from, const ListRequest& request);
  Result<Done> enable_key(const Invocation& from, const KeyRequest& request);
  Result<Done> disable_key(const Invocation& from, const KeyRequest& request);
  Result<Done> update_key_description(const Invocation& from, const UpdateKeyDescriptionRequest& request);
  Result<ScheduleKeyDeletionReply> schedule_key_deletion(const Invocation& from,
                                                         const ScheduleKeyDeletionRequest& request);
  Result<KeyIdReply> cancel_key_deletion(const Invocation& from, const KeyRequest& request);

  // --- Aliases ---
  Result<Done> create_alias(const Invocation& from, const CreateAliasRequest& request);
  Result<Done> update_alias(const Invocation& from, const CreateAliasRequest& request);
  Result<Done> delete_alias(const Invocation& from, const DeleteAliasRequest& request);
  Result<ListAliasesReply> list_aliases(const Invocation& from, const ListRequest& request);

  // --- Policies ---
  Result<KeyPolicyReply> get_key_policy(const Invocation& from, const GetKeyPolicyRequest& request);
  Result<Done> put_key_policy(const Invocation& from, const PutKeyPolicyRequest& request);
  Result<ListKeyPoliciesReply> list_key_policies(const Invocation& from, const KeyListRequest& request);

  // --- Rotation ---
  Result<Done> enable_key_rotation(const Invocation& from, const EnableKeyRotationRequest& request);
  Result<Done> disable_key_rotation(const Invocation& from, const KeyRequest& request);
  Result<KeyRotationStatusReply> get_key_rotation_status(const Invocation& from, const KeyRequest& request);
  Result<KeyIdReply> rotate_key_on_demand(const Invocation& from, const KeyRequest& request);
  Result<ListKeyRotationsReply> list_key_rotations(const Invocation& from, const KeyListRequest& request);

  // --- Use ---
  Result<GenerateDataKeyReply> generate_data_key(const Invocation& from,
                                                 const GenerateDataKeyRequest& request);
  Result<CiphertextReply> generate_data_key_without_plaintext(const Invocation& from,
                                                              const GenerateDataKeyRequest& request);
  Result<CiphertextReply> encrypt(const Invocation& from, const EncryptRequest& request);
  Result<DecryptReply> decrypt(const Invocation& from, const DecryptRequest& request);
  Result<ReEncryptReply> re_encrypt(const Invocation& from, const ReEncryptRequest& request);
  Result<GenerateRandomReply> generate_random(const Invocation& from, const GenerateRandomRequest& request);

  // --- Grants ---
  Result<CreateGrantReply> create_grant(const Invocation& from, const CreateGrantRequest& request);
  Result<ListGrantsReply> list_grants(const Invocation& from, const ListGrantsRequest& request);
  Result<Done> revoke_grant(const Invocation& from, const RevokeGrantRequest& request);
  Result<Done> retire_grant(const Invocation& from, const RetireGrantRequest& request);
  Result<ListGrantsReply> list_retirable_grants(const Invocation& from,
                                                const ListRetirableGrantsRequest& request);

  // --- Tags ---
  Result<Done> tag_resource(const Invocation& from, const TagResourceRequest& request);
  Result<Done> untag_resource(const Invocation& from, const UntagResourceRequest& request);
  Result<ListResourceTagsReply> list_resource_tags(const Invocation& from, const KeyListRequest& request);

  // --- What AWS has, and this KMS has not ---
  // Asymmetric and HMAC keys, imported material, custom key stores, other regions. The key is resolved, the
  // caller decided upon, the call recorded, and refused as AWS refuses it for a symmetric key of its own.
  Result<Done> refuse(const Invocation& from, std::string_view operation, const KeyRequest& request);

  // Deletes and rotates what is due; to be called now and then, by any process that has the store open. No
  // key depends on it: one past its deadline is refused anyway, one overdue for rotation rotates when it is
  // used or managed next.
  Result<void> run_due();

  // Copies the store, its audit log up to the same moment and its key file, if it has one, into a new
  // directory (kExists if it is there), which opens as a store of its own. Other calls go on meanwhile.
  Result<void> backup(const std::string& directory, uid_t by = ::geteuid());

 private:
  explicit Service(std::unique_ptr<Engine> engine);
  Result<Done> set_state(Operation operation, KeyState state, const Invocation& from,
                         const KeyRequest& request);

  std::unique_ptr<Engine> engine_;
  std::unique_ptr<Administration> administration_;
};

}  // namespace kmsfs::kms
