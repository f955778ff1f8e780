#include "fs/mount_point.h"

#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>
#include <vector>

namespace kmsfs {
namespace {

struct FlagOption {
  std::string_view name;
  bool MountOptions::*field;
  bool value;
};
constexpr FlagOption kFlagOptions[] = {
    {"ro", &MountOptions::read_only, true},
    {"rw", &MountOptions::read_only, false},
    {"nosuid", &MountOptions::nosuid, true},
    {"suid", &MountOptions::nosuid, false},
    {"nodev", &MountOptions::nodev, true},
    {"dev", &MountOptions::nodev, false},
    {"noexec", &MountOptions::noexec, true},
    {"exec", &MountOptions::noexec, false},
    {"noatime", &MountOptions::noatime, true},
    {"atime", &MountOptions::noatime, false},
    {"nodiratime", &MountOptions::nodiratime, true},
    {"diratime", &MountOptions::nodiratime, false},
    {"sync", &MountOptions::synchronous, true},
    {"async", &MountOptions::synchronous, false},
    {"noxattr", &MountOptions::extended_attributes, false},
    {"xattr", &MountOptions::extended_attributes, true},
    {"nobusywait", &MountOptions::busy_wait, false},
    {"busywait", &MountOptions::busy_wait, true},
    {"allow_other", &MountOptions::allow_other, true},
    {"default_permissions", &MountOptions::default_permissions, true},
    {"shared", &MountOptions::shared, true},
    {"debug", &MountOptions::debug, true},
};
// What mount(8) and fstab say to others than us, and what is so anyway.
constexpr std::string_view kIgnoredOptions[] = {"defaults",    "auto",   "noauto",  "user",     "nouser",
                                                "users",       "nofail", "_netdev", "relatime", "norelatime",
                                                "strictatime", "owner",  "group"};

bool ignored(std::string_view option) {
  return std::find(std::begin(kIgnoredOptions), std::end(kIgnoredOptions), option) !=
             std::end(kIgnoredOptions) ||
         option.starts_with("x-") || option.starts_with("comment=");
}

unsigned long mount_flags(const MountOptions& options) {
  unsigned long flags = 0;
  if (options.read_only) flags |= MS_RDONLY;
  if (options.nosuid) flags |= MS_NOSUID;
  if (options.nodev) flags |= MS_NODEV;
  if (options.noexec) flags |= MS_NOEXEC;
  if (options.noatime) flags |= MS_NOATIME;
  if (options.nodiratime) flags |= MS_NODIRATIME;
  if (options.synchronous) flags |= MS_SYNCHRONOUS;
  return flags;
}

Result<UniqueFd> mount_as_root(const MountOptions& options, mode_t root_mode) {
  UniqueFd device(::open("/dev/fuse", O_RDWR | O_CLOEXEC));
  if (!device) return Error::from_errno(errno, "opening /dev/fuse (is the fuse module loaded?)");
  std::array<char, 32> mode{};
  const auto end = std::to_chars(mode.data(), mode.data() + mode.size(), root_mode & S_IFMT, 8).ptr;
  std::string data = "fd=" + std::to_string(device.get()) + ",rootmode=" + std::string(mode.data(), end) +
                     ",user_id=" + std::to_string(::geteuid()) + ",group_id=" + std::to_string(::getegid());
  if (options.kernel_checks_permissions()) data += ",default_permissions";
  if (options.allow_other) data += ",allow_other";
  const std::string type = "fuse." + options.subtype;
  if (::mount(options.source.c_str(), options.mountpoint.c_str(), type.c_str(), mount_flags(options),
              data.c_str()) != 0)
    return Error::from_errno(errno, "mounting on " + options.mountpoint);
  return device;
}

// fusermount3 splits at commas.
std::string escaped(const std::string& value) {
  std::string out;
  for (char c : value) {
    if (c == ',' || c == '\\') out += '\\';
    out += c;
  }
  return out;
}

std::string helper_options(const MountOptions& options) {
  std::string out =
      "fsname=" + escaped(options.source) + ",subtype=" + escaped(options.subtype) + ",default_permissions";
  out += options.read_only ? ",ro" : ",rw";
  if (!options.nosuid) out += ",suid";
  if (!options.nodev) out += ",dev";
  if (options.noexec) out += ",noexec";
  if (options.noatime) out += ",noatime";
  if (options.nodiratime) out += ",nodiratime";
  if (options.synchronous) out += ",sync";
  if (options.allow_other) out += ",allow_other";
  return out;
}

// Runs fusermount3. What it says on standard error is the text of the error. Its end of `channel`, if any, is
// descriptor 3.
Result<void> run_helper(std::vector<std::string> arguments, int channel) {
  int out[2];
  if (::pipe2(out, O_CLOEXEC) != 0) return Error::from_errno(errno, "a pipe from fusermount3");
  UniqueFd output(out[0]), output_end(out[1]);
  posix_spawn_file_actions_t actions;
  ::posix_spawn_file_actions_init(&actions);
  ::posix_spawn_file_actions_adddup2(&actions, output_end.get(), STDERR_FILENO);
  if (channel >= 0) ::posix_spawn_file_actions_adddup2(&actions, channel, 3);
  std::vector<char*> argv;
  for (std::string& argument : arguments) argv.push_back(argument.data());
  argv.push_back(nullptr);
  std::string channel_variable = "_FUSE_COMMFD=3", path = "PATH=/usr/bin:/bin:/usr/sbin:/sbin:/usr/local/bin";
  std::array<char*, 3> environment{path.data(), channel_variable.data(), nullptr};
  pid_t child = -1;
  const int failed =
      ::posix_spawnp(&child, "fusermount3", &actions, nullptr, argv.data(), environment.data());
  ::posix_spawn_file_actions_destroy(&actions);
  output_end.reset();
  if (failed != 0) return Error::from_errno(failed, "running fusermount3 (package fuse3)");
  std::string said;
  std::array<char, 512> buffer{};
  for (ssize_t got = 0; (got = ::read(output.get(), buffer.data(), buffer.size())) > 0;)
    said.append(buffer.data(), static_cast<std::size_t>(got));
  int status = 0;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return {};
  while (!said.empty() && said.back() == '\n') said.pop_back();
  const bool busy = said.find("busy") != std::string::npos;
  return error(busy ? Kind::kBusy : Kind::kDenied, said.empty() ? "fusermount3 failed" : said);
}

Result<UniqueFd> receive_descriptor(int channel) {
  char byte = 0;
  iovec data{&byte, 1};
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> control{};
  msghdr message{};
  message.msg_iov = &data;
  message.msg_iovlen = 1;
  message.msg_control = control.data();
  message.msg_controllen = control.size();
  if (::recvmsg(channel, &message, MSG_CMSG_CLOEXEC) < 0)
    return Error::from_errno(errno, "hearing from fusermount3");
  const cmsghdr* header = CMSG_FIRSTHDR(&message);
  if (header == nullptr || header->cmsg_type != SCM_RIGHTS)
    return error(Kind::kInternal, "fusermount3 gave no descriptor");
  int fd = -1;
  std::memcpy(&fd, CMSG_DATA(header), sizeof fd);
  return UniqueFd(fd);
}

Result<UniqueFd> mount_by_helper(const MountOptions& options) {
  int ends[2];
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0)
    return Error::from_errno(errno, "a channel to fusermount3");
  UniqueFd ours(ends[0]), theirs(ends[1]);
  KMSFS_TRY(
      run_helper({"fusermount3", "-o", helper_options(options), "--", options.mountpoint}, theirs.get()));
  theirs.reset();
  return receive_descriptor(ours.get());
}

// Of what is mounted at `path`, without asking its server.
Result<dev_t> device_of(const std::string& path) {
  struct statx found {};
  if (::statx(AT_FDCWD, path.c_str(), AT_STATX_DONT_SYNC | AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT, 0,
              &found) != 0)
    return Error::from_errno(errno, "looking at " + path);
  return makedev(found.stx_dev_major, found.stx_dev_minor);
}

}  // namespace

Result<bool> MountOptions::take(std::string_view option) {
  for (const FlagOption& known : kFlagOptions) {
    if (option != known.name) continue;
    this->*known.field = known.value;
    return true;
  }
  if (ignored(option)) return true;
  const auto equals = option.find('=');
  if (equals == std::string_view::npos) return false;
  const std::string_view name = option.substr(0, equals), value = option.substr(equals + 1);
  if (name == "fsname") {
    source = value;
  } else if (name == "subtype") {
    if (value.empty()) return error(Kind::kInvalid, "subtype= needs a name");
    subtype = value;
  } else if (name == "workers") {
    const auto [end, failed] = std::from_chars(value.data(), value.data() + value.size(), workers);
    if (failed != std::errc{} || end != value.data() + value.size() || workers < 1 || workers > 64)
      return error(Kind::kInvalid, "workers= takes a number from 1 to 64");
  } else if (name == "transport") {
    constexpr std::pair<std::string_view, TransportChoice> kChoices[] = {
        {"auto", TransportChoice::kAutomatic},
        {"ring", TransportChoice::kRing},
        {"device", TransportChoice::kDevice}};
    for (const auto& [word, choice] : kChoices) {
      if (value == word) return transport = choice, true;
    }
    return error(Kind::kInvalid, "transport= takes auto, ring or device");
  } else {
    return false;
  }
  return true;
}

bool MountOptions::kernel_checks_permissions() const {
  return default_permissions || allow_other || ::geteuid() != 0;
}

Result<MountPoint::Mounted> MountPoint::mount(const MountOptions& options) {
  struct stat root {};
  if (::stat(options.mountpoint.c_str(), &root) != 0)
    return Error::from_errno(errno, "mountpoint " + options.mountpoint);
  if (!S_ISDIR(root.st_mode))
    return error(Kind::kInvalid, "mountpoint " + options.mountpoint + " is not a directory");
  char* absolute = ::realpath(options.mountpoint.c_str(), nullptr);
  if (absolute == nullptr) return Error::from_errno(errno, "mountpoint " + options.mountpoint);
  MountOptions there = options;
  there.mountpoint = absolute;
  ::free(absolute);
  if (there.source.empty()) there.source = "kmsfs";

  Mounted mounted;
  mounted.point.by_helper_ = ::geteuid() != 0;
  auto device = mounted.point.by_helper_ ? mount_by_helper(there) : mount_as_root(there, root.st_mode);
  if (!device) return std::move(device).error();
  mounted.device = std::move(*device);
  mounted.point.path_ = there.mountpoint;
  auto number = device_of(there.mountpoint);
  if (!number) return std::move(number).error();
  mounted.point.device_ = *number;
  return mounted;
}

MountPoint::MountPoint(MountPoint&& other) noexcept
    : path_(std::exchange(other.path_, {})),
      device_(std::exchange(other.device_, 0)),
      by_helper_(other.by_helper_) {}

MountPoint& MountPoint::operator=(MountPoint&& other) noexcept {
  if (this != &other) {
    if (mounted()) static_cast<void>(unmount(true));
    path_ = std::exchange(other.path_, {});
    device_ = std::exchange(other.device_, 0);
    by_helper_ = other.by_helper_;
  }
  return *this;
}

MountPoint::~MountPoint() {
  // Nobody is left to hear of a failure, and the kernel has ended the mount's life when its descriptors are
  // gone.
  if (mounted()) static_cast<void>(unmount(true));
}

bool MountPoint::mounted() const {
  if (path_.empty()) return false;
  const auto there = device_of(path_);
  // A mount whose server is gone says ENOTCONN: still a mount, and whose should it be.
  return there ? *there == device_ : there.error().system_errno == ENOTCONN;
}

Result<void> MountPoint::unmount(bool lazy) {
  if (!mounted()) return {};
  if (by_helper_) {
    std::vector<std::string> arguments{"fusermount3", "-u", "--", path_};
    if (lazy) arguments.insert(arguments.begin() + 2, "-z");
    return run_helper(std::move(arguments), -1);
  }
  if (::umount2(path_.c_str(), UMOUNT_NOFOLLOW | (lazy ? MNT_DETACH : 0)) == 0) return {};
  if (errno == EBUSY) return error(Kind::kBusy, path_ + " is in use");
  return Error::from_errno(errno, "unmounting " + path_);
}

}  // namespace kmsfs
