#include "kms/audit_log.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cassert>
#include <cerrno>
#include <chrono>
#include <string>
#include <utility>

#include "kms/private_file.h"

namespace kmsfs::kms {

namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;

constexpr milliseconds kSyncDelay{50};          // half of what is promised: the other half is the sync's own
constexpr milliseconds kTurnLimit{5000};        // beyond it another process is stopped, not busy
constexpr std::uint64_t kFirstLook = 16 << 10;  // holds the last line, nearly always
constexpr std::uint64_t kLastLook = 4 << 20;    // a line is never that long: policies are limited to 32 KiB

Error unavailable(std::string text) { return error(Kind::kUnavailable, "the audit log " + std::move(text)); }

Error failed(int error_number, std::string_view doing) {
  Error error = Error::from_errno(error_number, "the audit log, " + std::string(doing));
  if (error.kind != Kind::kNoSpace) error.kind = Kind::kUnavailable;
  return error;
}

Result<UniqueFd> open_or_make(const std::string& directory, const char* name, int flags) {
  const std::string path = directory + "/" + name;
  auto fd = open_private_file(path, "the audit log's file", flags);
  if (fd || fd.error().system_errno != ENOENT) return fd;
  const UniqueFd made(::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!made && errno != EEXIST) return Error::from_errno(errno, "making " + path);
  return open_private_file(path, "the audit log's file", flags);
}

Result<Bytes> read_part(int fd, std::uint64_t from, std::uint64_t to) {
  Bytes part(to - from);
  std::size_t done = 0;
  while (done < part.size()) {
    const ssize_t got = ::pread(fd, part.data() + done, part.size() - done, static_cast<off_t>(from + done));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return failed(errno, "reading");
    if (got == 0) break;
    done += static_cast<std::size_t>(got);
  }
  part.resize(done);
  return part;
}

}  // namespace

Result<std::optional<AuditHead>> read_audit_head(int fd) {
  auto bytes = read_part(fd, 0, AuditHead::kSize);
  if (!bytes) return std::move(bytes).error();
  ByteReader in(*bytes);
  AuditHead head;
  head.log_size = in.u64();
  head.position.sequence = in.u64();
  head.position.hash = in.take<32>();
  if (!in.complete()) return std::optional<AuditHead>();
  return std::optional<AuditHead>(head);
}

Result<void> write_audit_head(int fd, const AuditHead& head) {
  std::array<std::byte, AuditHead::kSize> bytes{};
  ByteWriter out(bytes);
  out.u64(head.log_size);
  out.u64(head.position.sequence);
  out.bytes(head.position.hash);
  const ssize_t put = ::pwrite(fd, bytes.data(), bytes.size(), 0);
  if (put != static_cast<ssize_t>(bytes.size()))
    return failed(put < 0 ? errno : ENOSPC, "writing audit.head");
  return {};
}

Result<std::unique_ptr<AuditLog>> AuditLog::open(const std::string& directory, Logger logger) {
  auto log = open_or_make(directory, "audit.log", O_RDWR | O_APPEND);
  if (!log) return std::move(log).error();
  auto head = open_or_make(directory, "audit.head", O_RDWR);
  if (!head) return std::move(head).error();
  return std::unique_ptr<AuditLog>(new AuditLog(std::move(*log), std::move(*head), std::move(logger)));
}

AuditLog::AuditLog(UniqueFd log, UniqueFd head, Logger logger)
    : log_(std::move(log)),
      head_(std::move(head)),
      logger_(std::move(logger)),
      syncer_([this] { sync_until_stopped(); }) {}

AuditLog::~AuditLog() {
  {
    const std::lock_guard lock(sync_mutex_);
    stop_ = true;
  }
  sync_wanted_.notify_all();
  syncer_.join();
}

void AuditLog::sync_until_stopped() {
  for (bool stopping = false; !stopping;) {
    {
      std::unique_lock lock(sync_mutex_);
      sync_wanted_.wait(lock, [&] { return stop_ || unsynced_.load(); });
      // Others may join in: one sync serves all that was appended until then.
      stopping = sync_wanted_.wait_for(lock, kSyncDelay, [&] { return stop_; });
    }
    if (!unsynced_.exchange(false)) continue;
    if (::fdatasync(log_.get()) == 0) continue;
    sync_errno_ = errno;
    logger_->error("the audit log cannot be synced: {}; the key store answers no more",
                   failed(errno, "syncing").text);
  }
}

Result<void> AuditLog::usable() const {
  if (const int number = sync_errno_.load(); number != 0) return failed(number, "syncing");
  return {};
}

Result<AuditLog::Turn> AuditLog::take_turn() {
  std::unique_lock lock(mutex_);
  KMSFS_TRY(usable());
  KMSFS_TRY(lock_file());
  Turn turn(*this, std::move(lock));
  KMSFS_TRY(catch_up());
  return turn;
}

Result<void> AuditLog::lock_file() {
  const auto limit = std::chrono::steady_clock::now() + kTurnLimit;
  for (microseconds pause{20};; pause = std::min(2 * pause, microseconds(1000))) {
    if (::flock(log_.get(), LOCK_EX | LOCK_NB) == 0) return {};
    if (errno == EINTR) continue;
    if (errno != EWOULDBLOCK) return failed(errno, "locking");
    if (std::chrono::steady_clock::now() > limit) return unavailable("is held by another process");
    std::this_thread::sleep_for(pause);
  }
}

Result<void> AuditLog::catch_up() {
  struct stat status {};
  if (::fstat(log_.get(), &status) != 0) return failed(errno, "reading");
  if (status.st_nlink == 0) return unavailable("was removed while in use; start again to begin a new one");
  const auto size = static_cast<std::uint64_t>(status.st_size);
  if (size == size_ && position_.sequence > 0) return {};
  auto head = read_audit_head(head_.get());
  if (!head) return std::move(head).error();
  if (*head && (*head)->log_size == size) {
    size_ = size;
    position_ = (*head)->position;
    return {};
  }
  return read_end(size, *head ? (*head)->log_size : 0, *head ? (*head)->position : ChainPosition{});
}

// Log and head disagree: a process died between the two, or in the middle of a line, or somebody touched the
// log.
Result<void> AuditLog::read_end(std::uint64_t size, std::uint64_t head_size, const ChainPosition& head) {
  const Error no_record = unavailable("does not end in a record; move it away to begin a new one");
  ChainPosition last;
  for (std::uint64_t look = kFirstLook; size > 0; look *= 4) {
    const std::uint64_t from = size - std::min(size, look);
    auto part = read_part(log_.get(), from, size);
    if (!part) return std::move(part).error();
    std::string_view text = as_text(*part);
    const std::size_t newline = text.rfind('\n');
    if (newline == std::string_view::npos && from > 0) {
      if (look >= kLastLook) return no_record;
      continue;
    }
    const std::size_t whole = newline == std::string_view::npos ? 0 : newline + 1;
    if (whole < text.size()) {
      // A line cut short was never answered for.
      logger_->warn("the audit log ends in the middle of a line, which is cut off");
      size = from + whole;
      if (::ftruncate(log_.get(), static_cast<off_t>(size)) != 0)
        return failed(errno, "cutting off half a line");
      if (whole == 0) break;
    }
    text = text.substr(0, newline);
    const std::size_t before = text.rfind('\n');
    if (before == std::string_view::npos && from > 0) {
      if (look >= kLastLook) return no_record;
      continue;
    }
    if (!read_position(before == std::string_view::npos ? text : text.substr(before + 1), last))
      return no_record;
    break;
  }
  if (size < head_size) {
    logger_->warn(
        "the audit log is shorter than it was; the chain goes on with a gap that its verification will show");
  }
  position_ = last.sequence > head.sequence ? last : head;
  size_ = size;
  return {};
}

Result<void> AuditLog::write_line(std::string_view line) {
  assert(line.ends_with('\n') && "a record is a line");
  KMSFS_TRY(usable());
  ssize_t put = ::write(log_.get(), line.data(), line.size());
  while (put < 0 && errno == EINTR) put = ::write(log_.get(), line.data(), line.size());
  if (put != static_cast<ssize_t>(line.size())) {
    const int number = put < 0 ? errno : ENOSPC;
    // Best effort: half a line that stays is cut off by the next turn.
    if (put > 0 && ::ftruncate(log_.get(), static_cast<off_t>(size_)) != 0) size_ = 0;
    return failed(number, "writing");
  }
  size_ += line.size();
  read_position(line.substr(0, line.size() - 1), position_);
  if (!unsynced_.exchange(true)) {
    const std::lock_guard lock(sync_mutex_);
    sync_wanted_.notify_one();
  }
  return write_audit_head(head_.get(), AuditHead{size_, position_});
}

AuditLog::Turn::Turn(Turn&& other) noexcept
    : log_(std::exchange(other.log_, nullptr)), lock_(std::move(other.lock_)) {}

AuditLog::Turn::~Turn() {
  if (log_ != nullptr) ::flock(log_->log_.get(), LOCK_UN);
}

Result<void> AuditLog::Turn::append(std::string_view line) { return log_->write_line(line); }

Result<void> AuditLog::Turn::sync() {
  if (::fdatasync(log_->log_.get()) != 0) {
    log_->sync_errno_ = errno;
    return failed(errno, "syncing");
  }
  return {};
}

}  // namespace kmsfs::kms
