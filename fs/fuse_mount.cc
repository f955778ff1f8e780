#include "fs/fuse_mount.h"

#include <fcntl.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "fs/fuse_front.h"
#include "fs/fuse_notifier.h"
#include "fs/fuse_ring_transport.h"

namespace kmsfs {
namespace {

constexpr auto kEndsByItself =
    std::chrono::seconds(2);  // after an unmount that succeeded; other namespaces may hold it longer

// A descriptor of the mount's root, for syncfs(2).
UniqueFd open_root(const std::string& mountpoint) {
  return UniqueFd(::open(mountpoint.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
}

}  // namespace

void raise_kernel_limits(dev_t device) {
  const std::string directory =
      "/sys/class/bdi/" + std::to_string(major(device)) + ":" + std::to_string(minor(device)) + "/";
  for (const auto& [name, value] :
       {std::pair("strict_limit", "0"), {"max_ratio", "100"}, {"read_ahead_kb", "1024"}}) {
    const UniqueFd file(::open((directory + name).c_str(), O_WRONLY | O_CLOEXEC));
    if (file && ::write(file.get(), value, std::strlen(value)) < 0) return;
  }
}

struct Mounted::State {
  State(FileSystem& file_system, const MountOptions& options, Logger log)
      : logger(std::move(log)),
        workers(options.workers),
        front(file_system, options.kernel_caches_writes(), options.shared) {}
  ~State() {
    if (notifier) notifier->close();
  }

  Result<void> mount(FileSystem& file_system, const MountOptions& options);
  Result<void> unmount();

  // Constant after mount(). In this order: the mountpoint goes last.
  const Logger logger;
  const unsigned workers;
  std::string path;
  FuseFront front;
  MountPoint point;  // guarded by mutex, after mount()
  std::unique_ptr<FuseTransport> transport;
  std::shared_ptr<FuseNotifier> notifier;  // shared with the FileSystem, which may outlive us

  std::mutex mutex;            // of unmounting
  bool asked_to_stop = false;  // guarded by mutex
};

Result<void> Mounted::State::mount(FileSystem& file_system, const MountOptions& options) {
  auto session = front.make_session(options);
  if (!session) return std::move(session).error();
  auto there = MountPoint::mount(options);
  if (!there) return std::move(there).error();
  point = std::move(there->point);
  path = point.path();
  InitChoices choices;
  choices.writeback = options.kernel_caches_writes();
  choices.shared = options.shared;
  choices.check_permissions = options.kernel_checks_permissions();
  choices.access_lists = options.extended_attributes;
  choices.busy_wait = options.busy_wait;
  // Over io_uring the kernel tells nothing of signals, and a program that waits for a lock could not be
  // killed.
  const bool only_device = options.shared && options.transport == TransportChoice::kAutomatic;
  auto made =
      make_transport(only_device ? TransportChoice::kDevice : options.transport, std::move(there->device),
                     std::move(*session), front, options.workers, choices, logger);
  if (!made) return std::move(made).error();
  transport = std::move(*made);
  notifier = std::make_shared<FuseNotifier>(*transport);
  file_system.set_notifier(
      {[to = notifier](NodeId node) { to->invalidate_node(node); },
       [to = notifier](NodeId parent, const std::string& name) { to->expire_entry(parent, name); },
       [to = notifier](NodeId node) { to->forget_attributes(node); }});
  front.set_give([to = notifier](NodeId node, ByteView content) { to->store(node, content); });
  KMSFS_TRY(transport->start());
  raise_kernel_limits(point.device());
  return {};
}

// Under the mutex. What programs have written reaches us first, if workers still run to take it.
Result<void> Mounted::State::unmount() {
  if (transport->wait_for(std::chrono::seconds(0)) || !point.mounted()) return {};
  if (const UniqueFd root = open_root(path); root) ::syncfs(root.get());
  auto done = point.unmount(false);
  if (done || done.error().kind != Kind::kBusy) return done;
  logger->warn("{} is in use; unmounting it all the same", path);
  const UniqueFd root = open_root(path);
  KMSFS_TRY(point.unmount(true));
  if (root) ::syncfs(root.get());
  return {};
}

Mounted::Mounted(std::unique_ptr<State> state) : state_(std::move(state)) {}

Mounted::~Mounted() {
  stop();
  static_cast<void>(run());  // stop() has logged what went wrong
}

Result<std::unique_ptr<Mounted>> Mounted::mount(FileSystem& file_system, const MountOptions& options,
                                                Logger logger) {
  auto state = std::make_unique<State>(file_system, options, std::move(logger));
  KMSFS_TRY(state->mount(file_system, options));
  return std::unique_ptr<Mounted>(new Mounted(std::move(state)));
}

Result<void> Mounted::run() {
  State& s = *state_;
  s.transport->wait();
  s.notifier->close();
  s.transport->close();
  std::lock_guard lock(s.mutex);
  if (!s.point.mounted()) return {};
  // The kernel ended the connection, not the mount: programs would find a mountpoint that answers nothing.
  auto freed = s.point.unmount(true);
  if (s.asked_to_stop) return freed;
  return error(Kind::kUnavailable, "the kernel ended the connection of " + s.path);
}

void Mounted::stop() {
  State& s = *state_;
  std::lock_guard lock(s.mutex);
  if (std::exchange(s.asked_to_stop, true)) return;
  auto unmounted = s.unmount();
  if (!unmounted) s.logger->error("{}", unmounted.error().text);
  if (unmounted && s.transport->wait_for(kEndsByItself)) return;
  // A notification under way may wait for a request that only the workers can answer, so they go after it.
  s.notifier->close();
  s.transport->stop();
}

const std::string& Mounted::mountpoint() const { return state_->path; }

MountFigures Mounted::figures() const {
  FuseFigures counted = state_->transport->figures();
  MountFigures figures;
  figures.transport = state_->transport->name();
  figures.workers = state_->workers;
  figures.negotiated = std::move(counted.negotiated);
  figures.operations = std::move(counted.operations);
  figures.errors = std::move(counted.errors);
  return figures;
}

}  // namespace kmsfs
