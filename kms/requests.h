// What the operations of the KMS take and give, typed; member names follow the AWS KMS API.
//
// Keys are named as the AWS CLI names them. Plain texts are at most 4096 bytes, in locked memory. Empty texts
// and absent optionals are members that were not given. Every constraint is checked by the service, whoever
// calls. `dry_run`: everything is checked and decided, nothing done; DryRunOperationException says that it
// would have succeeded. Times are milliseconds since the epoch. In a list's reply an empty next_marker means
// that this was all.
// Threads: plain values.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/bytes.h"
#include "kms/sensitive_bytes.h"
#include "kms/types.h"

namespace kmsfs::kms {

struct SessionFacts;  // kms/session.h

// Who calls, as established by whoever took the call in (a uid, a signature), and from where.
struct Invocation {
  // ARN: arn:aws:iam::ACCOUNT:user/NAME, arn:aws:iam::ACCOUNT:root, or of a session
  // arn:aws:sts::ACCOUNT:assumed-role/ROLE/NAME
  std::string principal;
  std::string source_ip;      // empty: in-process or a unix socket
  std::string user_agent;     // for the audit log
  std::string access_key_id;  // of a signed request
  bool secure_transport = false;
  std::shared_ptr<const SessionFacts> session = {};  // what a session's token carries
  std::string request_id = {};                       // a UUID, as answered to the caller; empty: a new one
};

using GrantTokens = std::vector<std::string>;

struct Tag {
  std::string key;
  std::string value;
};

// --- Keys ---

struct CreateKeyRequest {
  std::string description;            // at most 8192 bytes
  std::optional<std::string> policy;  // none: the account decides by its identity policies
  bool bypass_policy_lockout_safety_check = false;
  std::vector<Tag> tags = {};
  // Only symmetric keys of the store itself are made; what else these may say is refused as AWS would.
  std::string key_spec =
      {};  // empty: SYMMETRIC_DEFAULT; CustomerMasterKeySpec is the same under its old name
  std::string key_usage = {};  // empty: ENCRYPT_DECRYPT
  std::string origin = {};     // empty: AWS_KMS
  bool multi_region = false;
  std::string custom_key_store_id = {};
  std::string xks_key_id = {};
};
struct KeyReply {
  KeyDescription key;
};

struct KeyRequest {  // EnableKey, DisableKey, CancelKeyDeletion, DisableKeyRotation, GetKeyRotationStatus, …
  std::string key_id;
  GrantTokens grant_tokens = {};  // DescribeKey
};
struct KeyIdReply {  // CancelKeyDeletion: the ARN; RotateKeyOnDemand: the id
  std::string key_id;
};

struct ListRequest {  // ListKeys, ListAliases
  std::optional<std::int64_t> limit;
  std::string marker;  // of the reply before; empty: from the start
  std::string key_id;  // ListAliases: only those of this key; empty: all
};
struct ListKeysReply {
  struct Key {
    std::string key_id;
    std::string arn;
  };
  std::vector<Key> keys;
  std::string next_marker;
};
struct ListAliasesReply {
  struct Alias {
    std::string name;  // alias/…
    std::string arn;
    std::string target_key_id;
    std::int64_t created_ms = 0;
    std::int64_t updated_ms = 0;
  };
  std::vector<Alias> aliases;
  std::string next_marker;
};

struct UpdateKeyDescriptionRequest {
  std::string key_id;
  std::string description;
};

struct CreateAliasRequest {  // UpdateAlias too
  std::string alias_name;
  std::string target_key_id;
};
struct DeleteAliasRequest {
  std::string alias_name;
};

struct ScheduleKeyDeletionRequest {
  std::string key_id;
  std::optional<std::int64_t> pending_window_in_days = {};  // 7 to 30; none: 30
};
struct ScheduleKeyDeletionReply {
  std::string key_arn;
  std::int64_t deletion_ms = 0;
  KeyState state = KeyState::kPendingDeletion;
  std::int64_t pending_window_in_days = 0;
};

// A page of what one key has: ListKeyPolicies, ListResourceTags, ListKeyRotations.
struct KeyListRequest {
  std::string key_id;
  std::optional<std::int64_t> limit = {};
  std::string marker = {};
  std::string include_key_material = {};  // ListKeyRotations: ALL_KEY_MATERIAL or ROTATIONS_ONLY (empty)
};

// --- Policies ---

struct GetKeyPolicyRequest {
  std::string key_id;
  std::string policy_name = {};  // empty: "default", the only one there is
};
struct KeyPolicyReply {
  std::string policy;  // as it was put, byte for byte
  std::string policy_name = "default";
};
struct PutKeyPolicyRequest {
  std::string key_id;
  std::string policy;
  std::string policy_name = {};
  bool bypass_policy_lockout_safety_check = false;
};
struct ListKeyPoliciesReply {
  std::vector<std::string> policy_names;
  std::string next_marker;
};

// --- Rotation ---

struct EnableKeyRotationRequest {
  std::string key_id;
  std::optional<std::int64_t> rotation_period_in_days = {};  // 90 to 2560; none: 365, or what it was
};
struct KeyRotationStatusReply {
  std::string key_id;
  bool enabled = false;
  std::optional<std::int64_t> rotation_period_in_days;  // when enabled
  std::optional<std::int64_t> next_rotation_ms;         // when enabled
  std::optional<std::int64_t> on_demand_rotation_start_ms;
};
struct ListKeyRotationsReply {
  struct Rotation {
    std::string key_id;
    std::string key_material_id;     // 64 hexadecimal digits
    std::string key_material_state;  // CURRENT, NON_CURRENT
    std::int64_t rotation_ms = 0;    // 0: the first material, which no rotation made
    std::string rotation_type;       // AUTOMATIC, ON_DEMAND; empty: the first material
  };
  std::vector<Rotation> rotations;
  std::string next_marker;
};

// --- Use ---

struct GenerateDataKeyRequest {  // exactly one of key_spec and number_of_bytes
  std::string key_id;
  EncryptionContext context;
  std::string key_spec = {};                         // AES_256, AES_128
  std::optional<std::int64_t> number_of_bytes = {};  // 1 to 1024
  GrantTokens grant_tokens = {};
  bool dry_run = false;
};
struct GenerateDataKeyReply {
  std::string key_arn;
  Bytes ciphertext;
  SensitiveBytes plaintext;
  std::string key_material_id;
};
struct CiphertextReply {  // Encrypt, GenerateDataKeyWithoutPlaintext
  std::string key_arn;
  Bytes ciphertext;
  std::string key_material_id;  // not a member of Encrypt's answer
};

struct EncryptRequest {
  std::string key_id;
  ByteView plaintext;  // 1 to 4096 bytes
  EncryptionContext context;
  std::string encryption_algorithm = {};  // empty: SYMMETRIC_DEFAULT, the only one there is
  GrantTokens grant_tokens = {};
  bool dry_run = false;
};

struct DecryptRequest {
  std::string key_id;  // empty: the key that the blob names
  ByteView ciphertext;
  EncryptionContext context;
  std::string encryption_algorithm = {};
  GrantTokens grant_tokens = {};
  bool dry_run = false;
};
struct DecryptReply {
  std::string key_arn;
  SensitiveBytes plaintext;
  std::string key_material_id;
};

struct ReEncryptRequest {
  ByteView ciphertext;
  std::string source_key_id;  // empty: the key that the blob names
  EncryptionContext source_context;
  std::string destination_key_id;
  EncryptionContext destination_context;
  std::string source_encryption_algorithm = {};
  std::string destination_encryption_algorithm = {};
  GrantTokens grant_tokens = {};
  bool dry_run = false;
};
struct ReEncryptReply {
  std::string key_arn;
  std::string source_key_arn;
  Bytes ciphertext;
  std::string source_key_material_id;
  std::string destination_key_material_id;
};

struct GenerateRandomRequest {
  std::optional<std::int64_t> number_of_bytes = {};  // 1 to 1024; must be given
  std::string custom_key_store_id = {};              // refused: there is none
};
struct GenerateRandomReply {
  SensitiveBytes plaintext;
};

// --- Grants ---

struct GrantConstraints {  // at most one of them
  std::optional<EncryptionContext> encryption_context_equals = {};
  std::optional<EncryptionContext> encryption_context_subset = {};
};
struct CreateGrantRequest {
  std::string key_id;
  std::string grantee_principal;
  std::vector<std::string> operations;  // "Decrypt", "GenerateDataKey", …
  std::string retiring_principal = {};
  GrantConstraints constraints = {};
  std::string name = {};
  GrantTokens grant_tokens = {};
  bool dry_run = false;
};
struct CreateGrantReply {
  std::string grant_id;  // 64 hexadecimal digits
  std::string grant_token;
};

struct ListGrantsRequest {
  std::string key_id;
  std::string grant_id = {};           // only this one
  std::string grantee_principal = {};  // only theirs
  std::optional<std::int64_t> limit = {};
  std::string marker = {};
};
struct ListRetirableGrantsRequest {
  std::string retiring_principal;
  std::optional<std::int64_t> limit = {};
  std::string marker = {};
};
struct GrantEntry {
  std::string key_arn;  // the member KeyId
  std::string grant_id;
  std::string name;
  std::int64_t created_ms = 0;
  std::string grantee_principal;
  std::string retiring_principal;
  std::string issuing_account;  // arn:aws:iam::ACCOUNT:root
  std::vector<std::string> operations;
  GrantConstraints constraints;
};
struct ListGrantsReply {
  std::vector<GrantEntry> grants;
  std::string next_marker;
};

struct RevokeGrantRequest {
  std::string key_id;
  std::string grant_id;
  bool dry_run = false;
};
struct RetireGrantRequest {  // the token, or key ARN and grant id
  std::string grant_token = {};
  std::string key_id = {};
  std::string grant_id = {};
  bool dry_run = false;
};

// --- Tags ---

struct TagResourceRequest {
  std::string key_id;
  std::vector<Tag> tags;
};
struct UntagResourceRequest {
  std::string key_id;
  std::vector<std::string> tag_keys;
};
struct ListResourceTagsReply {
  std::vector<Tag> tags;
  std::string next_marker;
};

struct Done {};  // of operations without an answer of their own: 200 and nothing

}  // namespace kmsfs::kms
