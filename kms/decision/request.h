// The facts of one call, as the decision sees them: who asks, what for, on which resource, under which
// circumstances. Gathering them (identities, store, clock, connection) is the service's business.
//
// Always: a Request borrows everything that it points to; it lives as long as one decision.
// Threads: plain values.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "kms/types.h"

namespace kmsfs::kms {

using Tags = std::map<std::string, std::string>;

enum class CallerType : std::uint8_t { kAccountRoot, kUser, kAssumedRole, kService };

// Who asks. Made once per identity or session, not once per call.
struct Caller {
  CallerType type = CallerType::kUser;
  std::string account;  // 12 digits; for a service the account on whose behalf it calls
  // arn:aws:iam::A:root, arn:aws:iam::A:user/N, arn:aws:sts::A:assumed-role/R/S; of a service its DNS name
  std::string arn;
  std::string role_arn;   // sessions: arn:aws:iam::A:role/R
  std::string name;       // users: the user name; sessions: the session name
  std::string unique_id;  // of the user or of the session's role; empty if identities have none
  Tags tags;              // principal tags, session tags included
  std::optional<std::int64_t> token_issued_ms;  // temporary credentials: when, since the epoch
  std::optional<bool> multi_factor;             // temporary credentials: with a second factor?

  static Caller account_root(std::string_view account);
  static Caller user(std::string_view account, std::string_view path_and_name);
  static Caller session(std::string_view account, std::string_view role_path_and_name,
                        std::string_view session_name);
};

// The key that the call is about, with what condition keys need of it.
struct KeyFacts {
  std::string arn;
  std::string account;
  KeyManager manager = KeyManager::kCustomer;
  std::string spec = "SYMMETRIC_DEFAULT";
  std::string usage = "ENCRYPT_DECRYPT";
  std::string origin = "AWS_KMS";
  bool multi_region = false;
  std::vector<std::string> aliases;  // full names, "alias/…"
  Tags tags;
};

// What a grant demands of the encryption context.
enum class GrantConstraint : std::uint8_t { kNone, kEncryptionContextEquals, kEncryptionContextSubset };

struct Grant {
  std::string id;
  std::string key_arn;
  std::string grantee;   // ARN of a user, role, session or account root; or a service's DNS name
  std::string retiring;  // the same, or empty
  std::string issuing_account;
  std::vector<std::string> operations;  // without prefix: "Decrypt", "GenerateDataKey"
  GrantConstraint constraint = GrantConstraint::kNone;
  EncryptionContext constraint_context;
  // Set: the principal was this identity, and a later one of that name is not it.
  std::string grantee_unique_id;
  std::string retiring_unique_id;
};

// Where and when the call came from.
struct Circumstances {
  std::int64_t now_ms = 0;  // wall clock, since the epoch
  std::string source_ip;    // empty: none (unix socket, in-process)
  std::string user_agent;
  std::string region;
  std::string via_service;  // set only by a trusted in-process caller: "kmsfs.us-east-1.amazonaws.com"
  bool secure_transport = false;
};

// Condition keys, in lower case, and the values that are given for them.
using SuppliedContext = std::map<std::string, std::vector<std::string>>;

struct Request {
  const Caller* caller = nullptr;                // never null
  const Circumstances* circumstances = nullptr;  // never null
  std::string_view action;                       // "kms:Decrypt"; any case
  std::string_view resource;          // ARN of key, alias, role or user; "*" where the call names none
  std::string_view resource_account;  // who owns the resource; for "*" the caller's account
  const KeyFacts* key = nullptr;      // null where the resource is not a key

  // For condition keys; what is null, empty or absent is an absent condition key.
  const EncryptionContext* encryption_context = nullptr;  // with new_grant: taken from its constraint instead
  std::string_view encryption_algorithm;                  // "SYMMETRIC_DEFAULT", also where it was defaulted
  std::string_view request_alias;                         // "alias/…", if the call named the key that way
  const Tags* request_tags = nullptr;                     // TagResource, CreateKey
  const std::vector<std::string>* tag_keys =
      nullptr;                       // UntagResource; for request_tags they follow by themselves
  const Grant* new_grant = nullptr;  // CreateGrant: what is to be made
  std::optional<bool> grant_is_for_aws_resource;
  std::optional<bool> reencrypt_on_same_key;
  std::optional<bool> bypass_policy_lockout_safety_check;
  std::optional<std::int64_t> pending_window_days;
  std::optional<std::int64_t> rotation_period_days;
  const SuppliedContext* supplied = nullptr;  // stands before all others: what only the service knows
                                              // (sts:ExternalId), and what an operator wants to try
};

}  // namespace kmsfs::kms
