#include "fs/fuse_worker.h"

#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include <algorithm>
#include <cstring>

#include "fs/fuse_library.h"

namespace kmsfs {
namespace {

constexpr std::size_t kPage = 4096;
// A write's payload follows these; the buffer starts so far before a page that the payload starts on one.
constexpr std::size_t kWriteHeaders = sizeof(fuse_in_header) + sizeof(fuse_write_in);
constexpr std::size_t kRequestSize = kWriteHeaders + kMaxWrite;
constexpr std::uint32_t kLastKnownToLibfuse = FUSE_REMOVEMAPPING;

thread_local FuseWorker* worker_of_thread = nullptr;  // while it handles a request

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

Result<FuseWorker::Buffer> FuseWorker::Buffer::make(std::size_t size) {
  void* memory = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return Error::from_errno(errno, "memory for a worker");
  ::madvise(memory, size, MADV_DONTDUMP);
  return Buffer(static_cast<std::byte*>(memory), size);
}

FuseWorker::Buffer::Buffer(Buffer&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)), size_(other.size_) {}

FuseWorker::Buffer::~Buffer() {
  if (data_ != nullptr) ::munmap(data_, size_);
}

void FuseWorker::Buffer::give_back() const { ::madvise(data_, size_, MADV_DONTNEED); }

Result<std::unique_ptr<FuseWorker>> FuseWorker::make(FuseConnection& connection, int device) {
  auto fd = clone(device);
  if (!fd) return std::move(fd).error();
  auto request = Buffer::make(kPage + kMaxWrite + kPage);
  if (!request) return std::move(request).error();
  auto reply = Buffer::make(kMaxWrite + kPage);
  if (!reply) return std::move(reply).error();
  return std::unique_ptr<FuseWorker>(
      new FuseWorker(connection, std::move(*fd), std::move(*request), std::move(*reply)));
}

FuseWorker::FuseWorker(FuseConnection& connection, UniqueFd device, Buffer request, Buffer reply)
    : connection_(connection),
      device_(std::move(device)),
      request_memory_(std::move(request)),
      reply_memory_(std::move(reply)) {}

void FuseWorker::give_back_buffers() const {
  request_memory_.give_back();
  reply_memory_.give_back();
}

ssize_t FuseWorker::write_out(int fd, iovec* parts, int count, void*) {
  return worker_of_thread != nullptr ? worker_of_thread->reply(parts, count) : ::writev(fd, parts, count);
}

ssize_t FuseWorker::read_in(int fd, void* buffer, std::size_t size, void*) {
  return ::read(fd, buffer, size);
}

Result<void> FuseWorker::serve_one() {
  std::byte* const start = request_memory_.data() + kPage - kWriteHeaders;
  const ssize_t got = ::read(device_.get(), start, kRequestSize);
  if (got < 0) {
    // ENOENT: the program was interrupted before the request was read.
    if (errno == EINTR || errno == ENOENT || errno == EAGAIN) return {};
    if (errno != ENODEV) connection_.logger->error("reading a request: {}", ::strerrordesc_np(errno));
    return error(Kind::kUnavailable, "the connection to the kernel has ended");
  }
  const auto size = static_cast<std::size_t>(got);
  if (size < sizeof(fuse_in_header)) return error(Kind::kCorrupt, "a request shorter than its header");
  worker_of_thread = this;
  handle(start, size);
  set_current_request(nullptr);
  worker_of_thread = nullptr;
  return {};
}

void FuseWorker::handle(std::byte* at, std::size_t size) {
  const std::uint32_t opcode = reinterpret_cast<const fuse_in_header*>(at)->opcode;  // NOLINT
  counters.count_request(opcode);
  request_.setxattr_flags = 0;
  if (opcode == FUSE_SETXATTR && (connection_.negotiated & FUSE_SETXATTR_EXT) != 0) {
    const std::size_t less = narrow_setxattr(at, size);
    at += less;
    size -= less;
  }
  request_.header = reinterpret_cast<const fuse_in_header*>(at);  // NOLINT
  request_.body = ByteView(at, size).subspan(sizeof(fuse_in_header));
  request_.tells_groups = (connection_.negotiated & wire::kCreateSupplementaryGroup) != 0;
  request_.reply_buffer = reply_memory_.span();
  set_current_request(&request_);
  if (opcode > kLastKnownToLibfuse) return answer_unknown();
  fuse_buf buffer{};
  buffer.mem = at;
  buffer.size = size;
  fuse_session_process_buf(connection_.session.get(), &buffer);
}

// libfuse reads a fuse_setxattr_in as it was before 7.33, eight bytes shorter: what stands before the eight
// moves up.
std::size_t FuseWorker::narrow_setxattr(std::byte* at, std::size_t size) {
  constexpr std::uint32_t kLess = sizeof(fuse_setxattr_in) - FUSE_COMPAT_SETXATTR_IN_SIZE;
  if (size < sizeof(fuse_in_header) + sizeof(fuse_setxattr_in)) return 0;
  fuse_setxattr_in body;
  std::memcpy(&body, at + sizeof(fuse_in_header), sizeof body);
  request_.setxattr_flags = body.setxattr_flags;
  reinterpret_cast<fuse_in_header*>(at)->len -= kLess;  // NOLINT
  std::memmove(at + kLess, at, sizeof(fuse_in_header) + FUSE_COMPAT_SETXATTR_IN_SIZE);
  return kLess;
}

void FuseWorker::answer_unknown() {
  RawAnswer answer = connection_.unknown.answer(request_);
  fuse_out_header header{};
  header.error = -answer.error;
  header.unique = request_.header->unique;
  const std::size_t size = answer.error == 0 ? answer.size : 0;
  header.len = static_cast<std::uint32_t>(sizeof header + size);
  std::array<iovec, 2> parts{iovec{&header, sizeof header}, iovec{answer.bytes.data(), size}};
  if (reply(parts.data(), size == 0 ? 1 : 2) < 0) connection_.unknown.undelivered(request_, answer);
}

ssize_t FuseWorker::reply(iovec* parts, int count) {
  const auto* header = static_cast<const fuse_out_header*>(parts[0].iov_base);
  if (header->error != 0 && header->unique != 0) counters.count_error(-header->error);
  if (request_.header->opcode == FUSE_INIT && header->error == 0 && count > 1) amend_init_reply(parts[1]);
  const ssize_t written = ::writev(device_.get(), parts, count);
  if (written < 0 && errno != ENOENT) {
    connection_.logger->error("replying to the kernel: {}", ::strerrordesc_np(errno));
    errno = ENOENT;  // to libfuse: not delivered, and no more to be said about it
  }
  return written;
}

void FuseWorker::amend_init_reply(iovec& body) const {
  if (body.iov_len < sizeof(fuse_init_out)) return;
  fuse_init_in offered{};  // a kernel before 7.36 sends less of it
  std::memcpy(&offered, request_.body.data(), std::min(request_.body.size(), sizeof offered));
  auto& answer = *static_cast<fuse_init_out*>(body.iov_base);
  amend_init(offered, connection_.choices, answer);
  connection_.negotiated = chosen_flags(offered, connection_.choices);
}

}  // namespace kmsfs
