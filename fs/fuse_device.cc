#include "fs/fuse_device.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>

#include <algorithm>
#include <cstring>

#include "fs/fuse_figures.h"
#include "fs/fuse_library.h"

namespace kmsfs {
namespace {

constexpr std::size_t kPage = 4096;
// A write's payload follows these; the buffer starts so far before a page that the payload starts on one.
constexpr std::size_t kWriteHeaders = sizeof(fuse_in_header) + sizeof(fuse_write_in);
constexpr std::size_t kRequestSize = kWriteHeaders + kMaxWrite;
constexpr std::uint32_t kLastKnownToLibfuse = FUSE_REMOVEMAPPING;

// Interrupts a worker's read(2) when it is to end; no other thread takes it.
int wake_signal() { return SIGRTMIN + 2; }
constexpr auto kWakeAgain = std::chrono::milliseconds(5);  // a signal just before read(2) is lost

// Plain text passes through: not for core files.
class Buffer {
 public:
  static Result<Buffer> make(std::size_t size) {
    void* memory = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) return Error::from_errno(errno, "memory for a worker");
    ::madvise(memory, size, MADV_DONTDUMP);
    return Buffer(static_cast<std::byte*>(memory), size);
  }
  Buffer(Buffer&& other) noexcept : data_(std::exchange(other.data_, nullptr)), size_(other.size_) {}
  Buffer& operator=(Buffer&&) = delete;
  ~Buffer() {
    if (data_ != nullptr) ::munmap(data_, size_);
  }
  std::byte* data() const { return data_; }
  ByteSpan span() const { return {data_, size_}; }

 private:
  Buffer(std::byte* data, std::size_t size) : data_(data), size_(size) {}
  std::byte* data_;
  std::size_t size_;
};

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

class DeviceTransport::Worker {
 public:
  Worker(DeviceTransport& transport, UniqueFd device, Buffer request, Buffer reply)
      : transport_(transport),
        device_(std::move(device)),
        request_memory_(std::move(request)),
        reply_memory_(std::move(reply)) {}

  // Until the connection or the transport ends.
  void serve();
  // Reads one request and has it handled. kUnavailable: the connection has ended.
  Result<void> serve_one();
  void wake() { ::pthread_kill(thread.native_handle(), wake_signal()); }
  void close() { device_.reset(); }

  // libfuse's way out. Threads that are no workers (notifications) write as they are.
  static ssize_t write_out(int fd, iovec* parts, int count, void*) {
    return current_ != nullptr ? current_->reply(parts, count) : ::writev(fd, parts, count);
  }
  static ssize_t read_in(int fd, void* buffer, std::size_t size, void*) { return ::read(fd, buffer, size); }

  std::thread thread;
  FuseCounters counters;
  bool ended = true;  // under the transport's mutex

 private:
  std::byte* request_start() const { return request_memory_.data() + kPage - kWriteHeaders; }
  void handle(std::byte* at, std::size_t size);
  std::size_t narrow_setxattr(std::byte* at, std::size_t size);
  void answer_unknown();
  void amend_init_reply(iovec& body) const;
  ssize_t reply(iovec* parts, int count);

  static thread_local Worker* current_;

  DeviceTransport& transport_;
  UniqueFd device_;
  Buffer request_memory_, reply_memory_;
  FuseRequest request_;
};

thread_local DeviceTransport::Worker* DeviceTransport::Worker::current_ = nullptr;

void DeviceTransport::Worker::serve() {
  // Writing out for the kernel must not wait for memory that the kernel frees by writing out through us.
  ::prctl(PR_SET_IO_FLUSHER, 1, 0, 0, 0);
  while (!transport_.stopping_.load(std::memory_order_relaxed)) {
    if (!serve_one()) break;
  }
  transport_.worker_ended(*this);
}

Result<void> DeviceTransport::Worker::serve_one() {
  const ssize_t got = ::read(device_.get(), request_start(), kRequestSize);
  if (got < 0) {
    // ENOENT: the program was interrupted before the request was read.
    if (errno == EINTR || errno == ENOENT || errno == EAGAIN) return {};
    if (errno != ENODEV) transport_.logger_->error("reading a request: {}", ::strerrordesc_np(errno));
    return error(Kind::kUnavailable, "the connection to the kernel has ended");
  }
  const auto size = static_cast<std::size_t>(got);
  if (size < sizeof(fuse_in_header)) return error(Kind::kCorrupt, "a request shorter than its header");
  current_ = this;
  handle(request_start(), size);
  set_current_request(nullptr);
  current_ = nullptr;
  return {};
}

void DeviceTransport::Worker::handle(std::byte* at, std::size_t size) {
  const std::uint32_t opcode = reinterpret_cast<const fuse_in_header*>(at)->opcode;  // NOLINT
  counters.count_request(opcode);
  request_.setxattr_flags = 0;
  if (opcode == FUSE_SETXATTR && (transport_.negotiated_ & FUSE_SETXATTR_EXT) != 0) {
    const std::size_t less = narrow_setxattr(at, size);
    at += less;
    size -= less;
  }
  request_.header = reinterpret_cast<const fuse_in_header*>(at);  // NOLINT
  request_.body = ByteView(at, size).subspan(sizeof(fuse_in_header));
  request_.tells_groups = (transport_.negotiated_ & wire::kCreateSupplementaryGroup) != 0;
  request_.reply_buffer = reply_memory_.span();
  set_current_request(&request_);
  if (opcode > kLastKnownToLibfuse) return answer_unknown();
  fuse_buf buffer{};
  buffer.mem = at;
  buffer.size = size;
  fuse_session_process_buf(transport_.session_.get(), &buffer);
}

// libfuse reads a fuse_setxattr_in as it was before 7.33, eight bytes shorter: what stands before the eight
// moves up.
std::size_t DeviceTransport::Worker::narrow_setxattr(std::byte* at, std::size_t size) {
  constexpr std::uint32_t kLess = sizeof(fuse_setxattr_in) - FUSE_COMPAT_SETXATTR_IN_SIZE;
  if (size < sizeof(fuse_in_header) + sizeof(fuse_setxattr_in)) return 0;
  fuse_setxattr_in body;
  std::memcpy(&body, at + sizeof(fuse_in_header), sizeof body);
  request_.setxattr_flags = body.setxattr_flags;
  reinterpret_cast<fuse_in_header*>(at)->len -= kLess;  // NOLINT
  std::memmove(at + kLess, at, sizeof(fuse_in_header) + FUSE_COMPAT_SETXATTR_IN_SIZE);
  return kLess;
}

void DeviceTransport::Worker::answer_unknown() {
  RawAnswer answer = transport_.unknown_.answer(request_);
  fuse_out_header header{};
  header.error = -answer.error;
  header.unique = request_.header->unique;
  const std::size_t size = answer.error == 0 ? answer.size : 0;
  header.len = static_cast<std::uint32_t>(sizeof header + size);
  std::array<iovec, 2> parts{iovec{&header, sizeof header}, iovec{answer.bytes.data(), size}};
  if (reply(parts.data(), size == 0 ? 1 : 2) < 0) transport_.unknown_.undelivered(request_, answer);
}

ssize_t DeviceTransport::Worker::reply(iovec* parts, int count) {
  const auto* header = static_cast<const fuse_out_header*>(parts[0].iov_base);
  if (header->error != 0 && header->unique != 0) counters.count_error(-header->error);
  if (request_.header->opcode == FUSE_INIT && header->error == 0 && count > 1) amend_init_reply(parts[1]);
  const ssize_t written = ::writev(device_.get(), parts, count);
  if (written < 0 && errno != ENOENT) {
    transport_.logger_->error("replying to the kernel: {}", ::strerrordesc_np(errno));
    errno = ENOENT;  // to libfuse: not delivered, and no more to be said about it
  }
  return written;
}

void DeviceTransport::Worker::amend_init_reply(iovec& body) const {
  if (body.iov_len < sizeof(fuse_init_out)) return;
  fuse_init_in offered{};  // a kernel before 7.36 sends less of it
  std::memcpy(&offered, request_.body.data(), std::min(request_.body.size(), sizeof offered));
  auto& answer = *static_cast<fuse_init_out*>(body.iov_base);
  amend_init(offered, transport_.choices_, answer);
  transport_.negotiated_ = chosen_flags(offered, transport_.choices_);
}

DeviceTransport::DeviceTransport(Session session, UnknownRequests& unknown, InitChoices choices,
                                 Logger logger)
    : unknown_(unknown), choices_(choices), logger_(std::move(logger)), session_(std::move(session)) {}

Result<std::unique_ptr<FuseTransport>> DeviceTransport::make(UniqueFd device, Session session,
                                                             UnknownRequests& unknown, unsigned workers,
                                                             InitChoices choices, Logger logger) {
  std::unique_ptr<DeviceTransport> transport(
      new DeviceTransport(std::move(session), unknown, choices, std::move(logger)));
  for (unsigned i = 0; i < std::max(1U, workers); ++i) {
    auto fd = clone(device.get());
    if (!fd) return std::move(fd).error();
    auto request = Buffer::make(kPage + kMaxWrite + kPage);
    if (!request) return std::move(request).error();
    auto reply = Buffer::make(kMaxWrite + kPage);
    if (!reply) return std::move(reply).error();
    transport->workers_.push_back(
        std::make_unique<Worker>(*transport, std::move(*fd), std::move(*request), std::move(*reply)));
  }
  fuse_custom_io io{};
  io.read = &Worker::read_in;
  io.writev = &Worker::write_out;
  if (const int failed = fuse_session_custom_io(transport->session_.get(), &io, device.get()); failed != 0)
    return error(Kind::kInternal, "libfuse does not take our transport");
  static_cast<void>(device.release());  // the session closes it
  return std::unique_ptr<FuseTransport>(std::move(transport));
}

DeviceTransport::~DeviceTransport() {
  stop();
  wait();
  close();
}

Result<void> DeviceTransport::start() {
  // The kernel sends nothing else before it has INIT's reply, so this thread can answer it alone.
  while (negotiated_ == 0) {
    if (auto served = workers_.front()->serve_one(); !served)
      return std::move(served).error().during("agreeing with the kernel");
  }
  return start_threads();
}

Result<void> DeviceTransport::start_threads() {
  struct sigaction wake {};
  wake.sa_handler = [](int) {};  // without SA_RESTART, so that read(2) returns
  ::sigaction(wake_signal(), &wake, nullptr);
  // Signals are for the thread that waits for them.
  sigset_t all, before;
  ::sigfillset(&all);
  ::sigdelset(&all, wake_signal());
  ::pthread_sigmask(SIG_SETMASK, &all, &before);
  for (auto& worker : workers_) {
    std::lock_guard lock(mutex_);
    worker->ended = false;
    ++live_;
    worker->thread = std::thread([at = worker.get()] { at->serve(); });
    ::pthread_setname_np(worker->thread.native_handle(), "kmsfs-worker");
  }
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
  return {};
}

void DeviceTransport::worker_ended(Worker& worker) {
  std::lock_guard lock(mutex_);
  worker.ended = true;
  --live_;
  ended_.notify_all();
}

void DeviceTransport::wait() {
  {
    std::unique_lock lock(mutex_);
    ended_.wait(lock, [&] { return live_ == 0; });
  }
  for (auto& worker : workers_) {
    if (worker->thread.joinable()) worker->thread.join();
  }
}

bool DeviceTransport::wait_for(std::chrono::milliseconds time) {
  std::unique_lock lock(mutex_);
  return ended_.wait_for(lock, time, [&] { return live_ == 0; });
}

void DeviceTransport::stop() {
  stopping_ = true;
  std::unique_lock lock(mutex_);
  while (live_ != 0) {
    for (auto& worker : workers_) {
      if (!worker->ended) worker->wake();
    }
    ended_.wait_for(lock, kWakeAgain);
  }
}

void DeviceTransport::close() {
  for (auto& worker : workers_) worker->close();
  session_.reset();
}

Result<void> DeviceTransport::notify(int code, const std::vector<ByteView>& payload) {
  if (!session_) return error(Kind::kUnavailable, "the connection to the kernel is closed");
  fuse_out_header header{};
  header.error = code;
  header.len = sizeof header;
  std::vector<iovec> parts{{&header, sizeof header}};
  for (ByteView part : payload) {
    parts.push_back(
        {const_cast<std::byte*>(part.data()), part.size()});  // NOLINT: iovec serves reading and writing
    header.len += static_cast<std::uint32_t>(part.size());
  }
  if (::writev(fuse_session_fd(session_.get()), parts.data(), static_cast<int>(parts.size())) < 0)
    return Error::from_errno(errno, "notifying the kernel");
  return {};
}

FuseFigures DeviceTransport::figures() const {
  FuseFigures figures;
  for (const auto& worker : workers_) worker->counters.add_to(figures);
  figures.negotiated = names_of_init_flags(negotiated_);
  return figures;
}

}  // namespace kmsfs
