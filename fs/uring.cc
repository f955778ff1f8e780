#include "fs/uring.h"

#ifdef KMSFS_HAVE_LIBURING
#include <liburing.h>
#include <poll.h>

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstring>

namespace kmsfs {
namespace {

constexpr unsigned kMostAtOnce = 128;  // submissions of 128 bytes; a full queue is submitted early

}  // namespace

struct Uring::Ring {
  io_uring uring{};
  bool open = false;
  ~Ring() {
    if (open) ::io_uring_queue_exit(&uring);
  }

  Result<io_uring_sqe*> next() {
    io_uring_sqe* submission = ::io_uring_get_sqe(&uring);
    if (submission == nullptr) {
      if (const int done = ::io_uring_submit(&uring); done < 0)
        return Error::from_errno(-done, "handing entries to the kernel");
      submission = ::io_uring_get_sqe(&uring);
    }
    if (submission == nullptr) return error(Kind::kInternal, "an io_uring stays full");
    return submission;
  }

  Result<void> command(std::uint32_t operation, RingEntry& entry) {
    auto next_submission = next();
    if (!next_submission) return std::move(next_submission).error();
    io_uring_sqe& submission = **next_submission;
    ::io_uring_prep_rw(IORING_OP_URING_CMD, &submission, 0, entry.shared(), 2, 0);
    submission.flags = IOSQE_FIXED_FILE;
    submission.cmd_op = operation;
    ::io_uring_sqe_set_data(&submission, &entry);
    const wire::RingCommand command{0, entry.commit_id(), entry.queue(), {}};
    // In rings of 128-byte submissions the command has the second half to itself, of which the type knows
    // nothing.
    auto* const bytes = reinterpret_cast<std::byte*>(&submission);  // NOLINT
    std::memcpy(bytes + offsetof(io_uring_sqe, cmd), &command, sizeof command);
    return {};
  }
};

Result<std::unique_ptr<Uring>> Uring::make(unsigned entries, int device) {
  auto ring = std::make_unique<Ring>();
  io_uring_params parameters{};
  // One thread works with the ring, and the kernel's part of a request runs when that thread waits.
  parameters.flags =
      IORING_SETUP_SQE128 | IORING_SETUP_CQSIZE | IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN;
  parameters.cq_entries = std::bit_ceil(entries + 2);
  const unsigned submissions = std::bit_ceil(std::min(entries + 1, kMostAtOnce));
  if (const int failed = ::io_uring_queue_init_params(submissions, &ring->uring, &parameters); failed < 0)
    return error(Kind::kUnsupported, std::string("no io_uring: ") + ::strerrordesc_np(-failed));
  ring->open = true;
  if (const int failed = device < 0 ? 0 : ::io_uring_register_files(&ring->uring, &device, 1); failed < 0)
    return error(Kind::kUnsupported, std::string("no io_uring on /dev/fuse: ") + ::strerrordesc_np(-failed));
  return std::unique_ptr<Uring>(new Uring(std::move(ring)));
}

Uring::Uring(std::unique_ptr<Ring> ring) : ring_(std::move(ring)) {}
Uring::~Uring() = default;

Result<void> Uring::add(RingEntry& entry) { return ring_->command(wire::kRingRegister, entry); }
Result<void> Uring::commit(RingEntry& entry) { return ring_->command(wire::kRingCommitAndFetch, entry); }

Result<void> Uring::watch(int fd) {
  auto submission = ring_->next();
  if (!submission) return std::move(submission).error();
  ::io_uring_prep_poll_add(*submission, fd, POLLIN);
  ::io_uring_sqe_set_data(*submission, nullptr);
  return {};
}

Result<void> Uring::submit() {
  // With this flag what is due in the kernel runs, too.
  const int done = ::io_uring_submit_and_get_events(&ring_->uring);
  if (done < 0 && done != -EINTR) return Error::from_errno(-done, "handing entries to the kernel");
  return {};
}

Result<void> Uring::submit_and_wait() {
  const int done = ::io_uring_submit_and_wait(&ring_->uring, 1);
  if (done < 0 && done != -EINTR) return Error::from_errno(-done, "waiting for requests");
  return {};
}

void Uring::take_back(const std::function<void(RingEntry*, int)>& take) {
  io_uring_cqe* completion = nullptr;
  while (::io_uring_peek_cqe(&ring_->uring, &completion) == 0) {
    auto* entry = static_cast<RingEntry*>(::io_uring_cqe_get_data(completion));
    const int error_number = completion->res < 0 ? -completion->res : 0;
    ::io_uring_cqe_seen(&ring_->uring, completion);
    take(entry, error_number);
  }
}

}  // namespace kmsfs

#else

namespace kmsfs {

struct Uring::Ring {};
Result<std::unique_ptr<Uring>> Uring::make(unsigned, int) {
  return error(Kind::kUnsupported, "built without liburing");
}
Uring::Uring(std::unique_ptr<Ring> ring) : ring_(std::move(ring)) {}
Uring::~Uring() = default;
Result<void> Uring::add(RingEntry&) { return {}; }
Result<void> Uring::commit(RingEntry&) { return {}; }
Result<void> Uring::watch(int) { return {}; }
Result<void> Uring::submit() { return {}; }
Result<void> Uring::submit_and_wait() { return {}; }
void Uring::take_back(const std::function<void(RingEntry*, int)>&) {}

}  // namespace kmsfs

#endif
