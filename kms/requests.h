// What the operations of the KMS take and give, typed; member names follow the AWS KMS API.
//
// Keys are named as the AWS CLI names them. Plain texts are at most 4096 bytes, in locked memory.
// Threads: plain values.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "core/bytes.h"
#include "kms/sensitive_bytes.h"
#include "kms/types.h"

namespace kmsfs::kms {

// Who calls, as established by whoever took the call in (a uid, a signature), and from where.
struct Invocation {
  std::string principal;      // ARN: arn:aws:iam::ACCOUNT:user/NAME or arn:aws:iam::ACCOUNT:root
  std::string source_ip;      // empty: in-process or a unix socket
  std::string user_agent;     // for the audit log
  std::string access_key_id;  // of a signed request
  bool secure_transport = false;
};

struct CreateKeyRequest {
  std::string description;            // at most 8192 bytes
  std::optional<std::string> policy;  // none: the account decides by its identity policies
  bool bypass_policy_lockout_safety_check = false;
};
struct KeyReply {
  KeyDescription key;
};

struct KeyRequest {  // DescribeKey, GetKeyPolicy, EnableKey, DisableKey
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
  std::string next_marker;  // empty: that was all
};
struct ListAliasesReply {
  struct Alias {
    std::string name;  // alias/…
    std::string arn;
    std::string target_key_id;
    std::int64_t created_ms = 0;
  };
  std::vector<Alias> aliases;
  std::string next_marker;
};

struct CreateAliasRequest {
  std::string alias_name;
  std::string target_key_id;
};

struct KeyPolicyReply {
  std::string policy;
};

struct GenerateDataKeyRequest {
  std::string key_id;
  EncryptionContext context;
  std::size_t number_of_bytes = 32;  // 1 to 1024
};
struct GenerateDataKeyReply {
  std::string key_arn;
  Bytes ciphertext;
  SensitiveBytes plaintext;
};
struct CiphertextReply {  // Encrypt, GenerateDataKeyWithoutPlaintext
  std::string key_arn;
  Bytes ciphertext;
};

struct EncryptRequest {
  std::string key_id;
  ByteView plaintext;  // 1 to 4096 bytes
  EncryptionContext context;
};

struct DecryptRequest {
  std::string key_id;  // empty: the key that the blob names
  ByteView ciphertext;
  EncryptionContext context;
};
struct DecryptReply {
  std::string key_arn;
  SensitiveBytes plaintext;
};

struct ReEncryptRequest {
  ByteView ciphertext;
  std::string source_key_id;  // empty: the key that the blob names
  EncryptionContext source_context;
  std::string destination_key_id;
  EncryptionContext destination_context;
};
struct ReEncryptReply {
  std::string key_arn;
  std::string source_key_arn;
  Bytes ciphertext;
};

struct Done {};  // EnableKey, DisableKey, CreateAlias

}  // namespace kmsfs::kms
