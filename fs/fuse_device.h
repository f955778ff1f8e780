// The transport over /dev/fuse: threads that read a request, have it handled, and read the next. On two
// processors they take turns at it (fs/leader_followers.h); on more, another one is idle for each request.
//
// Always: while all threads wait for something slow (core/waiting.h: a KMS in the network), more are added,
// so that requests which need nothing slow are served all the same; a thread that was added ends when it is
// not needed any more. Threads: see FuseTransport.
#pragma once

#include <atomic>
#include <condition_variable>
#include <mutex>
#include <thread>

#include "core/waiting.h"
#include "fs/fuse_worker.h"

namespace kmsfs {

class DeviceTransport final : public FuseTransport {
 public:
  // More than these never run at once: as many programs can wait for keys before others have to wait, too.
  static constexpr std::size_t kMostWorkers = 1536;

  // `device`: /dev/fuse, connected by a mount. `unknown` must outlive the transport. `workers`: 0 if
  // programs' requests may come another way; then have_workers() or serve_the_rest() tells.
  static Result<std::unique_ptr<DeviceTransport>> make(UniqueFd device, Session session,
                                                       UnknownRequests& unknown, unsigned workers,
                                                       InitChoices choices, Logger logger);
  ~DeviceTransport() override;
  // Would its workers take turns on this machine?
  static bool may_take_turns(const InitChoices& choices);

  Result<void> start() override;
  void wait() override;
  bool wait_for(std::chrono::milliseconds time) override;
  void stop() override;
  void close() override;
  Result<void> notify(int code, const std::vector<ByteView>& payload) override;
  std::string name() const override { return "/dev/fuse"; }
  FuseFigures figures() const override;

  // For who serves beside it. The connection lives as long as this; the descriptor until close().
  FuseConnection& connection() { return connection_; }
  int descriptor() const { return device_; }
  // After start(): as many usual workers from here on, if there were fewer.
  Result<void> have_workers(unsigned usual);
  // After start(): programs' requests come another way from here on. What is left can wait for a moment.
  void serve_the_rest() { only_rest_ = true; }

 private:
  // A worker and the thread that drives it; the thread can end and another take its place.
  struct Seat final : RequestWaiting {
    Seat(DeviceTransport& of, std::unique_ptr<FuseWorker> its_worker)
        : RequestWaiting(of.connection_.interrupts), transport(of), worker(std::move(its_worker)) {}
    void wait_begins() override { transport.begin_wait(); }
    void wait_has_ended() override { transport.end_wait(); }

    DeviceTransport& transport;
    const std::unique_ptr<FuseWorker> worker;
    std::thread thread;
    bool running = false;  // under mutex_
  };

  DeviceTransport(Session session, UnknownRequests& unknown, unsigned workers, InitChoices choices,
                  Logger logger);
  void serve(Seat& seat);
  Result<std::size_t> take(LeaderFollowers::Worker& worker);
  Result<void> occupy(Seat& seat);  // under mutex_
  bool needed() const;              // is a worker that has nothing to do?
  void begin_wait();
  void end_wait();
  void look_after_workers();
  void add_workers(std::size_t count);   // under mutex_
  void do_without(const Error& reason);  // under mutex_

  // Constant after make().
  FuseConnection connection_;
  std::size_t most_ = 0;
  int device_ = -1;  // the session's

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<std::unique_ptr<Seat>> seats_;
  // Written under mutex_, read by workers without it.
  std::atomic<std::size_t> usual_;  // workers, while nobody waits
  std::atomic<std::size_t> running_{0};
  std::atomic<std::size_t> waiting_{0};  // of those that run
  std::atomic<bool> stopping_{false};
  std::unique_ptr<LeaderFollowers> turns_;  // nullptr: !may_take_turns()
  std::atomic<bool> take_turns_{false}, only_rest_{false};
  std::thread caretaker_;
};

}  // namespace kmsfs
