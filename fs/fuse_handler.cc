#include "fs/fuse_handler.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

#include "fs/fuse_library.h"

namespace kmsfs {
namespace {

constexpr std::size_t kLarge = 128 << 10;  // moving a thread costs as much as decrypting some of these
constexpr std::uint32_t kLastKnownToLibfuse = FUSE_REMOVEMAPPING;

thread_local FuseHandler* handler_of_thread = nullptr;  // while it handles a request

}  // namespace

void RequestWaiting::begin() {
  if (depth_++ == 0) wait_begins();
}

void RequestWaiting::end() {
  if (--depth_ != 0) return;
  interrupts_.end(current_request().header->unique);
  wait_has_ended();
}

std::stop_token RequestWaiting::interruption() {
  const fuse_in_header& request = *current_request().header;
  return interrupts_.of(request.unique, static_cast<pid_t>(request.pid));
}

bool RequestWaiting::signalled() {
  static_cast<void>(interruption());
  return interrupts_.signalled(current_request().header->unique);
}

Result<FuseBuffer> FuseBuffer::make(std::size_t size) {
  constexpr int kKind = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
  void* memory = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, kKind, -1, 0);
  if (memory == MAP_FAILED) return Error::from_errno(errno, "memory for requests");
  ::madvise(memory, size, MADV_DONTDUMP);
  return FuseBuffer(static_cast<std::byte*>(memory), size);
}

FuseBuffer::FuseBuffer(FuseBuffer&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)), size_(other.size_) {}

FuseBuffer::~FuseBuffer() {
  if (data_ != nullptr) ::munmap(data_, size_);
}

void FuseBuffer::give_back() const { ::madvise(data_, size_, MADV_DONTNEED); }

ssize_t FuseHandler::write_out(int fd, iovec* parts, int count, void*) {
  return handler_of_thread != nullptr ? handler_of_thread->reply(parts, count) : ::writev(fd, parts, count);
}

ssize_t FuseHandler::read_in(int fd, void* buffer, std::size_t size, void*) {
  return ::read(fd, buffer, size);
}

bool FuseHandler::is_large(ByteView request) {
  const auto& header = *reinterpret_cast<const fuse_in_header*>(request.data());  // NOLINT
  if (header.opcode != FUSE_READ || request.size() < sizeof header + sizeof(fuse_read_in))
    return header.len >= kLarge;
  fuse_read_in in;
  std::memcpy(&in, request.data() + sizeof header, sizeof in);
  return in.size >= kLarge;
}

void FuseHandler::handle(std::byte* at, std::size_t size, ByteSpan reply_buffer) {
  request_.setxattr_flags = 0;
  request_.reply_buffer = reply_buffer;
  handler_of_thread = this;
  dispatch(at, size);
  set_current_request(nullptr);
  handler_of_thread = nullptr;
}

void FuseHandler::dispatch(std::byte* at, std::size_t size) {
  opcode_ = reinterpret_cast<const fuse_in_header*>(at)->opcode;  // NOLINT
  counters.count_request(opcode_);
  if (opcode_ == FUSE_SETXATTR && (connection_.negotiated & FUSE_SETXATTR_EXT) != 0) {
    const std::size_t less = narrow_setxattr(at, size);
    at += less;
    size -= less;
  }
  request_.header = reinterpret_cast<const fuse_in_header*>(at);  // NOLINT
  request_.body = ByteView(at, size).subspan(sizeof(fuse_in_header));
  request_.tells_groups = (connection_.negotiated & wire::kCreateSupplementaryGroup) != 0;
  set_current_request(&request_);
  // Asks for no reply. libfuse would keep it, and send it again on a descriptor that it does not know.
  if (const auto* in = request_.as<fuse_interrupt_in>(); opcode_ == FUSE_INTERRUPT && in != nullptr)
    return connection_.interrupts.interrupt(in->unique);
  if (!connection_.choices.check_permissions && !may_be_made())
    return static_cast<void>(send_raw(RawAnswer::failed(EACCES)));
  if (opcode_ > kLastKnownToLibfuse) return answer_unknown();
  fuse_buf buffer{};
  buffer.mem = at;
  buffer.size = size;
  fuse_session_process_buf(connection_.session.get(), &buffer);
}

// libfuse reads a fuse_setxattr_in as it was before 7.33, eight bytes shorter: what stands before the eight
// moves up.
std::size_t FuseHandler::narrow_setxattr(std::byte* at, std::size_t size) {
  constexpr std::uint32_t kLess = sizeof(fuse_setxattr_in) - FUSE_COMPAT_SETXATTR_IN_SIZE;
  if (size < sizeof(fuse_in_header) + sizeof(fuse_setxattr_in)) return 0;
  fuse_setxattr_in body;
  std::memcpy(&body, at + sizeof(fuse_in_header), sizeof body);
  request_.setxattr_flags = body.setxattr_flags;
  reinterpret_cast<fuse_in_header*>(at)->len -= kLess;  // NOLINT
  std::memmove(at + kLess, at, sizeof(fuse_in_header) + FUSE_COMPAT_SETXATTR_IN_SIZE);
  return kLess;
}

// Where root alone may enter: by root. The kernel looks at the ids of the process, and a file server that is
// root can act as somebody else for a while (setfsuid(2)), whom nobody would check. What it has opened before
// it may use.
bool FuseHandler::may_be_made() const {
  if (request_.header->uid == 0) return true;
  switch (opcode_) {
    case FUSE_INIT:
    case FUSE_DESTROY:
    case FUSE_FORGET:
    case FUSE_BATCH_FORGET:
    case FUSE_GETATTR:  // of a node that the kernel knows, with its attributes
    case FUSE_READ:
    case FUSE_WRITE:
    case FUSE_FALLOCATE:
    case FUSE_LSEEK:
    case FUSE_COPY_FILE_RANGE:
    case wire::kCopyFileRange64:
    case FUSE_GETLK:
    case FUSE_SETLK:
    case FUSE_SETLKW:
    case FUSE_FSYNC:
    case FUSE_FSYNCDIR:
    case FUSE_FLUSH:
    case FUSE_RELEASE:
    case FUSE_RELEASEDIR:
      return true;
    case FUSE_SETATTR: {
      const auto* in = request_.as<fuse_setattr_in>();
      return in != nullptr && (in->valid & FATTR_FH) != 0;
    }
    default:
      return false;
  }
}

void FuseHandler::answer_unknown() {
  const RawAnswer answer = connection_.unknown.answer(request_);
  if (!send_raw(answer)) connection_.unknown.undelivered(request_, answer);
}

bool FuseHandler::send_raw(RawAnswer answer) {
  fuse_out_header header{};
  header.error = -answer.error;
  header.unique = request_.header->unique;
  const std::size_t size = answer.error == 0 ? answer.size : 0;
  header.len = static_cast<std::uint32_t>(sizeof header + size);
  std::array<iovec, 2> parts{iovec{&header, sizeof header}, iovec{answer.bytes.data(), size}};
  return reply(parts.data(), size == 0 ? 1 : 2) >= 0;
}

ssize_t FuseHandler::reply(iovec* parts, int count) {
  const auto* header = static_cast<const fuse_out_header*>(parts[0].iov_base);
  if (header->error != 0 && header->unique != 0) counters.count_error(-header->error);
  if (request_.header->opcode == FUSE_INIT && header->error == 0 && count > 1) amend_init_reply(parts[1]);
  const ssize_t sent = send(parts, count);
  if (sent < 0 && errno != ENOENT) {
    connection_.logger->error("replying to the kernel: {}", ::strerrordesc_np(errno));
    errno = ENOENT;  // to libfuse: not delivered, and no more to be said about it
  }
  return sent;
}

void FuseHandler::amend_init_reply(iovec& body) const {
  if (body.iov_len < sizeof(fuse_init_out)) return;
  fuse_init_in offered{};  // a kernel before 7.36 sends less of it
  std::memcpy(&offered, request_.body.data(), std::min(request_.body.size(), sizeof offered));
  auto& answer = *static_cast<fuse_init_out*>(body.iov_base);
  amend_init(offered, connection_.choices, answer);
  connection_.negotiated = chosen_flags(offered, connection_.choices);
}

}  // namespace kmsfs
