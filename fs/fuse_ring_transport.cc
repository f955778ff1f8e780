#include "fs/fuse_ring_transport.h"

#include <algorithm>
#include <fstream>
#include <thread>

namespace kmsfs {
namespace {

// Read-ahead, writing out: each has a thread and up to a mebibyte in each queue while it is under way, and
// what is behind waits in the kernel. Few are enough for processors, some more for disks.
std::uint16_t most_in_background() {
  return static_cast<std::uint16_t>(std::clamp(2 * std::thread::hardware_concurrency(), 8U, 64U));
}

// Where workers of /dev/fuse take turns, they do better (docs/PERFORMANCE.md).
Result<void> rings_are_worth_it(const InitChoices& choices) {
  if (DeviceTransport::may_take_turns(choices))
    return error(Kind::kUnsupported, "with two processors it is the quicker one");
  return {};
}

constexpr const char* kSwitch = "/sys/module/fuse/parameters/enable_uring";

}  // namespace

Result<void> fuse_over_io_uring_possible() {
  char enabled = 'N';
  if (std::ifstream file(kSwitch); !(file >> enabled))
    return error(Kind::kUnsupported, "the kernel has no FUSE over io_uring (Linux 6.14 has)");
  if (enabled != 'Y') return error(Kind::kUnsupported, std::string("root can write Y into ") + kSwitch);
  const auto probe = Uring::make(1, -1);
  return probe ? Result<void>() : probe.error();
}

RingTransport::RingTransport(std::unique_ptr<DeviceTransport> device, unsigned workers, Otherwise otherwise)
    : device_(std::move(device)), workers_(workers), otherwise_(otherwise) {}

RingTransport::~RingTransport() {
  stop();
  wait();
  close();
}

Result<std::unique_ptr<FuseTransport>> RingTransport::make(UniqueFd device, Session session,
                                                           UnknownRequests& unknown, unsigned workers,
                                                           InitChoices choices, Logger logger,
                                                           Otherwise otherwise) {
  auto possible = otherwise == Otherwise::kUseDevice ? rings_are_worth_it(choices) : Result<void>();
  if (possible) possible = fuse_over_io_uring_possible();
  if (!possible && otherwise == Otherwise::kFail) return possible.error();
  auto made =
      DeviceTransport::make(std::move(device), std::move(session), unknown, 0, choices, std::move(logger));
  if (!made) return std::move(made).error();
  std::unique_ptr<RingTransport> transport(new RingTransport(std::move(*made), workers, otherwise));
  auto ring =
      possible ? FuseRing::make(transport->device_->connection(), transport->device_->descriptor(), workers)
               : Result<std::unique_ptr<FuseRing>>(possible.error());
  if (ring) {
    transport->ring_ = std::move(*ring);
    InitChoices& agreed = transport->device_->connection().choices;
    agreed.over_io_uring = true;
    agreed.max_background = most_in_background();
  } else {
    transport->why_not_ = ring.error().text;
  }
  return std::unique_ptr<FuseTransport>(std::move(transport));
}

// The kernel holds everything back from INIT's answer until the rings are there, or refused.
Result<void> RingTransport::start() {
  KMSFS_TRY(device_->start());
  if (!ring_) return do_without(error(Kind::kUnsupported, why_not_));
  if ((device_->connection().negotiated & wire::kOverIoUring) == 0)
    return do_without(error(Kind::kUnsupported, "the kernel does not offer FUSE over io_uring"));
  auto started = ring_->start();
  if (started) device_->serve_the_rest();
  if (started || started.error().kind != Kind::kUnsupported) return started;
  return do_without(started.error());
}

Result<void> RingTransport::do_without(const Error& reason) {
  ring_.reset();
  if (otherwise_ == Otherwise::kFail) return reason;
  why_not_ = reason.text;
  return device_->have_workers(workers_);
}

void RingTransport::wait() {
  device_->wait();
  if (ring_) ring_->wait();
}

bool RingTransport::wait_for(std::chrono::milliseconds time) {
  const auto until = std::chrono::steady_clock::now() + time;
  if (!device_->wait_for(time)) return false;
  if (!ring_) return true;
  const auto left =
      std::chrono::duration_cast<std::chrono::milliseconds>(until - std::chrono::steady_clock::now());
  return ring_->wait_for(std::max(left, std::chrono::milliseconds(0)));
}

// What the ring's handlers wait for may be interrupted over the device, so that goes last.
void RingTransport::stop() {
  if (ring_) ring_->stop();
  device_->stop();
}

void RingTransport::close() { device_->close(); }

Result<void> RingTransport::notify(int code, const std::vector<ByteView>& payload) {
  return device_->notify(code, payload);
}

std::string RingTransport::name() const {
  if (why_not_.empty()) return "io_uring";
  return device_->name() + " (" + why_not_ + ")";
}

FuseFigures RingTransport::figures() const {
  FuseFigures figures = device_->figures();
  if (ring_) ring_->add_to(figures);
  return figures;
}

Result<std::unique_ptr<FuseTransport>> make_transport(TransportChoice choice, UniqueFd device,
                                                      Session session, UnknownRequests& unknown,
                                                      unsigned workers, InitChoices choices, Logger logger) {
  if (choice != TransportChoice::kDevice)
    return RingTransport::make(std::move(device), std::move(session), unknown, workers, choices,
                               std::move(logger),
                               choice == TransportChoice::kRing ? RingTransport::Otherwise::kFail
                                                                : RingTransport::Otherwise::kUseDevice);
  auto made = DeviceTransport::make(std::move(device), std::move(session), unknown, workers, choices,
                                    std::move(logger));
  if (!made) return std::move(made).error();
  return std::unique_ptr<FuseTransport>(std::move(*made));
}

}  // namespace kmsfs
