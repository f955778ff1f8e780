#include "fs/leader_followers.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>
#include <thread>

namespace kmsfs {
namespace {

constexpr unsigned kMany = 8;  // in a row
constexpr unsigned kFar = 4;   // a program on the same processor runs as soon as it is offered once or twice
constexpr auto kStay = std::chrono::milliseconds(2);

}  // namespace

bool LeaderFollowers::is_for_this_machine() {
  return ::sysconf(_SC_NPROCESSORS_ONLN) == 2 && std::thread::hardware_concurrency() == 2;
}

Result<std::unique_ptr<LeaderFollowers>> LeaderFollowers::make() {
  UniqueFd evictions(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!evictions) return Error::from_errno(errno, "an eventfd");
  return std::unique_ptr<LeaderFollowers>(new LeaderFollowers(std::move(evictions)));
}

Result<std::size_t> LeaderFollowers::take(Worker& worker) {
  ++at_device_;
  auto now = Clock::now();
  bool look = worker.busy_wait.begin(now), evicted = false;
  for (unsigned looks = 0;; ++looks) {
    auto size = worker.source.take();
    if (!size) {
      --at_device_;
      end();
      return size;
    }
    if (*size != 0) {
      has_taken(worker, now, looks);
      return size;
    }
    if (over_) break;
    if (look) {
      look = worker.busy_wait.go_on(now);
    } else if (step_back(evicted)) {
      follow(worker);
      evicted = false;
      ++at_device_;
      look = worker.busy_wait.begin(Clock::now());
    } else if (!sleep_at_device(worker, evicted)) {
      break;
    }
    now = Clock::now();
  }
  --at_device_;
  tell_deputy();
  return std::size_t{0};
}

void LeaderFollowers::has_taken(Worker& worker, Clock::time_point now, unsigned looks) {
  const bool nobody = --at_device_ == 0;
  ++taken_;
  tell_deputy();
  if (sleepers_ != 0) {
    // The kernel would wake it for each request that we take.
    const std::uint64_t one = 1;
    static_cast<void>(::write(evictions_.get(), &one, sizeof one) == sizeof one);
  }
  worker.busy_wait.end(now);
  // One program can leave a small request behind, and send another; not time and again.
  const bool much = worker.source.took_much();
  const bool more = nobody && (looks == 0 || much) && worker.source.has_request();
  worker.behind = more ? worker.behind + 1 : 0;
  if (more && (much || worker.behind >= kMany)) promote_if_nobody_leads();
  go_to_program(worker, now, looks);
}

void LeaderFollowers::go_to_program(Worker& worker, Clock::time_point now, unsigned looks) {
  const int here = ::sched_getcpu();
  leader_on_ = here;
  if (!held_) return worker.affinity.let_go();
  if (looks == 0) return;  // of one who does not wait for it, perhaps
  worker.far = looks >= kFar ? worker.far + 1 : 0;
  if (worker.far < kMany || now - worker.moved < kStay) return;
  worker.far = 0;
  worker.moved = now;
  worker.affinity.keep_to(worker.affinity.other_than(here));
  leader_on_ = ::sched_getcpu();
}

// False: a signal came.
bool LeaderFollowers::sleep_at_device(Worker& worker, bool& evicted) {
  ++sleepers_;
  const bool woken = worker.source.wait_for_request(evictions_.get());
  --sleepers_;
  std::uint64_t evictions = 0;
  evicted = ::read(evictions_.get(), &evictions, sizeof evictions) == sizeof evictions;
  return woken;
}

// To the followers, if somebody else stays or has just been here.
bool LeaderFollowers::step_back(bool evicted) {
  const unsigned stay = evicted ? 0 : 1;
  unsigned there = at_device_;
  while (there > stay && !at_device_.compare_exchange_weak(there, there - 1)) {
  }
  if (there == 1 && stay == 0) tell_deputy();
  return there > stay;
}

void LeaderFollowers::follow(Worker& worker) {
  worker.affinity.let_go();
  std::unique_lock lock(mutex_);
  ++following_;
  while (nothing_told()) {
    if (has_deputy_) {
      follower_.wait(lock);
      continue;
    }
    has_deputy_ = true;
    be_deputy(worker, lock);
    has_deputy_ = false;
    follower_.notify_one();  // the next one
  }
  --following_;
  if (promotions_ != 0) --promotions_;
}

// Until somebody is promoted: perhaps itself.
void LeaderFollowers::be_deputy(Worker& worker, std::unique_lock<std::mutex>& lock) {
  Clock::time_point not_before{};
  for (int quiet = 0; nothing_told();) {
    const std::uint64_t taken = taken_;
    if (quiet >= kQuietTicks && at_device_ != 0) {
      deputy_sleeps_ = true;
      // Who takes one from here on sees that.
      if (taken_ == taken) deputy_.wait(lock, [this] { return !deputy_sleeps_ || !nothing_told(); });
      deputy_sleeps_ = false;
      quiet = 0;
      continue;
    }
    deputy_.wait_for(lock, kTick);
    const std::uint64_t came = taken_ - taken;
    if (came == 0 && at_device_ == 0 && promotions_ == 0) ++promotions_;
    quiet = came == 0 ? quiet + 1 : 0;
    if (came < kOften || Clock::now() < not_before) continue;
    lock.unlock();
    const bool wanted = hold_other_processor(worker);
    lock.lock();
    if (wanted) not_before = Clock::now() + kKeepOff;
  }
}

// Whether it ended because somebody else wanted it.
bool LeaderFollowers::hold_other_processor(Worker& worker) {
  held_ = true;
  auto now = Clock::now(), last = now;
  std::uint64_t taken = taken_;
  bool wanted = false;
  while (nothing_told() && !wanted && now - last < kRare) {
    worker.affinity.keep_to(worker.affinity.other_than(leader_on_));
    ::sched_yield();
    const auto after = Clock::now();
    wanted = after - now >= BusyWait::kCrowd;
    now = after;
    if (const std::uint64_t most = taken_; most != taken) {
      taken = most;
      last = now;
    }
  }
  held_ = false;
  worker.affinity.let_go();
  return wanted;
}

// That somebody has left the device: there may be nobody now.
void LeaderFollowers::tell_deputy() {
  if (!deputy_sleeps_ || !deputy_sleeps_.exchange(false)) return;
  std::lock_guard lock(mutex_);
  deputy_.notify_one();
}

void LeaderFollowers::promote_if_nobody_leads() {
  if (at_device_ != 0) return;
  std::lock_guard lock(mutex_);
  if (promotions_ == following_) return;
  ++promotions_;
  (following_ == promotions_ ? deputy_ : follower_).notify_one();
}

void LeaderFollowers::end() {
  std::lock_guard lock(mutex_);
  over_ = true;
  follower_.notify_all();
  deputy_.notify_all();
}

}  // namespace kmsfs
