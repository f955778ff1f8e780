// LeaderFollowers lets one of the workers that share a device, the leader, look for requests while the
// others, the followers, sleep. (The pattern: Schmidt et al., Pattern-Oriented Software Architecture 2.) It
// is for machines of two processors.
//
// Why: of many workers that sleep at a device, the kernel wakes another one for each request, and the program
// again for its reply, each time on the processor that happens to be idle: two sleeping processors to wake
// and cold caches, several times the work of a small request. So the leader looks for its next request
// (fs/busy_wait.h), and nobody is woken. It promotes no follower while it handles one, as that would wake as
// many: most of the time one worker serves alone. And while requests come often, one follower, the deputy,
// holds the other processor, on which it does nothing but offer it to whoever wants it: as that is not idle,
// program and leader stay on one processor, and a request costs two changes of thread there. The leader goes
// where the program is.
//
// Always: a request does not wait long for the work on another one. A follower is promoted at once if nobody
// is at the device and more requests are seen there, or a worker begins to wait for something slow; and when
// nobody was at the device for kTick and took nothing, which the deputy looks after while requests come.
// A processor is not held when requests are rare, or somebody else computes. Threads: take() by one per
// Worker; the others by any.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>

#include "core/result.h"
#include "core/unique_fd.h"
#include "fs/affinity.h"
#include "fs/busy_wait.h"

namespace kmsfs {

// A worker's end of the device, which does not block.
class RequestSource {
 public:
  virtual ~RequestSource() = default;
  // Takes a request: its size, 0 if there is none. An error: there will be none any more.
  virtual Result<std::size_t> take() = 0;
  virtual bool has_request() = 0;
  // Is the request that was taken last one that takes long?
  virtual bool took_much() const = 0;
  // Until has_request(), or there is something to read from `or_this`. False: a signal came.
  virtual bool wait_for_request(int or_this) = 0;
};

class LeaderFollowers {
 public:
  using Clock = BusyWait::Clock;
  static constexpr auto kTick = std::chrono::milliseconds(1);
  static constexpr int kQuietTicks = 3;  // after which the deputy sleeps until a request is taken
  static constexpr unsigned kOften = 4;  // requests in a tick, for which the other processor is held,
  static constexpr auto kRare = std::chrono::microseconds(200);    // until there was none for so long
  static constexpr auto kKeepOff = std::chrono::milliseconds(10);  // after somebody else wanted it

  // What a thread needs to take part; made on that thread.
  struct Worker {
    explicit Worker(RequestSource& its_source) : source(its_source) {}
    RequestSource& source;
    BusyWait busy_wait;
    Affinity affinity;
    unsigned behind = 0;  // requests in a row behind which there was another one
    unsigned far = 0;     // requests in a row that came from the other processor
    Clock::time_point moved{};
  };

  // Two processors, both for us.
  static bool is_for_this_machine();
  static Result<std::unique_ptr<LeaderFollowers>> make();

  // What source.take() says when there is something, after a wait. 0: a signal came, or end(). After an error
  // it is the end for all.
  Result<std::size_t> take(Worker& worker);
  // By a worker that has a request and will be away for long.
  void promote_if_nobody_leads();
  // Nobody waits any more.
  void end();

 private:
  explicit LeaderFollowers(UniqueFd evictions) : evictions_(std::move(evictions)) {}
  void has_taken(Worker& worker, Clock::time_point now, unsigned looks);
  void go_to_program(Worker& worker, Clock::time_point now, unsigned looks);
  bool sleep_at_device(Worker& worker, bool& evicted);
  bool step_back(bool evicted);
  void follow(Worker& worker);
  void be_deputy(Worker& worker, std::unique_lock<std::mutex>& lock);
  bool hold_other_processor(Worker& worker);
  void tell_deputy();
  bool nothing_told() const { return !over_ && promotions_ == 0; }

  const UniqueFd evictions_;             // an eventfd
  std::atomic<unsigned> at_device_{0};   // workers
  std::atomic<unsigned> sleepers_{0};    // of those
  std::atomic<std::uint64_t> taken_{0};  // requests
  std::atomic<int> leader_on_{0};        // processor
  std::atomic<bool> held_{false};        // the other one
  std::atomic<bool> deputy_sleeps_{false};

  std::mutex mutex_;
  std::condition_variable follower_, deputy_;
  // Written under mutex_.
  std::atomic<bool> over_{false};
  std::atomic<unsigned> promotions_{0};  // of followers who do not know it yet
  unsigned following_ = 0;               // the deputy, too
  bool has_deputy_ = false;
};

}  // namespace kmsfs
