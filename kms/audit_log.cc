#include "kms/audit_log.h"

#include <fcntl.h>
#include <sys/mman.h>
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

constexpr std::chrono::milliseconds kSyncDelay{
    50};                                        // half of what is promised: the other half is the sync's own
constexpr std::uint64_t kFirstLook = 16 << 10;  // holds the last line, nearly always
constexpr std::uint64_t kLastLook = 4 << 20;    // a line is never that long: policies are limited to 32 KiB

constexpr std::uint64_t kSettled = __builtin_bswap64(1);  // 1, big-endian as all that is on disk

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

Result<AuditHead> AuditHead::map(int fd) {
  struct stat status {};
  if (::fstat(fd, &status) != 0) return Error::from_errno(errno, "audit.head");
  if (status.st_size < static_cast<off_t>(kSize)) {
    // With its room: a mapped hole on a full disk would be a signal, not an error.
    if (const int number = ::posix_fallocate(fd, 0, kSize); number != 0) {
      return Error::from_errno(number, "audit.head");
    }
  }
  void* memory = ::mmap(nullptr, kSize, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (memory == MAP_FAILED) return Error::from_errno(errno, "mapping audit.head");
  return AuditHead(static_cast<std::byte*>(memory));
}

AuditHead::AuditHead(AuditHead&& other) noexcept : memory_(std::exchange(other.memory_, nullptr)) {}
AuditHead::~AuditHead() {
  if (memory_ != nullptr) ::munmap(memory_, kSize);
}

// Set last and cleared first: whoever maps the head next trusts the rest only if this stands.
std::atomic_ref<std::uint64_t> AuditHead::settled_word() const {
  return std::atomic_ref<std::uint64_t>(*reinterpret_cast<std::uint64_t*>(memory_));
}
bool AuditHead::settled() const { return settled_word().load(std::memory_order_acquire) == kSettled; }
void AuditHead::unsettle() { settled_word().store(0, std::memory_order_seq_cst); }
void AuditHead::settle(std::uint64_t log_size, const ChainPosition& position) {
  store_be64(memory_ + 8, log_size);
  store_be64(memory_ + 16, position.sequence);
  std::copy(position.hash.begin(), position.hash.end(), memory_ + 24);
  settled_word().store(kSettled, std::memory_order_release);
}
ChainPosition AuditHead::position() const {
  ChainPosition position;
  position.sequence = load_be64(memory_ + 16);
  std::copy_n(memory_ + 24, position.hash.size(), position.hash.begin());
  return position;
}

Result<std::unique_ptr<AuditLog>> AuditLog::open(const std::string& directory, Logger logger) {
  auto log = open_or_make(directory, "audit.log", O_RDWR | O_APPEND);
  if (!log) return std::move(log).error();
  auto head_file = open_or_make(directory, "audit.head", O_RDWR);
  if (!head_file) return std::move(head_file).error();
  auto head = AuditHead::map(head_file->get());
  if (!head) return std::move(head).error();
  return std::unique_ptr<AuditLog>(new AuditLog(std::move(*log), std::move(*head), std::move(logger)));
}

AuditLog::AuditLog(UniqueFd log, AuditHead head, Logger logger)
    : log_(std::move(log)),
      logger_(std::move(logger)),
      head_(std::move(head)),
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
    if (::fdatasync(log_.get()) != 0) {
      failed_errno_ = errno;
      logger_->error(
          "the audit log cannot be synced ({}); the key store answers no more until it is opened again",
          failed(errno, "syncing").text);
      continue;
    }
    look_at_file();
  }
}

// Somebody may have removed or cut the log under our feet; a stat per use would cost more than it is worth.
void AuditLog::look_at_file() {
  struct stat status {};
  if (::fstat(log_.get(), &status) != 0 || status.st_nlink == 0) {
    failed_errno_ = ENOENT;
    logger_->error(
        "the audit log was removed while in use; the key store answers no more until it is opened again");
  }
  checked_ = false;
}

Result<void> AuditLog::usable() const {
  if (const int number = failed_errno_.load(); number != 0) return failed(number, "an earlier failure");
  return {};
}

Result<ChainPosition> AuditLog::position() {
  KMSFS_TRY(usable());
  if (!checked_.load() || !head_.settled()) {
    struct stat status {};
    if (::fstat(log_.get(), &status) != 0) return failed(errno, "reading");
    if (!head_.settled() || static_cast<std::uint64_t>(status.st_size) != head_.log_size())
      KMSFS_TRY(read_end());
    checked_ = true;
  }
  return head_.position();
}

// Log and head disagree: a process or the machine died between the two, or in the middle of a line, or
// somebody touched the log.
Result<void> AuditLog::read_end() {
  struct stat status {};
  if (::fstat(log_.get(), &status) != 0) return failed(errno, "reading");
  auto size = static_cast<std::uint64_t>(status.st_size);
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
  const ChainPosition known = head_.position();
  if (last.sequence < known.sequence) {
    logger_->warn(
        "the audit log lacks its last lines; the chain goes on with a gap that verification will show");
  }
  head_.settle(size, last.sequence > known.sequence ? last : known);
  return {};
}

Result<void> AuditLog::append(std::string_view lines, std::uint64_t sequence) {
  assert(lines.ends_with('\n') && "a record is a line");
  const std::uint64_t size = head_.log_size();
  head_.unsettle();
  ssize_t put = ::write(log_.get(), lines.data(), lines.size());
  while (put < 0 && errno == EINTR) put = ::write(log_.get(), lines.data(), lines.size());
  if (put != static_cast<ssize_t>(lines.size())) {
    const int number = put < 0 ? errno : ENOSPC;
    // If half a line stays, the head stays unsettled, and the next position() cuts it off.
    if (put < 0 || ::ftruncate(log_.get(), static_cast<off_t>(size)) == 0)
      head_.settle(size, head_.position());
    return failed(number, "writing");
  }
  std::string_view last = lines.substr(0, lines.size() - 1);
  if (const std::size_t before = last.rfind('\n'); before != std::string_view::npos)
    last.remove_prefix(before + 1);
  head_.settle(size + lines.size(), {sequence, sha256(as_bytes(last))});
  if (!unsynced_.exchange(true)) {
    const std::lock_guard lock(sync_mutex_);
    sync_wanted_.notify_one();
  }
  return {};
}

Result<void> AuditLog::sync() {
  if (::fdatasync(log_.get()) != 0) {
    failed_errno_ = errno;
    return failed(errno, "syncing");
  }
  return {};
}

}  // namespace kmsfs::kms
