// kmsfs status: what the mounts of this host say of themselves.
#include <unistd.h>

#include <cstdio>

#include "cli/commands.h"
#include "cli/control_client.h"
#include "cli/mount_table.h"
#include "cli/text.h"
#include "kms/audit_record.h"

namespace kmsfs::cli {

namespace {

using nlohmann::json;

// Members in an object of numbers, those that are not zero: "read 12, write 3".
std::string counts(const json& object) {
  std::string out;
  for (const auto& [name, value] : object.items()) {
    if (!value.is_number_unsigned() || value == 0) continue;
    out += (out.empty() ? "" : ", ") + name + " " + value.dump();
  }
  return out.empty() ? "none" : out;
}

std::string size_text(const json& bytes) { return readable_size(bytes.get<std::uint64_t>()); }

void print(std::string_view name, const std::string& value) {
  std::printf("  %-12.*s %s\n", static_cast<int>(name.size()), name.data(), value.c_str());
}

void print_master_key(const json& key) {
  std::string text = key.value("arn", "") + ": " + key.value("state", "");
  if (const auto since = key.value("since_ms", std::int64_t{0}); since > 0) {
    text += " since " + kms::iso_time(since);
  }
  if (const auto held = key.value("data_keys_held", std::uint64_t{0}); held > 0) {
    text += ", data keys held: " + std::to_string(held);
  }
  print("master key", text);
}

// `status` is a daemon's own answer: its members are there.
void print_status(const json& status) {
  std::printf("%s\n", status.at("mountpoint").get<std::string>().c_str());
  const json& cache = status.at("key_cache");
  const json& memory = status.at("memory");
  const json& files = status.at("files");
  print("backing",
        status.at("backing").get<std::string>() + (status.at("read_only").get<bool>() ? " (read-only)" : ""));
  if (const auto why = status.value("read_only_because", ""); !why.empty()) print("read-only", why);
  print("volume", status.at("volume").get<std::string>() + ", keys " + status.at("mode").get<std::string>());
  print("KMS", status.at("kms").get<std::string>());
  print("principal", status.at("principal").get<std::string>());
  for (const json& key : status.at("master_keys")) print_master_key(key);
  print("key memory", memory.at("mode").get<std::string>() + ", " + size_text(memory.at("used")) +
                          " in use of " + size_text(memory.at("capacity")));
  print("key cache", cache.at("entries").dump() + " of " + cache.at("capacity").dump() + " data keys, " +
                         cache.at("hits").dump() + " hits, " + cache.at("misses").dump() + " misses, " +
                         cache.at("kms_calls").dump() + " KMS calls, " + cache.at("kms_errors").dump() +
                         " of them failed");
  print("AEAD", status.at("aead").get<std::string>());
  print("transport",
        status.at("transport").get<std::string>() + ", " + status.at("workers").dump() + " workers");
  print("uptime", readable_duration(status.at("uptime_seconds").get<std::int64_t>()));
  print("guard", status.at("guard").get<std::string>());
  print("files", files.at("open").dump() + " open, " + files.at("nodes").dump() + " known, " +
                     files.at("corrupt").dump() + " corrupt, " + files.at("repaired").dump() + " repaired, " +
                     files.at("denied").dump() + " denied");
  print("operations", counts(status.at("operations")));
  print("errors", counts(status.at("errors")));
}

Result<json> status_of(const MountEntry& mount) {
  auto client = ControlClient::connect(mount);
  if (!client) return std::move(client).error();
  return client->ask({{"request", "status"}});
}

Outcome show_one(const std::vector<MountEntry>& table, const StatusRequest& request) {
  const std::string what = "no status of " + request.mountpoint;
  const auto mount = find_mount(table, request.mountpoint);
  if (!mount || !mount->is_fuse()) {
    return Failure{ExitCode::kNotMounted, what + ": no kmsfs is mounted there"};
  }
  auto status = status_of(*mount);
  if (!status) {
    const bool absent = status.error().kind == Kind::kNotFound;
    return failure(absent ? ExitCode::kNotMounted : exit_code_of(status.error()), status.error(), what);
  }
  if (request.json) {
    std::printf("%s\n", status->dump(2).c_str());
  } else {
    print_status(*status);
  }
  return std::nullopt;
}

// One that does not answer is shown as such; the others are not its fault.
Outcome show_all(const std::vector<MountEntry>& table, bool as_json) {
  json all = json::array();
  bool any = false;
  for (const MountEntry& mount : table) {
    if (mount.type != kMountType) continue;
    any = true;
    auto status = status_of(mount);
    if (as_json) {
      all.push_back(status ? *status
                           : json{{"mountpoint", mount.mountpoint}, {"error", status.error().text}});
      continue;
    }
    if (status) {
      print_status(*status);
    } else {
      std::printf("%s\n  %s\n", mount.mountpoint.c_str(), status.error().text.c_str());
    }
  }
  if (!any && !as_json) std::printf("no kmsfs mounts\n");
  if (as_json) std::printf("%s\n", all.dump(2, ' ', false, json::error_handler_t::replace).c_str());
  return std::nullopt;
}

}  // namespace

Outcome run_status(const StatusRequest& request) {
  auto table = read_mount_table();
  if (!table) return failure(table.error(), "no status");
  return request.mountpoint.empty() ? show_all(*table, request.json) : show_one(*table, request);
}

}  // namespace kmsfs::cli
