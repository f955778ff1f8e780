// What a mount says of itself, as JSON: the answers on the control socket, and with --json to programs.
//
// Members are part of the interface: they may be added to, and keep their meaning.
#pragma once

#include <chrono>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "fs/file_system.h"
#include "fs/fuse_mount.h"
#include "keycache/key_cache.h"

namespace kmsfs::cli {

struct StatusFacts {
  std::string backing, mountpoint, volume, mode, kms, principal;
  bool read_only = false;
  std::string read_only_because;
  std::string_view guard;
  std::chrono::seconds uptime{};
  std::vector<std::string> allowed_keys;
};

nlohmann::json status_answer(const StatusFacts& facts, const KeyCache::Figures& keys,
                             const FileSystemFigures& files, const MountFigures& mount);
nlohmann::json information_answer(const FileInformation& information);

}  // namespace kmsfs::cli
