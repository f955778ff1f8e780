// The transport over /dev/fuse: worker threads that read a request, have it handled, and read the next.
//
// Always: each worker has a descriptor of its own (cloned, so that workers do not wait for each other) and
// buffers made once; a reply goes out on the descriptor that its request came in on, as the kernel demands.
// Threads: see FuseTransport.
#pragma once

#include <atomic>
#include <condition_variable>
#include <mutex>
#include <thread>

#include "fs/fuse_init.h"
#include "fs/fuse_transport.h"

namespace kmsfs {

class DeviceTransport final : public FuseTransport {
 public:
  // `device`: /dev/fuse, connected by a mount. `unknown` must outlive the transport.
  static Result<std::unique_ptr<FuseTransport>> make(UniqueFd device, Session session,
                                                     UnknownRequests& unknown, unsigned workers,
                                                     InitChoices choices, Logger logger);
  ~DeviceTransport() override;

  Result<void> start() override;
  void wait() override;
  bool wait_for(std::chrono::milliseconds time) override;
  void stop() override;
  void close() override;
  Result<void> notify(int code, const std::vector<ByteView>& payload) override;
  std::string name() const override { return "/dev/fuse"; }
  FuseFigures figures() const override;

 private:
  class Worker;
  DeviceTransport(Session session, UnknownRequests& unknown, InitChoices choices, Logger logger);
  Result<void> start_threads();
  void worker_ended(Worker& worker);

  // Constant after make().
  UnknownRequests& unknown_;
  const InitChoices choices_;
  const Logger logger_;
  std::vector<std::unique_ptr<Worker>> workers_;

  Session session_;               // from make() to close()
  std::uint64_t negotiated_ = 0;  // constant after start()
  std::atomic<bool> stopping_{false};

  std::mutex mutex_;
  std::condition_variable ended_;
  std::size_t live_ = 0;  // workers that have not ended
};

}  // namespace kmsfs
