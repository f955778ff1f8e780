// The audit log of a store: audit.log, one line per decision, each naming the hash of the one before.
//
// Always: a line is appended whole or not at all, after what every other process appended; on disk at most
// 100 ms after (a thread of its own sees to that), or at once where sync() is called. audit.head beside it
// says where the chain stands: lines that vanish from the log's end leave a gap that verify_audit_log finds,
// also after further lines. Errors: kUnavailable, kNoSpace; then the caller must not let its answer out.
// Threads: position(), append() and sync() only while holding the store's write transaction, which is what
// orders the appenders of all threads and processes. Open after the process's last fork.
#pragma once

#include <array>
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

// audit.head, mapped and shared by all processes that have the store open: settled 8 ‖ log size 8 ‖ sequence
// 8 ‖ hash 32.
class AuditHead {
 public:
  static constexpr std::size_t kSize = 56;

  static Result<AuditHead> map(int fd);
  AuditHead(AuditHead&& other) noexcept;
  AuditHead& operator=(AuditHead&&) = delete;
  ~AuditHead();

  // False while a line is being written: somebody who died left it so, and the log itself must be looked at.
  bool settled() const;
  void unsettle();
  std::uint64_t log_size() const { return load_be64(memory_ + 8); }
  ChainPosition position() const;
  void settle(std::uint64_t log_size, const ChainPosition& position);

 private:
  explicit AuditHead(std::byte* memory) : memory_(memory) {}
  std::atomic_ref<std::uint64_t> settled_word() const;
  std::byte* memory_;
};

class AuditLog {
 public:
  static Result<std::unique_ptr<AuditLog>> open(const std::string& directory, Logger logger);
  ~AuditLog();  // what was appended is synced
  AuditLog(const AuditLog&) = delete;
  AuditLog& operator=(const AuditLog&) = delete;

  // Where the chain stands now.
  Result<ChainPosition> position();
  // `lines` were made by audit_lines(); the last one has this sequence. All of them or none.
  Result<void> append(std::string_view lines, std::uint64_t sequence);
  Result<void> sync();

 private:
  AuditLog(UniqueFd log, AuditHead head, Logger logger);
  Result<void> read_end();
  Result<void> usable() const;
  void sync_until_stopped();
  void look_at_file();

  const UniqueFd log_;
  const Logger logger_;
  AuditHead head_;                    // under the store's writer
  std::atomic<bool> checked_{false};  // the log's size agrees with its head

  std::mutex sync_mutex_;
  std::condition_variable sync_wanted_;
  bool stop_ = false;                  // under sync_mutex_
  std::atomic<bool> unsynced_{false};  // lines since the last sync
  std::atomic<int> failed_errno_{0};   // lines may be lost: the log is not used any more
  std::thread syncer_;
};

struct AuditVerdict {
  std::uint64_t lines = 0;
  std::optional<std::string> problem;  // the first one: "line 17: …"; none: every line is as it was written
};
// Reads the whole log, which may be in use.
Result<AuditVerdict> verify_audit_log(const std::string& directory);

}  // namespace kmsfs::kms
