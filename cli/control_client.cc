#include "cli/control_client.h"

#include <sys/socket.h>
#include <sys/sysmacros.h>
#include <sys/un.h>

#include <cstring>

#include "cli/directories.h"
#include "kms/private_file.h"

namespace kmsfs::cli {

namespace {

constexpr timeval kPatience{10, 0};
constexpr std::size_t kLargestAnswer = std::size_t{4} << 20;

UniqueFd connected(const std::string& path) {
  sockaddr_un address{};
  if (path.size() >= sizeof address.sun_path) return {};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, path.data(), path.size());
  UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!fd || ::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) return {};
  ::setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &kPatience, sizeof kPatience);
  ::setsockopt(fd.get(), SOL_SOCKET, SO_SNDTIMEO, &kPatience, sizeof kPatience);
  return fd;
}

Kind kind_named(std::string_view name) {
  for (int kind = 0; kind <= static_cast<int>(Kind::kInternal); ++kind) {
    if (to_string(static_cast<Kind>(kind)) == name) return static_cast<Kind>(kind);
  }
  return Kind::kInternal;
}

Error unintelligible() { return error(Kind::kInternal, "the daemon's answer cannot be understood"); }

}  // namespace

std::string control_socket_name(dev_t device) {
  return std::to_string(major(device)) + "-" + std::to_string(minor(device)) + ".socket";
}

Result<ControlClient> ControlClient::connect(const MountEntry& mount) {
  for (const std::string& directory : runtime_directories_of(mount.owner())) {
    UniqueFd fd = connected(directory + "/" + control_socket_name(mount.device));
    if (!fd) continue;
    ucred peer{};
    socklen_t size = sizeof peer;
    if (::getsockopt(fd.get(), SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0) return Error::from_errno(errno);
    // In /tmp anybody could have made the directory first.
    if (peer.uid != mount.owner() && peer.uid != 0) {
      return error(Kind::kDenied, "the control socket of " + mount.mountpoint + " belongs to uid " +
                                      std::to_string(peer.uid) + ", who did not mount it");
    }
    return ControlClient(std::move(fd), peer.pid);
  }
  return error(Kind::kNotFound, "nobody answers for the mount on " + mount.mountpoint +
                                    "; only who mounted it and root may ask, and a daemon that died leaves a "
                                    "mount to be removed with kmsfs umount");
}

Result<nlohmann::json> ControlClient::ask(const nlohmann::json& request) {
  const std::string line = request.dump() + "\n";
  KMSFS_TRY(kms::write_all(socket_.get(), as_bytes(line)));
  std::string answer;
  for (Bytes buffer(std::size_t{64} << 10);;) {
    auto got = kms::read_up_to(socket_.get(), buffer);
    if (!got && got.error().system_errno == EAGAIN) {
      return error(Kind::kUnavailable, "the daemon does not answer within ten seconds");
    }
    if (!got) return std::move(got).error();
    answer += as_text(ByteView(buffer).first(*got));
    if (*got < buffer.size()) break;
    if (answer.size() > kLargestAnswer) return unintelligible();
  }
  auto json = nlohmann::json::parse(answer, nullptr, false);
  if (json.is_discarded() || !json.is_object()) return unintelligible();
  if (const auto failed = json.find("error"); failed != json.end()) {
    if (!failed->is_string()) return unintelligible();
    return error(kind_named(json.value("kind", "")), failed->get<std::string>());
  }
  return json;
}

}  // namespace kmsfs::cli
