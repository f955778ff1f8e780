// What the store keeps, typed, and how each record is written.
//
// A stored record is a generation (8 random bytes, new with each writing) and a JSON object. Two records with
// the same generation are the same record: that is what makes it safe to keep a parsed one. Always: parsing
// checks every member; a damaged record is kUnavailable and never half a record. Threads: plain values;
// parsed records are shared const.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "kms/decision/decision.h"
#include "kms/identities/identity_records.h"
#include "kms/names.h"
#include "kms/store.h"
#include "kms/types.h"

namespace kmsfs::kms {

struct KeyRecord {
  KeyId id;
  std::string account;
  std::string description;
  KeyState state = KeyState::kEnabled;
  KeyManager manager = KeyManager::kCustomer;
  std::int64_t created_ms = 0;
  MaterialId material;                            // what encrypts now
  std::vector<std::string> aliases;               // "alias/…", in order
  std::string policy;                             // as it was put
  std::map<std::string, std::string> principals;  // named in the policy: ARN → unique id when it was put
};

struct AliasRecord {
  KeyId target;
  std::int64_t created_ms = 0;
};

// As the decision needs them: documents parsed, facts laid out. Made once per generation.
struct LoadedKey {
  KeyRecord record;
  KeyFacts facts;
  Policy policy;
};
using Generation = std::uint64_t;
Result<Generation> generation_of(ByteView stored);

Bytes write_record(const KeyRecord& record);
Bytes write_record(const AliasRecord& record);

Result<KeyRecord> parse_key_record(ByteView stored);
Result<AliasRecord> parse_alias_record(ByteView stored);

Result<LoadedKey> load_key(KeyRecord record, std::string_view region);

}  // namespace kmsfs::kms
