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

  Result<KeyReply> create_key(const Invocation& from, const CreateKeyRequest& request);
  Result<KeyReply> describe_key(const Invocation& from, const KeyRequest& request);
  Result<ListKeysReply> list_keys(const Invocation& from, const ListRequest& request);
  Result<Done> create_alias(const Invocation& from, const CreateAliasRequest& request);
  Result<ListAliasesReply> list_aliases(const Invocation& from, const ListRequest& request);
  Result<KeyPolicyReply> get_key_policy(const Invocation& from, const KeyRequest& request);
  Result<Done> enable_key(const Invocation& from, const KeyRequest& request);
  Result<Done> disable_key(const Invocation& from, const KeyRequest& request);

  Result<GenerateDataKeyReply> generate_data_key(const Invocation& from,
                                                 const GenerateDataKeyRequest& request);
  Result<CiphertextReply> generate_data_key_without_plaintext(const Invocation& from,
                                                              const GenerateDataKeyRequest& request);
  Result<CiphertextReply> encrypt(const Invocation& from, const EncryptRequest& request);
  Result<DecryptReply> decrypt(const Invocation& from, const DecryptRequest& request);
  Result<ReEncryptReply> re_encrypt(const Invocation& from, const ReEncryptRequest& request);

 private:
  explicit Service(std::unique_ptr<Engine> engine);
  Result<Done> set_state(Operation operation, KeyState state, const Invocation& from,
                         const KeyRequest& request);

  std::unique_ptr<Engine> engine_;
  std::unique_ptr<Administration> administration_;
};

}  // namespace kmsfs::kms
