// What the store keeps, typed, and how each record is written.
//
// A stored record is a generation (8 random bytes, new with each writing) and a JSON object. Two records with
// the same generation are the same record: that is what makes it safe to keep a parsed one. Always: parsing
// checks every member; a damaged record is kUnavailable and never half a record. Threads: plain values;
// parsed records are shared const.
#pragma once

#include <array>
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

// What encrypted from some moment on. All of a key's materials are kept as long as the key is.
enum class MaterialOrigin : std::uint8_t { kFirst, kAutomatic, kOnDemand };
struct MaterialVersion {
  MaterialId id;
  std::int64_t since_ms = 0;
  MaterialOrigin origin = MaterialOrigin::kFirst;
};

struct RotationPlan {
  bool enabled = false;  // stays as it is while the key is disabled or pending deletion
  std::int64_t period_days = 0;
  std::int64_t next_ms = 0;
};

struct KeyRecord {
  KeyId id;
  std::string account;
  std::string description;
  KeyState state = KeyState::kEnabled;
  KeyManager manager = KeyManager::kCustomer;
  std::int64_t created_ms = 0;
  std::int64_t deletion_ms = 0;            // while deletion is pending: when the key ends; otherwise 0
  std::vector<MaterialVersion> materials;  // oldest first, never empty; the last one encrypts
  RotationPlan rotation;
  Tags tags;
  std::int64_t grants = 0;                        // how many it has
  std::vector<std::string> aliases;               // "alias/…", in order
  std::string policy;                             // as it was put
  std::map<std::string, std::string> principals;  // named in the policy: ARN → unique id when it was put

  const MaterialVersion& current_material() const { return materials.back(); }
};

// When something is to happen to a key by itself; 0: never.
std::int64_t due_ms(const KeyRecord& record);

using GrantId = std::array<std::byte, 32>;
struct GrantRecord {
  Grant grant;  // as the decision needs it
  std::string name;
  std::int64_t created_ms = 0;
};

struct AliasRecord {
  KeyId target;
  std::int64_t created_ms = 0;
  std::int64_t updated_ms = 0;
};

// As the decision needs them: documents parsed, facts laid out. Made once per generation.
struct LoadedKey {
  KeyRecord record;
  KeyFacts facts;
  Policy policy;
  std::vector<std::string>
      material_ids;  // for callers: 64 hexadecimal digits each, in record.materials' order

  // Nothing if the key never had that material.
  const std::string* id_of(const MaterialId& material) const;
  const std::string& current_material_id() const { return material_ids.back(); }
};

using Generation = std::uint64_t;
Result<Generation> generation_of(ByteView stored);

Bytes write_record(const KeyRecord& record);
Bytes write_record(const AliasRecord& record);
Bytes write_record(const GrantRecord& record);

Result<KeyRecord> parse_key_record(ByteView stored);
Result<AliasRecord> parse_alias_record(ByteView stored);
Result<GrantRecord> parse_grant_record(ByteView stored);

Result<LoadedKey> load_key(KeyRecord record, std::string_view region);

}  // namespace kmsfs::kms
