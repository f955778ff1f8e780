// kmsfs revoke: takes every data key from a mount at once.
#include <cstdio>

#include "cli/commands.h"
#include "cli/control_client.h"
#include "cli/mount_table.h"

namespace kmsfs::cli {

Outcome run_revoke(const RevokeRequest& request) {
  const std::string what = "nothing is withdrawn from " + request.mountpoint;
  auto table = read_mount_table();
  if (!table) return failure(table.error(), what);
  const auto mount = find_mount(*table, request.mountpoint);
  if (!mount || !mount->is_fuse()) {
    return Failure{ExitCode::kNotMounted, what + ": no kmsfs is mounted there"};
  }
  auto client = ControlClient::connect(*mount);
  auto answer = client ? client->ask({{"request", "revoke"}}) : std::move(client).error();
  if (!answer) {
    const bool absent = answer.error().kind == Kind::kNotFound;
    return failure(absent ? ExitCode::kNotMounted : exit_code_of(answer.error()), answer.error(), what);
  }
  std::printf("%s: %s data keys withdrawn; at the next use of each file the KMS decides anew\n",
              request.mountpoint.c_str(), answer->at("data_keys").dump().c_str());
  return std::nullopt;
}

}  // namespace kmsfs::cli
