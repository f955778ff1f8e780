#include "cli/status_answer.h"

#include <unistd.h>

#include <algorithm>

#include "core/locked_memory.h"
#include "core/xaes.h"

namespace kmsfs::cli {

namespace {

std::string_view state_of(const KeyCache::MasterKeyStatus& key) {
  if (!key.refused) return key.unreachable ? "unreachable" : "usable";
  switch (*key.refused) {
    case Kind::kDenied:
      return "denied";
    case Kind::kDisabled:
      return "disabled";
    case Kind::kKeyGone:
      return "gone";
    default:
      return "unreachable";
  }
}

nlohmann::json master_keys(const StatusFacts& facts, const KeyCache::Figures& keys) {
  auto out = nlohmann::json::array();
  for (const auto& key : keys.master_keys) {
    out.push_back({{"arn", key.key_arn},
                   {"state", state_of(key)},
                   {"since_ms", key.since_ms},
                   {"data_keys_held", key.keys_held}});
  }
  for (const std::string& arn : facts.allowed_keys) {
    const bool seen = std::any_of(keys.master_keys.begin(), keys.master_keys.end(),
                                  [&](const auto& key) { return key.key_arn == arn; });
    if (!seen) out.push_back({{"arn", arn}, {"state", "not used yet"}, {"data_keys_held", 0}});
  }
  return out;
}

}  // namespace

nlohmann::json status_answer(const StatusFacts& facts, const KeyCache::Figures& keys,
                             const FileSystemFigures& files, const MountFigures& mount) {
  const LockedMemory::Usage memory = LockedMemory::usage();
  return {
      {"mountpoint", facts.mountpoint},
      {"backing", facts.backing},
      {"volume", facts.volume},
      {"mode", facts.mode},
      {"kms", facts.kms},
      {"principal", facts.principal},
      {"master_keys", master_keys(facts, keys)},
      {"read_only", facts.read_only},
      {"read_only_because", facts.read_only_because},
      {"guard", facts.guard},
      {"version", KMSFS_VERSION},
      {"process", ::getpid()},
      {"uptime_seconds", facts.uptime.count()},
      {"aead", to_string(aead_backend())},
      {"transport", mount.transport},
      {"workers", mount.workers},
      {"negotiated", mount.negotiated},
      {"memory",
       {{"mode", to_string(LockedMemory::mode())},
        {"capacity", memory.capacity},
        {"mapped", memory.mapped},
        {"used", memory.used}}},
      {"key_cache",
       {{"entries", keys.entries},
        {"capacity", keys.capacity},
        {"hits", keys.hits},
        {"misses", keys.misses},
        {"shared_flights", keys.shared_flights},
        {"evictions", keys.evictions},
        {"expirations", keys.expirations},
        {"revocations", keys.revocations},
        {"kms_calls", keys.kms_calls},
        {"kms_errors", keys.kms_errors}}},
      {"files",
       {{"nodes", files.nodes},
        {"open", files.open_files},
        {"descriptors", files.descriptors},
        {"corrupt", files.corrupt},
        {"denied", files.denied},
        {"repaired", files.repaired},
        {"unreadable_names", files.unreadable_names}}},
      {"operations", mount.operations},
      {"errors", mount.errors},
  };
}

nlohmann::json information_answer(const FileInformation& information) {
  nlohmann::json answer = {{"file_id", information.file_id.hex()},
                           {"master_key", information.key_arn},
                           {"plain_size", information.plain_size},
                           {"backing_size", information.backing_size},
                           {"state", information.clean ? "clean" : "being written"},
                           {"sparse", information.sparse},
                           {"stored_name", information.stored_name}};
  if (information.branch) answer["branch"] = information.branch->hex();
  return answer;
}

}  // namespace kmsfs::cli
