#include "cli/mount_session.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <thread>

#include "cli/control_client.h"
#include "cli/directories.h"
#include "cli/mount_table.h"
#include "cli/passphrase_source.h"
#include "cli/status_answer.h"
#include "cli/system_files.h"
#include "core/kdf.h"
#include "fs/shared_lock.h"
#include "kms/private_file.h"
#include "kmsclient/provider.h"

namespace kmsfs::cli {

namespace {

// umount(8) returns before the daemon has written and closed everything; who mounts again right away waits.
constexpr std::chrono::milliseconds kLockPatience{2000}, kLockPause{20};

// Backing files may carry change times of the kernel's coarse clock, and of a server whose clock is near
// ours.
constexpr std::chrono::seconds kClockMargin{2};

timespec to_timespec(WallTime time) {
  const auto seconds = std::chrono::floor<std::chrono::seconds>(time);
  return {seconds.count(), (time - seconds).count()};
}

Result<std::string> absolute_path(const std::string& path) {
  const std::unique_ptr<char, decltype(&std::free)> real(::realpath(path.c_str(), nullptr), &std::free);
  if (!real) return Error::from_errno(errno, "the backing directory " + path);
  return std::string(real.get());
}

bool is_read_only(int directory) {
  struct statvfs status {};
  return ::fstatvfs(directory, &status) == 0 && (status.f_flag & ST_RDONLY) != 0;
}

// Named after the backing directory: one that a daemon left behind when it died is found and emptied. Several
// mounts that share the backing directory each have one, named after the mountpoint too.
Result<std::string> make_index_directory(int backing, const std::string& mountpoint_if_shared) {
  struct stat status {};
  if (::fstat(backing, &status) != 0) return Error::from_errno(errno);
  auto parent = memory_directory();
  if (!parent) return parent;
  std::string path =
      *parent + "/index-" + std::to_string(status.st_dev) + "-" + std::to_string(status.st_ino);
  if (!mountpoint_if_shared.empty()) {
    path += "-" + to_hex(ByteView(sha256(as_bytes(mountpoint_if_shared))).first(8));
  }
  KMSFS_TRY(kms::make_private_directory(path));
  return path;
}

}  // namespace

TemporaryDirectory::~TemporaryDirectory() {
  std::error_code ignored;  // what cannot be removed holds no key, and the next mount empties it
  if (!path_.empty()) std::filesystem::remove_all(path_, ignored);
}

MountSession::MountSession(MountRequest request, Logger logger)
    : request_(std::move(request)), logger_(std::move(logger)) {}

MountSession::~MountSession() {
  control_.reset();
  mounted_.reset();
}

Outcome MountSession::failed(const Error& error) const { return failed(exit_code_of(error), error); }

Outcome MountSession::failed(ExitCode code, const Error& error) const {
  return failure(code, error, "cannot mount " + request_.backing + " on " + request_.mount.mountpoint);
}

Outcome MountSession::start() {
  if (auto outcome = check()) return outcome;
  if (auto outcome = open_volume()) return outcome;
  if (auto outcome = make_file_system()) return outcome;
  return mount();
}

Outcome MountSession::check() {
  auto path = absolute_path(request_.backing);
  if (!path) return failed(ExitCode::kNotAVolume, path.error());
  backing_path_ = std::move(*path);
  backing_.reset(::open(backing_path_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!backing_) return failed(ExitCode::kNotAVolume, Error::from_errno(errno, "opening it"));
  auto parameters = Volume::read_parameters(disk_, backing_.get());
  if (!parameters) {
    const bool missing = parameters.error().kind == Kind::kNotFound;
    return failed(missing ? ExitCode::kNotAVolume : exit_code_of(parameters.error()), parameters.error());
  }
  parameters_ = std::move(*parameters);
  auto mountpoint = Mountpoint::open(request_.mount.mountpoint, backing_.get());
  if (!mountpoint) {
    const bool busy = mountpoint.error().kind == Kind::kBusy;
    return failed(busy ? ExitCode::kBusy : ExitCode::kMountpoint, mountpoint.error());
  }
  mountpoint_ = std::move(*mountpoint);
  request_.mount.read_only |= is_read_only(backing_.get());
  if (auto locked = lock_volume(); !locked) return failed(locked.error());
  return std::nullopt;
}

Result<void> MountSession::lock_volume() {
  const std::string path = std::string(kVolumeDirectory) + "/" + kVolumeFile;
  volume_lock_.reset(::openat(backing_.get(), path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
  if (!volume_lock_) return Error::from_errno(errno, "opening " + path);
  // What mounts that share a volume agree by.
  if (request_.mount.shared) {
    auto tried = try_lock(volume_lock_.get(), F_RDLCK, kContentLock, 1);
    if (tried) tried = try_lock(volume_lock_.get(), F_UNLCK, kContentLock, 1);
    if (!tried)
      return std::move(tried).error().during(
          "the backing file system has no OFD locks, which --shared needs");
  }
  for (auto waited = kLockPause;; waited += kLockPause) {
    if (::flock(volume_lock_.get(), (request_.mount.shared ? LOCK_SH : LOCK_EX) | LOCK_NB) == 0) return {};
    if (errno != EWOULDBLOCK) return Error::from_errno(errno, "locking the volume");
    if (waited > kLockPatience) break;
    std::this_thread::sleep_for(kLockPause);
  }
  if (request_.mount.shared) return error(Kind::kBusy, "the volume is mounted without --shared");
  return error(Kind::kBusy, "the volume is mounted already; kmsfs status shows where, kmsfs umount ends it");
}

Outcome MountSession::open_volume() {
  KmsAccess access;
  access.uri = request_.kms_uri.empty() ? parameters_.kms_uri : request_.kms_uri;
  access.user = request_.kms_user;
  access.profile = request_.profile;
  access.insecure_http = request_.insecure_http;
  access.key = parameters_.volume_key.key_arn;
  access.passphrase = passphrase_source(request_.passphrase_file);
  auto kms = open_kms(access, clock_, logger_);
  if (!kms) return failed(exit_code_of_opening_kms(kms.error(), access.uri), kms.error());
  kms_ = std::move(*kms);
  auto principal = kms_->principal();
  if (!principal) return failed(principal.error());
  principal_ = std::move(*principal);
  auto volume = Volume::open(disk_, backing_.get(), *kms_);
  if (!volume) return failed(volume.error());
  volume_ = std::move(*volume);
  if (!request_.mount.read_only) read_only_unless_keys_can_be_made();
  return std::nullopt;
}

// Who may decrypt and make no data keys could change files and make none: half a permission to write, which
// nobody means to give. So the mount is read-only, and says why. One key is made, and used for nothing.
void MountSession::read_only_unless_keys_can_be_made() {
  const auto key = kms_->generate_data_key(parameters_.allowed_keys.front(), new_file_context(parameters_));
  // Other failures are told by whatever needs a key.
  if (key || key.error().kind != Kind::kDenied) return;
  request_.mount.read_only = true;
  read_only_because_ = key.error().text;
  logger_->warn("{}: mounted read-only, because its principal may not make data keys: {}", backing_path_,
                key.error().text);
}

Outcome MountSession::make_file_system() {
  auto index = make_index_directory(backing_.get(), request_.mount.shared ? mountpoint_->path() : "");
  if (!index) return failed(index.error());
  index_ = TemporaryDirectory(*index);
  KeyCache::Options cache;
  cache.max_age = request_.key_age;
  cache.probe_interval = request_.probe_interval;
  cache.outage_grace = request_.outage_grace;
  cache.index_directory = *index;
  auto keys = KeyCache::make(*kms_, clock_, logger_, cache);
  if (!keys) return failed(keys.error());
  keys_ = std::move(*keys);

  auto state = state_directory();
  if (!state) return failed(state.error());
  auto record = MountRecord::begin(*state, parameters_.id, backing_path_, mountpoint_->path(), clock_);
  if (!record) return failed(record.error());
  record_.emplace(std::move(*record));

  FileSystem::Options options;
  options.read_only = request_.mount.read_only;
  options.as_caller = ::geteuid() == 0;
  options.selinux = has_line("/proc/filesystems", "nodev\tselinuxfs");  // as libselinux sees it
  options.shared = request_.mount.shared;
  options.kernel_keeps_times = request_.mount.kernel_caches_writes();
  if (const auto since = record_->unclean_since()) {
    options.recover = true;
    options.recover_since = to_timespec(std::max(*since - kClockMargin, WallTime(0)));
    logger_->warn("{}: the last mount on this host ended without unmounting; repairing what that explains",
                  backing_path_);
  }
  UniqueFd backing(::fcntl(backing_.get(), F_DUPFD_CLOEXEC, 0));
  auto files = FileSystem::make(disk_, std::move(backing), *volume_, *keys_, clock_, logger_, options);
  if (!files) {
    record_->abandon();
    return failed(files.error());
  }
  files_ = std::move(*files);
  return std::nullopt;
}

Outcome MountSession::mount() {
  MountOptions& options = request_.mount;
  options.mountpoint = mountpoint_->path();
  if (options.source.empty()) options.source = backing_path_;
  const auto not_mounted = [this](const Error& error) {
    mountpoint_->restore();
    record_->abandon();
    return failed(ExitCode::kMountpoint, error);
  };
  if (auto prepared = mountpoint_->prepare(); !prepared) return not_mounted(prepared.error());
  auto mounted = Mounted::mount(*files_, options, logger_);
  if (!mounted) return not_mounted(mounted.error());
  mounted_ = std::move(*mounted);

  if (request_.guard) {
    guard_ = mountpoint_->guard();
    const bool binds = guard_ == Guard::kImmutable || (guard_ == Guard::kMode && ::geteuid() != 0);
    if (!binds) {
      logger_->warn(
          "{}: the mountpoint cannot be guarded here; while nothing is mounted, programs can write "
          "plain text into it",
          mountpoint_->path());
    }
  }
  if (auto started = start_control(); !started) {
    // Worth a line, not worth the mount.
    logger_->warn("kmsfs status and info will not work: {}", started.error().text);
  }
  return std::nullopt;
}

Result<void> MountSession::start_control() {
  auto table = read_mount_table();
  if (!table) return std::move(table).error();
  const auto entry = find_mount(*table, mountpoint_->path());
  if (!entry) return error(Kind::kInternal, "the mount is not in the mount table");
  auto directory = runtime_directory();
  if (!directory) return std::move(directory).error();
  auto control = ControlServer::start(*directory + "/" + control_socket_name(entry->device),
                                      {[this] { return status(); }, [this] { return revoke(); },
                                       [this](std::uint64_t inode) { return information(inode); }},
                                      logger_);
  if (!control) return std::move(control).error();
  control_ = std::move(*control);
  return {};
}

Outcome MountSession::run() {
  auto ended = mounted_->run();
  control_.reset();
  mounted_.reset();
  files_->shut_down();
  if (!ended) return failure(ended.error(), "serving " + backing_path_);
  // What was not repaired yet stays for the next mount; a read-only one repairs nothing.
  if (request_.mount.read_only || !files_->recovered()) {
    record_->abandon();
  } else if (!files_->finished()) {
    logger_->warn("{}: the disk did not take all that was to be written; the next mount repairs files",
                  backing_path_);
  } else if (auto recorded = record_->end(); !recorded) {
    return failure(recorded.error(), "ending the mount of " + backing_path_);
  }
  return std::nullopt;
}

void MountSession::stop() { mounted_->stop(); }

nlohmann::json MountSession::status() const {
  StatusFacts facts;
  facts.backing = backing_path_;
  facts.mountpoint = mountpoint_->path();
  facts.volume = parameters_.id.hex();
  facts.mode = to_string(volume_->parameters().mode);
  facts.kms = kms_->endpoint();
  facts.principal = principal_;
  facts.read_only = request_.mount.read_only;
  facts.read_only_because = read_only_because_;
  facts.guard = to_string(guard_);
  facts.uptime = std::chrono::duration_cast<std::chrono::seconds>(clock_.boot_time() - began_);
  facts.allowed_keys = volume_->parameters().allowed_keys;
  return status_answer(facts, keys_->figures(), files_->figures(), mounted_->figures());
}

nlohmann::json MountSession::revoke() const {
  const std::uint64_t held = keys_->figures().entries;
  logger_->warn("{}: all data keys are withdrawn by kmsfs revoke", mountpoint_->path());
  keys_->revoke_all(error(Kind::kDenied, "withdrawn by kmsfs revoke; the KMS has not been asked again yet"));
  return {{"data_keys", held}};
}

Result<nlohmann::json> MountSession::information(std::uint64_t inode) const {
  const auto node = files_->find_node(inode);
  if (!node) return error(Kind::kNotFound, "the file is not there any more");
  auto information = files_->information(*node);
  if (!information) return std::move(information).error();
  return information_answer(*information);
}

}  // namespace kmsfs::cli
