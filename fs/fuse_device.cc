#include "fs/fuse_device.h"

#include <sys/prctl.h>
#include <sys/resource.h>

#include <algorithm>
#include <system_error>

#include "fs/fuse_library.h"
#include "fs/fuse_signals.h"

namespace kmsfs {
namespace {

constexpr auto kWakeAgain = std::chrono::milliseconds(5);  // a signal just before read(2) is lost
constexpr auto kGather = std::chrono::milliseconds(1);
// All workers must have waited for so long before there are more: a KMS in the process answers much sooner.
constexpr auto kPatience = std::chrono::milliseconds(10);

// Each worker has a descriptor: most of the limit is for files.
std::size_t most_workers(std::size_t usual) {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return usual;
  return std::clamp<std::size_t>(limit.rlim_cur / 8, usual, DeviceTransport::kMostWorkers);
}

}  // namespace

DeviceTransport::DeviceTransport(Session session, UnknownRequests& unknown, unsigned workers,
                                 InitChoices choices, Logger logger)
    : connection_(std::move(session), unknown, choices, std::move(logger)), usual_(std::max(1U, workers)) {}

bool DeviceTransport::may_take_turns(const InitChoices& choices) {
  return choices.busy_wait && LeaderFollowers::is_for_this_machine();
}

Result<std::unique_ptr<DeviceTransport>> DeviceTransport::make(UniqueFd device, Session session,
                                                               UnknownRequests& unknown, unsigned workers,
                                                               InitChoices choices, Logger logger) {
  std::unique_ptr<DeviceTransport> transport(
      new DeviceTransport(std::move(session), unknown, workers, choices, std::move(logger)));
  transport->most_ = most_workers(transport->usual_);
  if (may_take_turns(choices)) {
    auto turns = LeaderFollowers::make();
    if (!turns) return std::move(turns).error();
    transport->turns_ = std::move(*turns);
    transport->take_turns_ = workers != 0;
  }
  for (std::size_t i = 0; i < transport->usual_; ++i) {
    auto worker = FuseWorker::make(transport->connection_, device.get());
    if (!worker) return std::move(worker).error();
    transport->seats_.push_back(std::make_unique<Seat>(*transport, std::move(*worker)));
  }
  fuse_custom_io io{};
  io.read = &FuseHandler::read_in;
  io.writev = &FuseHandler::write_out;
  if (const int failed = fuse_session_custom_io(transport->connection_.session.get(), &io, device.get());
      failed != 0)
    return error(Kind::kInternal, "libfuse does not take our transport");
  transport->device_ = device.release();  // the session closes it
  return transport;
}

DeviceTransport::~DeviceTransport() {
  stop();
  wait();
  close();
}

Result<void> DeviceTransport::start() {
  // The kernel sends nothing else before it has INIT's reply, so this thread can answer it alone.
  while (connection_.negotiated == 0) {
    const auto size = seats_.front()->worker->take();
    if (!size) return Error(size.error()).during("agreeing with the kernel");
    if (*size != 0) seats_.front()->worker->serve(*size);
  }
  install_wake_signal();
  const SignalsBlocked blocked;
  std::lock_guard lock(mutex_);
  for (auto& seat : seats_) KMSFS_TRY(occupy(*seat));
  caretaker_ = std::thread([this] { look_after_workers(); });
  ::pthread_setname_np(caretaker_.native_handle(), "kmsfs-caretaker");
  return {};
}

Result<void> DeviceTransport::have_workers(unsigned usual) {
  const SignalsBlocked blocked;
  std::lock_guard lock(mutex_);
  take_turns_ = turns_ != nullptr;
  if (take_turns_) seats_.front()->worker->do_not_block();
  usual_ = usual;
  most_ = most_workers(usual);
  while (seats_.size() < usual) {
    auto worker = FuseWorker::make(connection_, device_);
    if (!worker) return std::move(worker).error();
    seats_.push_back(std::make_unique<Seat>(*this, std::move(*worker)));
    KMSFS_TRY(occupy(*seats_.back()));
  }
  return {};
}

Result<void> DeviceTransport::occupy(Seat& seat) {
  if (seat.thread.joinable()) seat.thread.join();  // it has ended
  if (take_turns_) seat.worker->do_not_block();
  try {
    seat.thread = std::thread([this, &seat] { serve(seat); });
  } catch (const std::system_error& failed) {
    return Error::from_errno(failed.code().value(), "starting a worker");
  }
  ::pthread_setname_np(seat.thread.native_handle(), "kmsfs-worker");
  seat.running = true;
  ++running_;
  return {};
}

bool DeviceTransport::needed() const { return !stopping_ && running_ - waiting_ <= usual_; }

// Until the connection or the transport ends, or there are more workers at hand than usual.
void DeviceTransport::serve(Seat& seat) {
  // Writing out for the kernel must not wait for memory that the kernel frees by writing out through us.
  ::prctl(PR_SET_IO_FLUSHER, 1, 0, 0, 0);
  Waiting::of_this_thread() = &seat;
  LeaderFollowers::Worker worker(*seat.worker);
  for (;;) {
    const auto size = take(worker);
    const bool connected = static_cast<bool>(size);
    if (connected && *size != 0) seat.worker->serve(*size);
    // The kernel gathers what it forgets until it is asked, instead of waking us for each.
    if (connected && only_rest_ && seat.worker->forgot()) std::this_thread::sleep_for(kGather);
    if (connected && needed()) continue;
    std::lock_guard lock(mutex_);
    if (connected && needed()) continue;
    seat.worker->give_back_buffers();
    seat.running = false;
    --running_;
    changed_.notify_all();
    return;
  }
}

Result<std::size_t> DeviceTransport::take(LeaderFollowers::Worker& worker) {
  return take_turns_ ? turns_->take(worker) : worker.source.take();
}

void DeviceTransport::begin_wait() {
  if (take_turns_) turns_->promote_if_nobody_leads();
  std::lock_guard lock(mutex_);
  if (++waiting_ == running_) changed_.notify_all();
}

void DeviceTransport::end_wait() {
  std::lock_guard lock(mutex_);
  --waiting_;
}

void DeviceTransport::look_after_workers() {
  std::unique_lock lock(mutex_);
  const auto ending = [this] { return stopping_ || running_ == 0; };
  const auto all_wait = [this] { return waiting_ == running_ && running_ < most_; };
  while (!ending()) {
    changed_.wait(lock, [&] { return ending() || all_wait(); });
    if (changed_.wait_for(lock, kPatience, ending)) return;
    if (all_wait()) add_workers(std::min(running_.load(), most_ - running_));
  }
}

void DeviceTransport::add_workers(std::size_t count) {
  const SignalsBlocked blocked;
  for (auto& seat : seats_) {
    if (count == 0) return;
    if (seat->running) continue;
    if (auto occupied = occupy(*seat); !occupied) return do_without(occupied.error());
    --count;
  }
  for (; count != 0; --count) {
    auto worker = FuseWorker::make(connection_, device_);
    if (!worker) return do_without(worker.error());
    seats_.push_back(std::make_unique<Seat>(*this, std::move(*worker)));
    if (auto occupied = occupy(*seats_.back()); !occupied) return do_without(occupied.error());
  }
}

// Some more would have been good; those that there are go on.
void DeviceTransport::do_without(const Error& reason) {
  connection_.logger->warn("no more than {} workers: {}", running_.load(), reason.text);
  most_ = running_;
}

void DeviceTransport::wait() {
  {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return running_ == 0; });
  }
  if (caretaker_.joinable()) caretaker_.join();
  // Nobody is left who could add seats.
  for (auto& seat : seats_) {
    if (seat->thread.joinable()) seat->thread.join();
  }
}

bool DeviceTransport::wait_for(std::chrono::milliseconds time) {
  std::unique_lock lock(mutex_);
  return changed_.wait_for(lock, time, [&] { return running_ == 0; });
}

void DeviceTransport::stop() {
  connection_.interrupts.end_all();
  std::unique_lock lock(mutex_);
  stopping_ = true;
  if (turns_) turns_->end();
  changed_.notify_all();
  while (running_ != 0) {
    for (auto& seat : seats_) {
      if (seat->running) ::pthread_kill(seat->thread.native_handle(), wake_signal());
    }
    changed_.wait_for(lock, kWakeAgain);
  }
}

void DeviceTransport::close() {
  for (auto& seat : seats_) seat->worker->close();
  connection_.session.reset();
}

Result<void> DeviceTransport::notify(int code, const std::vector<ByteView>& payload) {
  if (!connection_.session) return error(Kind::kUnavailable, "the connection to the kernel is closed");
  fuse_out_header header{};
  header.error = code;
  header.len = sizeof header;
  std::vector<iovec> parts{{&header, sizeof header}};
  for (ByteView part : payload) {
    parts.push_back(
        {const_cast<std::byte*>(part.data()), part.size()});  // NOLINT: iovec serves reading and writing
    header.len += static_cast<std::uint32_t>(part.size());
  }
  if (::writev(device_, parts.data(), static_cast<int>(parts.size())) < 0)
    return Error::from_errno(errno, "notifying the kernel");
  return {};
}

FuseFigures DeviceTransport::figures() const {
  FuseFigures figures;
  std::lock_guard lock(mutex_);
  for (const auto& seat : seats_) seat->worker->counters.add_to(figures);
  figures.negotiated = names_of_init_flags(connection_.negotiated);
  return figures;
}

}  // namespace kmsfs
