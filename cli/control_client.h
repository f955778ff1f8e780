// Asks the daemon of a mount, over its control socket. Threads: any.
#pragma once

#include <sys/types.h>

#include <memory>
#include <nlohmann/json.hpp>
#include <string>

#include "cli/mount_table.h"
#include "core/unique_fd.h"

namespace kmsfs::cli {

// "/run/kmsfs/0-53.socket": the device names the mount.
std::string control_socket_name(dev_t device);

class ControlClient {
 public:
  // kNotFound: nobody serves the mount, or not where we may look; kDenied: the socket is not the mounter's.
  static Result<ControlClient> connect(const MountEntry& mount);

  pid_t server() const { return server_; }  // the daemon's process
  // One request per client; an answer {"error": text, "kind": word} becomes an Error.
  Result<nlohmann::json> ask(const nlohmann::json& request);

 private:
  ControlClient(UniqueFd socket, pid_t server) : socket_(std::move(socket)), server_(server) {}
  UniqueFd socket_;
  pid_t server_;
};

}  // namespace kmsfs::cli
