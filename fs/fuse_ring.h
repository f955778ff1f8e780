// A FuseRing serves requests that the kernel sends over io_uring: one queue per processor, into which a
// program's requests go from the processor that it runs on.
//
// Each worker has an io_uring and one entry. The kernel gives a request to the entry that was free last, so
// few workers stay warm, and no request waits behind another while an entry of its queue is free. All further
// entries, as many as programs may wait at once, are with one more thread, the dispatcher: when a request
// comes to one of them, it starts a worker that keeps the entry. A worker that has waited for something slow
// (core/waiting.h) hands its entry to the dispatcher and ends, if there are more than usual.
//
// Always: an entry that the kernel has was handed over by a thread that lives, because the kernel fails the
// requests of a thread that ends; entries are never taken from the kernel. Requests fail when everything ends
// and not before. FORGET, INTERRUPT and notifications go over /dev/fuse, which somebody else reads.
// Threads: start(), wait(), close() by one; the others by any.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <optional>
#include <thread>

#include "core/unique_fd.h"
#include "fs/busy_wait.h"
#include "fs/fuse_ring_worker.h"
#include "fs/uring.h"

namespace kmsfs {

class FuseRing {
 public:
  // Of all queues together; each queue has some even with many processors.
  static constexpr std::size_t kMostEntries = 1536;
  static constexpr std::size_t kFewestPerQueue = 32;

  // `workers`: usual ones, of all queues together. Nothing is agreed with the kernel yet. kUnsupported: the
  // machine, or the build, cannot.
  static Result<std::unique_ptr<FuseRing>> make(FuseConnection& connection, int device, unsigned workers);
  ~FuseRing();
  FuseRing(const FuseRing&) = delete;
  FuseRing& operator=(const FuseRing&) = delete;

  // After INIT, which has agreed on it. kUnsupported: the kernel goes on with /dev/fuse. After another error
  // it waits for rings.
  Result<void> start();
  // As in FuseTransport.
  void wait();
  bool wait_for(std::chrono::milliseconds time);
  void stop();
  void add_to(FuseFigures& figures) const;

 private:
  // A worker and the thread that drives it; the thread can end and another take its place.
  struct Seat {
    explicit Seat(FuseConnection& connection) : worker(connection) {}
    RingWorker worker;
    BusyWait busy_wait;
    std::thread thread;
    // Under mutex_, or the thread's own while it runs.
    std::uint16_t queue = 0;
    bool retired = false;
    bool running = false;
  };
  enum class Holding { kNothing, kRequest };
  enum class Next { kRequest, kEnd };

  FuseRing(FuseConnection& connection, int device, unsigned usual_per_queue);
  // Workers.
  Result<void> occupy(Seat& seat, RingEntry& entry, Holding holding);  // under mutex_
  Seat& free_seat();                                                   // under mutex_
  void work(Seat& seat, RingEntry& entry, Holding holding);
  void serve(Seat& seat, RingEntry& entry, Holding holding);
  Next next_request(Seat& seat, Uring& ring, const RingEntry& entry);
  bool retire(Seat& seat);
  void give_to_dispatcher(RingEntry& entry);
  void do_without(const Error& reason);
  void kick() const;
  // The dispatcher.
  void dispatch();
  Result<void> add_entries(Uring& ring, std::vector<RingEntry*>& early);
  void report(Result<void> started);
  void hand_out(Uring& ring, RingEntry& entry);
  void take_in(Uring& ring);

  // Constant after make().
  FuseConnection& connection_;
  const int device_;       // the session's
  const unsigned usual_;   // workers per queue
  bool may_look_ = false;  // for requests, before they come
  std::vector<std::unique_ptr<RingEntries>> queues_;
  UniqueFd kicks_;  // an eventfd

  RingWorker spare_;  // the dispatcher's own, for when no thread can be had
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  // Guarded by mutex_.
  std::vector<std::unique_ptr<Seat>> seats_;
  std::vector<std::size_t> workers_;  // by queue
  std::vector<RingEntry*> answered_;  // for the dispatcher
  std::optional<Result<void>> started_;
  std::size_t running_ = 0;  // threads
  bool short_of_workers_ = false;
  std::thread dispatcher_;
  std::atomic<bool> stopping_{false};  // written under mutex_
};

}  // namespace kmsfs
