// kmsfs umount: unmounts, and returns when everything is written and the volume is free.
#include <poll.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>

#include "cli/commands.h"
#include "cli/control_client.h"
#include "cli/mount_table.h"
#include "cli/mountpoint.h"
#include "cli/processes.h"

namespace kmsfs::cli {

namespace {

constexpr int kPatience_ms = 10 * 60 * 1000;  // for a daemon that flushes to a slow disk

// The daemon of a mount, to be waited for without being its parent.
struct Daemon {
  pid_t process = 0;
  UniqueFd descriptor;  // made while the connection was open: a number used again is not mistaken for it
};

Result<Daemon> daemon_of(const MountEntry& mount) {
  auto client = ControlClient::connect(mount);
  if (!client) return std::move(client).error();
  const pid_t process = client->server();
  return Daemon{process, UniqueFd(static_cast<int>(::syscall(SYS_pidfd_open, process, 0)))};
}

Result<void> unmount(const std::string& mountpoint, bool lazy) {
  if (::geteuid() == 0) {
    if (::umount2(mountpoint.c_str(), UMOUNT_NOFOLLOW | (lazy ? MNT_DETACH : 0)) == 0) return {};
    return Error::from_errno(errno);
  }
  std::vector<std::string> command = {"fusermount3", "-u"};
  if (lazy) command.push_back("-z");
  command.insert(command.end(), {"--", mountpoint});
  auto ran = run_program(command);
  if (!ran) return std::move(ran).error();
  if (ran->status == 0) return {};
  // Its words are all it tells; "busy" is how umount2's EBUSY reads.
  const bool busy = ran->output.find("busy") != std::string::npos;
  return error(busy ? Kind::kBusy : Kind::kSystem, ran->output);
}

Outcome unmount_and_wait(const MountEntry& mount, bool lazy) {
  const std::string what = "cannot unmount " + mount.mountpoint;
  auto daemon = daemon_of(mount);
  if (!daemon && mount.type != kMountType) {
    return Failure{ExitCode::kNotMounted, what + ": it is a mount of type " + mount.type + ", not of kmsfs"};
  }
  if (auto unmounted = unmount(mount.mountpoint, lazy); !unmounted) {
    if (unmounted.error().kind != Kind::kBusy && unmounted.error().system_errno != EBUSY) {
      return failure(unmounted.error(), what);
    }
    const std::string users = processes_using(mount.mountpoint);
    return Failure{ExitCode::kBusy, what + ": it is in use" + (users.empty() ? "" : " by " + users) +
                                        "; end that first, or use --lazy, which waits for nobody"};
  }
  if (!daemon || !daemon->descriptor || lazy) return std::nullopt;
  pollfd waited{daemon->descriptor.get(), POLLIN, 0};
  while (::poll(&waited, 1, kPatience_ms) < 0 && errno == EINTR) {
  }
  if ((waited.revents & POLLIN) != 0) return std::nullopt;
  return Failure{ExitCode::kBusy, what + ": it is unmounted, but process " + std::to_string(daemon->process) +
                                      " is still writing after ten minutes"};
}

}  // namespace

Outcome run_umount(const UmountRequest& request) {
  auto table = read_mount_table();
  if (!table) return failure(table.error(), "cannot unmount " + request.mountpoint);
  const auto mount = find_mount(*table, request.mountpoint);
  if (!mount && !request.unguard) {
    return Failure{ExitCode::kNotMounted,
                   "cannot unmount " + request.mountpoint + ": nothing is mounted there"};
  }
  if (mount && (mount->is_fuse() || !request.unguard)) {
    if (auto failed = unmount_and_wait(*mount, request.lazy)) return failed;
  }
  if (!request.unguard) return std::nullopt;
  if (auto lifted = Mountpoint::unguard(request.mountpoint); !lifted) {
    return failure(lifted.error(), "cannot lift the guard of " + request.mountpoint);
  }
  return std::nullopt;
}

}  // namespace kmsfs::cli
