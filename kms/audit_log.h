// The audit log of a store: audit.log, one line per decision, each naming the hash of the one before.
//
// Always: a line is appended whole or not at all, after what every other process appended; on disk at most
// 100 ms after (a thread of its own sees to that), or at once where sync() is called. audit.head beside it
// says where the chain stands: lines that vanish from the log's end leave a gap that verify_audit_log finds,
// also after further lines. Errors: kUnavailable, kNoSpace; then the caller must not let its answer out.
// Threads: any. Turns come one at a time over all threads and processes; never wait for anything else during
// one but the store. Open after the process's last fork.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>

#include "core/log.h"
#include "core/unique_fd.h"
#include "kms/audit_record.h"

namespace kmsfs::kms {

class AuditLog {
 public:
  static Result<std::unique_ptr<AuditLog>> open(const std::string& directory, Logger logger);
  ~AuditLog();  // what was appended is synced
  AuditLog(const AuditLog&) = delete;
  AuditLog& operator=(const AuditLog&) = delete;

  // The right to append, alone.
  class Turn {
   public:
    Turn(Turn&& other) noexcept;
    Turn& operator=(Turn&&) = delete;
    ~Turn();
    const ChainPosition& position() const { return log_->position_; }
    Result<void> append(std::string_view line);  // made by audit_line(…, position()), newline included
    Result<void> sync();

   private:
    friend class AuditLog;
    Turn(AuditLog& log, std::unique_lock<std::mutex> lock) : log_(&log), lock_(std::move(lock)) {}
    AuditLog* log_;
    std::unique_lock<std::mutex> lock_;
  };
  // kUnavailable if another process keeps it for 5 s.
  Result<Turn> take_turn();

 private:
  AuditLog(UniqueFd log, UniqueFd head, Logger logger);
  Result<void> lock_file();
  Result<void> catch_up();
  Result<void> read_end(std::uint64_t size, std::uint64_t head_size, const ChainPosition& head);
  Result<void> write_line(std::string_view line);
  void sync_until_stopped();
  Result<void> usable() const;

  const UniqueFd log_;
  const UniqueFd head_;
  const Logger logger_;

  std::mutex mutex_;  // held by a Turn, and then the lock on log_
  ChainPosition position_;
  std::uint64_t size_ = 0;  // of the log when position_ was right; 0 and sequence 0: not read yet

  std::mutex sync_mutex_;
  std::condition_variable sync_wanted_;
  bool stop_ = false;                  // under sync_mutex_
  std::atomic<bool> unsynced_{false};  // lines since the last sync
  std::atomic<int> sync_errno_{0};     // a failed sync may have lost lines: the log is not used any more
  std::thread syncer_;
};

struct AuditVerdict {
  std::uint64_t lines = 0;
  std::optional<std::string> problem;  // the first one: "line 17: …"; none: every line is as it was written
};
// Reads the whole log, which may be in use.
Result<AuditVerdict> verify_audit_log(const std::string& directory);

// What audit.head holds: log size 8 ‖ sequence 8 ‖ hash 32. Nothing if it was never written.
struct AuditHead {
  static constexpr std::size_t kSize = 48;
  std::uint64_t log_size = 0;
  ChainPosition position;
};
Result<std::optional<AuditHead>> read_audit_head(int fd);
Result<void> write_audit_head(int fd, const AuditHead& head);

}  // namespace kmsfs::kms
