#include "fs/fuse_ring.h"

#include <pthread.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <fstream>
#include <system_error>

#include "fs/fuse_signals.h"

namespace kmsfs {
namespace {

constexpr auto kWakeAgain = std::chrono::milliseconds(5);  // a signal just before the wait is lost

// Queues are numbered as possible processors are: "0-7". 0 if there are gaps, which the kernel cannot do
// with.
std::size_t possible_processors() {
  std::ifstream file("/sys/devices/system/cpu/possible");
  std::string text;
  if (!std::getline(file, text) || !text.starts_with("0")) return 0;
  if (text == "0") return 1;
  std::size_t last = 0;
  const auto [end, failed] = std::from_chars(text.data() + 2, text.data() + text.size(), last);
  const bool whole = failed == std::errc{} && end == text.data() + text.size() && text[1] == '-';
  return whole && last < 4096 ? last + 1 : 0;
}

// The connection, or everything, ends.
bool is_end(int error_number) {
  return error_number == ENOTCONN || error_number == ECONNABORTED || error_number == ECANCELED;
}

}  // namespace

FuseRing::FuseRing(FuseConnection& connection, int device, unsigned usual_per_queue)
    : connection_(connection), device_(device), usual_(usual_per_queue), spare_(connection) {}

Result<std::unique_ptr<FuseRing>> FuseRing::make(FuseConnection& connection, int device, unsigned workers) {
  const std::size_t queues = possible_processors();
  if (queues == 0) return error(Kind::kUnsupported, "processors are not numbered in a row");
  const unsigned usual = std::max(1U, workers / static_cast<unsigned>(queues));
  std::unique_ptr<FuseRing> ring(new FuseRing(connection, device, usual));
  const std::size_t per_queue = usual + std::max(kMostEntries / queues, kFewestPerQueue);
  for (std::size_t queue = 0; queue < queues; ++queue) {
    auto entries = RingEntries::make(static_cast<std::uint16_t>(queue), per_queue);
    if (!entries) return std::move(entries).error();
    ring->queues_.push_back(std::move(*entries));
  }
  ring->workers_.resize(queues);
  // With more processors there is always another idle one.
  ring->may_look_ = connection.choices.busy_wait && queues == 2;
  ring->kicks_.reset(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!ring->kicks_) return Error::from_errno(errno, "an eventfd");
  return ring;
}

FuseRing::~FuseRing() {
  stop();
  wait();
}

Result<void> FuseRing::start() {
  install_wake_signal();
  const SignalsBlocked blocked;
  std::unique_lock lock(mutex_);
  try {
    dispatcher_ = std::thread([this] { dispatch(); });
  } catch (const std::system_error& failed) {
    return Error::from_errno(failed.code().value(), "starting the dispatcher of requests");
  }
  ::pthread_setname_np(dispatcher_.native_handle(), "kmsfs-ring");
  ++running_;
  // Its entries come first: the kernel prefers those that came last, and these are the workers'.
  changed_.wait(lock, [this] { return started_.has_value(); });
  if (!*started_) return std::move(*started_).error();
  for (auto& queue : queues_) {
    for (unsigned i = 0; i < usual_; ++i) {
      seats_.push_back(std::make_unique<Seat>(connection_));
      RingEntry& entry = queue->all()[queue->all().size() - 1 - i];
      if (auto occupied = occupy(*seats_.back(), entry, Holding::kNothing); !occupied)
        connection_.logger->warn("a worker less: {}", occupied.error().text);
    }
  }
  return {};
}

Result<void> FuseRing::occupy(Seat& seat, RingEntry& entry, Holding holding) {
  if (seat.thread.joinable()) seat.thread.join();  // it has ended
  try {
    seat.thread = std::thread([this, &seat, &entry, holding] { work(seat, entry, holding); });
  } catch (const std::system_error& failed) {
    return Error::from_errno(failed.code().value(), "starting a worker");
  }
  ::pthread_setname_np(seat.thread.native_handle(), "kmsfs-worker");
  seat.queue = entry.queue();
  seat.retired = false;
  seat.running = true;
  ++running_;
  ++workers_[entry.queue()];
  return {};
}

void FuseRing::work(Seat& seat, RingEntry& entry, Holding holding) {
  seat.worker.begin_thread(entry.queue());
  serve(seat, entry, holding);
  std::lock_guard lock(mutex_);
  if (!seat.retired) --workers_[seat.queue];
  seat.running = false;
  --running_;
  changed_.notify_all();
}

// One request of the entry after the other, until everything ends or this worker is not needed any more.
void FuseRing::serve(Seat& seat, RingEntry& entry, Holding holding) {
  auto ring = Uring::make(1, device_);
  if (!ring) {
    do_without(ring.error());
    if (holding == Holding::kNothing) return;
    seat.worker.serve(entry);
    return give_to_dispatcher(entry);
  }
  if (holding == Holding::kNothing &&
      (!(*ring)->add(entry) || next_request(seat, **ring, entry) != Next::kRequest))
    return;
  do {
    seat.worker.serve(entry);
    if (retire(seat)) {
      entry.trim();
      return give_to_dispatcher(entry);
    }
  } while ((*ring)->commit(entry) && next_request(seat, **ring, entry) == Next::kRequest);
}

FuseRing::Next FuseRing::next_request(Seat& seat, Uring& ring, const RingEntry& entry) {
  std::optional<int> came;
  const auto take_back = [&] {
    ring.take_back([&](RingEntry* back, int error_number) {
      if (back == &entry) came = error_number;
    });
    return came.has_value();
  };
  BusyWait& wait = seat.busy_wait;
  auto now = BusyWait::Clock::now();
  bool look = wait.begin(now) && may_look_ && seat.worker.keeps_to_processor();
  while (look && ring.submit() && !take_back()) {
    look = wait.go_on(now);
    now = BusyWait::Clock::now();
  }
  while (!came) {
    const bool stopping = stopping_;
    const auto waited = stopping ? ring.submit() : ring.submit_and_wait();
    take_back();
    if (!waited) connection_.logger->error("{}", waited.error().text);
    if (!waited || stopping) return Next::kEnd;
  }
  wait.end(BusyWait::Clock::now());
  if (*came != 0 && !is_end(*came))
    connection_.logger->error("a request over io_uring: {}", ::strerrordesc_np(*came));
  return *came == 0 ? Next::kRequest : Next::kEnd;
}

// A worker that waited for something slow was one of many.
bool FuseRing::retire(Seat& seat) {
  if (!seat.worker.waited()) return false;
  std::lock_guard lock(mutex_);
  seat.retired = workers_[seat.queue] > usual_;
  workers_[seat.queue] -= seat.retired ? 1 : 0;
  return seat.retired;
}

// Who has a reply in it, and no io_uring to send it over.
void FuseRing::give_to_dispatcher(RingEntry& entry) {
  std::lock_guard lock(mutex_);
  answered_.push_back(&entry);
  kick();
}

// Some more workers would have been good; requests are served all the same, slower.
void FuseRing::do_without(const Error& reason) {
  std::lock_guard lock(mutex_);
  if (!std::exchange(short_of_workers_, true)) connection_.logger->warn("no more workers: {}", reason.text);
}

void FuseRing::kick() const {
  const std::uint64_t one = 1;
  // It fails only when it has been kicked so often already that it cannot have missed it.
  static_cast<void>(::write(kicks_.get(), &one, sizeof one) == sizeof one);
}

void FuseRing::dispatch() {
  spare_.begin_thread(std::nullopt);
  auto ring = Uring::make(static_cast<unsigned>(queues_.size() * queues_.front()->all().size()) + 1, device_);
  std::vector<RingEntry*> early;
  Result<void> started = ring ? add_entries(**ring, early) : error(Kind::kInternal, ring.error().text);
  bool over = !started;
  report(std::move(started));
  for (RingEntry* entry : early) hand_out(**ring, *entry);
  while (!over && !stopping_) {
    if (const auto waited = (*ring)->submit_and_wait(); !waited) {
      connection_.logger->error("{}", waited.error().text);
      break;
    }
    (*ring)->take_back([&](RingEntry* entry, int error_number) {
      if (entry == nullptr) return take_in(**ring);
      if (error_number == 0) return hand_out(**ring, *entry);
      over = over || is_end(error_number);
    });
  }
  // The last replies; when the connection is over, nobody needs them.
  if (ring) static_cast<void>((*ring)->submit());
  ring = error(Kind::kUnavailable, "over");
  std::lock_guard lock(mutex_);
  --running_;
  changed_.notify_all();
}

// All but those that the usual workers will bring. `early`: into which requests have come already.
Result<void> FuseRing::add_entries(Uring& ring, std::vector<RingEntry*>& early) {
  KMSFS_TRY(ring.watch(kicks_.get()));
  for (auto& queue : queues_) {
    for (std::size_t i = 0; i + usual_ < queue->all().size(); ++i) KMSFS_TRY(ring.add(queue->all()[i]));
  }
  KMSFS_TRY(ring.submit());
  std::vector<std::size_t> refused(queues_.size());
  int why = 0;
  ring.take_back([&](RingEntry* entry, int error_number) {
    if (entry == nullptr) return;
    if (error_number == 0) return early.push_back(entry);
    ++refused[entry->queue()];
    why = error_number;
  });
  // The kernel begins when each queue has an entry, and falls back when it has refused one before.
  const std::size_t all = queues_.front()->all().size() - usual_;
  if (std::find(refused.begin(), refused.end(), all) == refused.end()) return {};
  return error(Kind::kUnsupported, std::string("the kernel refuses rings: ") + ::strerrordesc_np(why));
}

void FuseRing::report(Result<void> started) {
  std::lock_guard lock(mutex_);
  started_ = std::move(started);
  changed_.notify_all();
}

// To a worker of its own. Without one, the dispatcher is better than nobody.
void FuseRing::hand_out(Uring& ring, RingEntry& entry) {
  auto occupied = [&] {
    std::lock_guard lock(mutex_);
    return occupy(free_seat(), entry, Holding::kRequest);
  }();
  if (occupied) return;
  do_without(occupied.error());
  spare_.serve(entry);
  static_cast<void>(ring.commit(entry));
}

FuseRing::Seat& FuseRing::free_seat() {
  for (auto& seat : seats_) {
    if (!seat->running) return *seat;
  }
  seats_.push_back(std::make_unique<Seat>(connection_));
  return *seats_.back();
}

// From workers that have ended.
void FuseRing::take_in(Uring& ring) {
  std::uint64_t kicks = 0;
  static_cast<void>(::read(kicks_.get(), &kicks, sizeof kicks) == sizeof kicks);
  std::vector<RingEntry*> answered;
  {
    std::lock_guard lock(mutex_);
    answered.swap(answered_);
  }
  for (RingEntry* entry : answered) static_cast<void>(ring.commit(*entry));
  static_cast<void>(ring.watch(kicks_.get()));
}

void FuseRing::wait() {
  {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return running_ == 0; });
  }
  if (dispatcher_.joinable()) dispatcher_.join();
  // Nobody is left who could add seats.
  for (auto& seat : seats_) {
    if (seat->thread.joinable()) seat->thread.join();
  }
}

bool FuseRing::wait_for(std::chrono::milliseconds time) {
  std::unique_lock lock(mutex_);
  return changed_.wait_for(lock, time, [&] { return running_ == 0; });
}

void FuseRing::stop() {
  connection_.interrupts.end_all();
  std::unique_lock lock(mutex_);
  stopping_ = true;
  while (running_ != 0) {
    kick();
    if (dispatcher_.joinable()) ::pthread_kill(dispatcher_.native_handle(), wake_signal());
    for (auto& seat : seats_) {
      if (seat->running) ::pthread_kill(seat->thread.native_handle(), wake_signal());
    }
    changed_.wait_for(lock, kWakeAgain);
  }
}

void FuseRing::add_to(FuseFigures& figures) const {
  std::lock_guard lock(mutex_);
  spare_.counters.add_to(figures);
  for (const auto& seat : seats_) seat->worker.counters.add_to(figures);
}

}  // namespace kmsfs
