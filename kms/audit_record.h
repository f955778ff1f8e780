// One decision, as the audit log tells it: the fields of a CloudTrail record, one line of JSON.
//
// Never in it: plaintext, ciphertext, key material, passphrases. Encryption contexts stand in it in clear.
// Threads: plain values.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/kdf.h"
#include "kms/types.h"

namespace kmsfs::kms {

// Writes JSON straight into a string: a use of a key has no time for a document in memory.
// Always valid JSON in UTF-8: what is not UTF-8 becomes U+FFFD. Member names are ours and need no escape.
class JsonWriter {
 public:
  explicit JsonWriter(std::string& out) : out_(out) {}
  JsonWriter& begin(std::string_view name = {});  // an object; a name inside another object only
  JsonWriter& end();
  JsonWriter& text(std::string_view name, std::string_view value);
  JsonWriter& number(std::string_view name, std::int64_t value);
  JsonWriter& boolean(std::string_view name, bool value);
  JsonWriter& json(std::string_view name, std::string_view json);            // written as it is
  JsonWriter& texts(std::string_view name, const EncryptionContext& pairs);  // an object of strings
  JsonWriter& begin_list(std::string_view name);
  JsonWriter& end_list();

 private:
  void member(std::string_view name);
  std::string& out_;
  bool first_ = true;
};

struct AuditRecord {
  struct Identity {
    // IAMUser, AssumedRole, Root, StoreOwner; empty: nobody, the KMS itself
    std::string_view type = "IAMUser";
    std::string principal_id, arn, account, user_name, access_key_id;
    std::string_view invoked_by = {};  // of what the KMS does by itself
    std::string session_context = {};  // JSON; of a session: its role, and since when
  };
  struct Resource {
    std::string account;
    std::string arn;
    std::string_view type = "AWS::KMS::Key";
  };

  Identity identity;
  std::int64_t time_ms = 0;
  std::string_view source = "kms.amazonaws.com";
  std::string_view event;  // "Decrypt"
  std::string_view region;
  std::string source_ip;  // empty: in-process
  std::string user_agent;
  std::string request_parameters = "null";  // JSON
  std::string response_elements = "null";   // JSON
  bool read_only = true;
  std::vector<Resource> resources;
  std::string_view event_type = "AwsApiCall";  // AwsServiceEvent: nobody asked for it
  std::string service_event_details;           // JSON; of an AwsServiceEvent
  std::string request_id;                      // a UUID; empty: one is made
  std::string error_code;                      // empty: it succeeded
  std::string error_message;
};

// How the record of what the owner of a store does, or has done, begins: nobody that the store knows, but a
// uid.
AuditRecord record_of_owner(uid_t by, std::string_view event, std::string request_parameters);

std::string iso_time(std::int64_t milliseconds);  // 2026-01-31T12:00:00Z

// Where a line stands in the chain.
struct ChainPosition {
  std::uint64_t sequence = 0;  // of the last line; 0: none yet
  Sha256 hash{};               // of the last line without its newline; zeros: none yet
};

// What follows `after`: one line, newline included, {"sequence":N,"previousHash":"…",…}; a call on something
// of another account is told to both accounts, in a line each.
struct AuditLines {
  std::string text;
  std::uint64_t last = 0;  // sequence of the last line
};
AuditLines audit_lines(const AuditRecord& record, const ChainPosition& after);

// The position that a line makes; nothing if it is not a line of ours. `line` without its newline.
bool read_position(std::string_view line, ChainPosition& position);
// What a line says of the one before it.
bool read_chain(std::string_view line, std::uint64_t& sequence, Sha256& previous);

}  // namespace kmsfs::kms
