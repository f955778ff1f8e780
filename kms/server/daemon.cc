#include "kms/server/daemon.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <condition_variable>
#include <mutex>
#include <thread>

#include "core/locked_memory.h"
#include "core/process.h"
#include "kms/private_file.h"
#include "kms/server/admin_handler.h"
#include "kms/server/api_handler.h"
#include "kms/server/notify.h"
#include "kms/server/store_lock.h"

namespace kmsfs::kms {

namespace {

constexpr std::chrono::milliseconds kStopPatience{5000};
constexpr std::chrono::seconds kDueInterval{60};
constexpr std::size_t kLongestQueue = 4096;  // requests waiting for a worker
constexpr std::size_t kLongestAdminQueue = 64;
constexpr std::size_t kSpareDescriptors = 256;  // for everything that is no connection

using Failed = std::optional<DaemonFailure>;

DaemonExit exit_of(Kind kind) {
  switch (kind) {
    case Kind::kInvalid:
      return DaemonExit::kUsage;
    case Kind::kDenied:
      return DaemonExit::kDenied;
    case Kind::kBusy:
      return DaemonExit::kBusy;
    case Kind::kCorrupt:
      return DaemonExit::kCorrupt;
    case Kind::kUnsupported:
      return DaemonExit::kUnsupported;
    default:
      return DaemonExit::kFailure;
  }
}

DaemonFailure failure(const Error& error, const std::string& what) {
  return {exit_of(error.kind), what + ": " + error.text};
}

// Before it knows anybody, "denied" and "invalid" are about the seal and the store's files.
DaemonFailure opening_failure(const Error& error, const std::string& directory) {
  const std::string text = "cannot open the key store " + directory + ": " + error.text;
  switch (error.kind) {
    case Kind::kDenied:
    case Kind::kInvalid:
      return {DaemonExit::kSealed, text};
    case Kind::kNotFound:
      return {DaemonExit::kNoStore, text};
    default:
      return {exit_of(error.kind), text};
  }
}

sigset_t signals_of_interest() {
  sigset_t set;
  sigemptyset(&set);
  for (int signal : {SIGTERM, SIGINT, SIGHUP}) sigaddset(&set, signal);
  return set;
}

bool has_terminal() { return static_cast<bool>(UniqueFd(::open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY))); }

// Key deletions and rotations at their time, in a thread of its own: at start and every minute.
class DueThread {
 public:
  DueThread(const StoreGate& gate, Logger logger)
      : gate_(gate), logger_(std::move(logger)), thread_([this] { work(); }) {}
  ~DueThread() {
    {
      std::lock_guard lock(mutex_);
      done_ = true;
    }
    changed_.notify_all();
    thread_.join();
  }

 private:
  void work() {
    std::unique_lock lock(mutex_);
    do {
      lock.unlock();
      run();
      lock.lock();
    } while (!changed_.wait_for(lock, kDueInterval, [this] { return done_; }));
  }
  void run() {
    const auto store = gate_.store();
    if (store == nullptr) return;
    if (auto done = store->service->run_due(); !done) {
      logger_->error("deleting and rotating keys that are due: {}", done.error().text);
    }
  }

  const StoreGate& gate_;
  const Logger logger_;
  std::mutex mutex_;
  bool done_ = false;
  std::condition_variable changed_;
  std::thread thread_;
};

class Daemon {
 public:
  Daemon(DaemonOptions options, Logger logger)
      : options_(std::move(options)),
        logger_(logger),
        gate_(options_.store, clock_, logger),
        api_(gate_, clock_, logger) {}

  Failed start() {
    auto lock = StoreLock::take(options_.store);
    if (!lock) return opening_failure(lock.error(), options_.store);
    lock_.emplace(std::move(*lock));
    if (auto failed = load_certificate()) return failed;
    if (auto failed = open_store()) return failed;
    return listen();
  }
  void run() {
    const sigset_t signals = signals_of_interest();
    const DueThread due(gate_, logger_);
    announce();
    for (int signal = 0;;) {
      if (::sigwait(&signals, &signal) != 0) continue;
      if (signal != SIGHUP) break;
      reload();
    }
    notify_.stopping();
    // Whoever is in a hurry may say so once more.
    ::pthread_sigmask(SIG_UNBLOCK, &signals, nullptr);
    logger_->info("stopping");
    if (!options_.ready_file.empty()) ::unlink(options_.ready_file.c_str());
    server_->stop(kStopPatience);
    workers_->stop();
    admin_workers_->stop();
  }

 private:
  Failed load_certificate() {
    if (options_.tls_certificate.empty()) return std::nullopt;
    auto certificate = TlsCertificate::load(options_.tls_certificate, options_.tls_key);
    if (!certificate) return failure(certificate.error(), "cannot use TLS");
    certificate_ = std::move(*certificate);
    return std::nullopt;
  }

  // A store that wants a passphrase, where nobody can be asked for it, stays sealed.
  Failed open_store() {
    bool asked_nobody = false;
    PassphraseSource source = [&asked_nobody](PassphraseUse) -> Result<Passphrase> {
      asked_nobody = true;
      return error(Kind::kDenied, "it is sealed by a passphrase");
    };
    if (!options_.passphrase_file.empty()) {
      source = passphrase_from_file(options_.passphrase_file);
    } else if (has_terminal()) {
      source = passphrase_from_terminal("the key store " + options_.store);
    }
    auto opened = gate_.unseal(source);
    if (opened || asked_nobody) return std::nullopt;
    const auto there = Service::has_store(options_.store);
    auto failed = opening_failure(opened.error(), options_.store);
    // What is missing is then the passphrase's file, or the key file.
    if (failed.code == DaemonExit::kNoStore && there && *there) failed.code = DaemonExit::kSealed;
    return failed;
  }

  Failed listen() {
    std::vector<HttpServer::Door> doors;
    const std::size_t processors = std::max(1U, std::thread::hardware_concurrency());
    workers_.emplace(
        options_.workers != 0 ? options_.workers : std::clamp<std::size_t>(2 * processors, 4, 32),
        kLongestQueue);
    admin_workers_.emplace(2, kLongestAdminQueue);
    AdminHandler& admin = admin_.emplace(gate_, certificate_.get(), clock_, logger_);
    auto admin_socket = UnixListener::listen(options_.store + "/admin.sock", 0600);
    if (!admin_socket) return failure(admin_socket.error(), "cannot listen");
    doors.push_back({admin_socket->take(), &admin, &*admin_workers_, false});
    unix_sockets_.push_back(std::move(*admin_socket));
    if (!options_.socket.empty()) {
      // Open to everybody: who it is, the kernel says, and what that one may do, the policies.
      auto socket = UnixListener::listen(options_.socket, 0666);
      if (!socket) return failure(socket.error(), "cannot listen");
      doors.push_back({socket->take(), &api_, &*workers_});
      unix_sockets_.push_back(std::move(*socket));
    }
    for (const std::string& text : options_.listen) {
      auto address = ListenAddress::parse(text, certificate_ != nullptr);
      if (!address) return failure(address.error(), "--listen");
      if (address->tls && certificate_ == nullptr) {
        return DaemonFailure{DaemonExit::kUsage, "--listen " + text + " needs --tls-cert and --tls-key"};
      }
      auto listeners = listen_tcp(*address, options_.insecure_http);
      if (!listeners) return failure(listeners.error(), "cannot listen");
      for (Listener& listener : *listeners) doors.push_back({std::move(listener), &api_, &*workers_});
    }
    for (const auto& door : doors) uris_.push_back(door.listener.name);
    server_ = HttpServer::start(
        std::move(doors), certificate_.get(), limits(),
        options_.io_threads != 0 ? options_.io_threads : std::clamp<std::size_t>(processors / 2, 1, 4),
        logger_);
    return std::nullopt;
  }

  HttpLimits limits() const {
    HttpLimits limits = options_.limits;
    rlimit files{};
    if (limits.connections == 0 && ::getrlimit(RLIMIT_NOFILE, &files) == 0) {
      limits.connections = std::clamp<std::size_t>(files.rlim_cur, 2 * kSpareDescriptors, 1 << 17);
      limits.connections -= kSpareDescriptors;
    }
    if (limits.buffers == 0) limits.buffers = LockedMemory::usage().capacity / 4;
    return limits;
  }

  void announce() {
    std::string uris;
    for (const std::string& uri : uris_) {
      logger_->info("listening on {}", uri);
      uris += uri + "\n";
    }
    const bool sealed = gate_.store() == nullptr;
    if (sealed) logger_->warn("the key store is sealed; kmsfs kms unseal opens it");
    if (!options_.ready_file.empty() && !write_ready_file(uris)) {
      logger_->error("{} could not be written", options_.ready_file);
    }
    notify_.ready(sealed ? "sealed" : "serving");
  }
  // Whole or not at all, for whoever waits for it.
  bool write_ready_file(const std::string& content) const {
    const std::string fresh = options_.ready_file + ".new";
    const UniqueFd file(::open(fresh.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0644));
    return file && ::fchmod(file.get(), 0644) == 0 && write_all(file.get(), as_bytes(content)) &&
           ::rename(fresh.c_str(), options_.ready_file.c_str()) == 0;
  }

  void reload() {
    if (certificate_ == nullptr) return;
    notify_.reloading();
    if (auto reloaded = certificate_->reload(); !reloaded) {
      logger_->error("the certificate in use stays: {}", reloaded.error().text);
    } else {
      logger_->info("the certificate was loaded again");
    }
    notify_.ready(gate_.store() == nullptr ? "sealed" : "serving");
  }

  const DaemonOptions options_;
  const Logger logger_;
  const SystemClock clock_;
  const Notify notify_;
  std::optional<StoreLock> lock_;
  std::unique_ptr<TlsCertificate> certificate_;
  StoreGate gate_;
  ApiHandler api_;
  std::optional<AdminHandler> admin_;
  std::vector<UnixListener> unix_sockets_;
  std::vector<std::string> uris_;
  // The server after the pools: it goes first, and by then they have been stopped.
  std::optional<WorkerPool> workers_, admin_workers_;
  std::unique_ptr<HttpServer> server_;
};

}  // namespace

Failed run_daemon(DaemonOptions options) {
  const sigset_t signals = signals_of_interest();
  ::pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  ::signal(SIGPIPE, SIG_IGN);
  ::umask(077);
  raise_descriptor_limit();
  if (auto secured = secure_process({AeadBackend::kAutomatic, options.allow_unlocked_memory}); !secured) {
    return failure(secured.error(), "cannot start");
  }
  const Logger logger = make_logger(false, options.debug);
  logger->set_pattern("kmsd: %l: %v");
  Daemon daemon(std::move(options), logger);
  if (auto failed = daemon.start()) return failed;
  daemon.run();
  return std::nullopt;
}

}  // namespace kmsfs::kms
