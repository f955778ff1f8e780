// The transport over io_uring, with /dev/fuse beside it for what the kernel sends there; or /dev/fuse alone
// where the kernel offers nothing else, or that is the quicker one.
//
// Threads: see FuseTransport.
#pragma once

#include "fs/fuse_device.h"
#include "fs/fuse_ring.h"
#include "fs/mount_point.h"

namespace kmsfs {

class RingTransport final : public FuseTransport {
 public:
  enum class Otherwise { kUseDevice, kFail };  // where there are no rings

  // As DeviceTransport::make().
  static Result<std::unique_ptr<FuseTransport>> make(UniqueFd device, Session session,
                                                     UnknownRequests& unknown, unsigned workers,
                                                     InitChoices choices, Logger logger, Otherwise otherwise);
  ~RingTransport() override;

  Result<void> start() override;
  void wait() override;
  bool wait_for(std::chrono::milliseconds time) override;
  void stop() override;
  void close() override;
  Result<void> notify(int code, const std::vector<ByteView>& payload) override;
  std::string name() const override;
  FuseFigures figures() const override;

 private:
  RingTransport(std::unique_ptr<DeviceTransport> device, unsigned workers, Otherwise otherwise);
  Result<void> do_without(const Error& reason);

  // Constant after start(). The ring uses the device's connection.
  const std::unique_ptr<DeviceTransport> device_;
  const unsigned workers_;
  const Otherwise otherwise_;
  std::unique_ptr<FuseRing> ring_;  // nullptr without
  std::string why_not_;
};

// The transport that a mount asks for. kUnsupported: it asks for rings, and there are none.
Result<std::unique_ptr<FuseTransport>> make_transport(TransportChoice choice, UniqueFd device,
                                                      Session session, UnknownRequests& unknown,
                                                      unsigned workers, InitChoices choices, Logger logger);

// What the machine offers, without mounting anything. An error says what is missing and what to do.
Result<void> fuse_over_io_uring_possible();

}  // namespace kmsfs
