#include "fs/fuse_worker.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "fs/fuse_library.h"

namespace kmsfs {
namespace {

constexpr std::size_t kPage = 4096;
// A write's payload follows these; the buffer starts so far before a page that the payload starts on one.
constexpr std::size_t kWriteHeaders = sizeof(fuse_in_header) + sizeof(fuse_write_in);
constexpr std::size_t kRequestSize = kWriteHeaders + kMaxWrite;

Result<UniqueFd> clone(int device) {
  UniqueFd fd(::open("/dev/fuse", O_RDWR | O_CLOEXEC));
  auto parent = static_cast<std::uint32_t>(device);
  if (fd && ::ioctl(fd.get(), FUSE_DEV_IOC_CLONE, &parent) == 0) return fd;
  // Slower, as all workers then share one queue of requests under way, but right.
  fd.reset(::fcntl(device, F_DUPFD_CLOEXEC, 0));
  if (!fd) return Error::from_errno(errno, "a descriptor of /dev/fuse for a worker");
  return fd;
}

}  // namespace

Result<std::unique_ptr<FuseWorker>> FuseWorker::make(FuseConnection& connection, int device) {
  auto fd = clone(device);
  if (!fd) return std::move(fd).error();
  auto request = FuseBuffer::make(kPage + kMaxWrite + kPage);
  if (!request) return std::move(request).error();
  auto reply = FuseBuffer::make(kMaxWrite + kPage);
  if (!reply) return std::move(reply).error();
  return std::unique_ptr<FuseWorker>(
      new FuseWorker(connection, std::move(*fd), std::move(*request), std::move(*reply)));
}

FuseWorker::FuseWorker(FuseConnection& connection, UniqueFd device, FuseBuffer request, FuseBuffer reply)
    : FuseHandler(connection),
      device_(std::move(device)),
      request_memory_(std::move(request)),
      reply_memory_(std::move(reply)) {}

void FuseWorker::give_back_buffers() const {
  request_memory_.give_back();
  reply_memory_.give_back();
}

std::byte* FuseWorker::request() const { return request_memory_.data() + kPage - kWriteHeaders; }

Result<std::size_t> FuseWorker::take() {
  const ssize_t got = ::read(device_.get(), request(), kRequestSize);
  if (got < 0) {
    // ENOENT: the program was interrupted before the request was read.
    if (errno == EINTR || errno == ENOENT || errno == EAGAIN) return std::size_t{0};
    if (errno != ENODEV) connection_.logger->error("reading a request: {}", ::strerrordesc_np(errno));
    connection_.interrupts.end_all();
    return error(Kind::kUnavailable, "the connection to the kernel has ended");
  }
  const auto size = static_cast<std::size_t>(got);
  if (size < sizeof(fuse_in_header)) return error(Kind::kCorrupt, "a request shorter than its header");
  took_much_ = is_large({request(), size});
  return size;
}

void FuseWorker::serve(std::size_t size) { handle(request(), size, reply_memory_.span()); }

void FuseWorker::do_not_block() const {
  ::fcntl(device_.get(), F_SETFL, ::fcntl(device_.get(), F_GETFL) | O_NONBLOCK);
}

bool FuseWorker::has_request() {
  pollfd device{device_.get(), POLLIN, 0};
  return ::poll(&device, 1, 0) > 0;
}

bool FuseWorker::wait_for_request(int or_this) {
  std::array<pollfd, 2> both{{{device_.get(), POLLIN, 0}, {or_this, POLLIN, 0}}};
  return ::poll(both.data(), both.size(), -1) > 0;
}

ssize_t FuseWorker::send(iovec* parts, int count) { return ::writev(device_.get(), parts, count); }

}  // namespace kmsfs
