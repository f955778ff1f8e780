// A turn at the audit log: the store's one write transaction, and the place in the log that goes with it.
//
// Always: what an earlier change left behind in meta/last_change is in the log before a turn begins, so that
// whoever has it may append. It needs no key of the store. Threads: any; one turn at a time in all processes.
#pragma once

#include <cstdint>
#include <memory>
#include <string_view>

#include "kms/audit_log.h"
#include "kms/store.h"

namespace kmsfs::kms {

// meta/last_change: sequence of its last line 8 ‖ time 8 ‖ lines.
struct LastChange {
  static constexpr std::size_t kHeader = 16;
  std::uint64_t sequence = 0;  // 0: there was none yet
  std::int64_t time_ms = 0;
  std::string_view lines = {};  // as long as the transaction
};
Result<LastChange> last_change_of(const Transaction& transaction);

struct AuditTurn {
  std::unique_ptr<WriteTransaction> transaction;
  ChainPosition position;
  std::uint64_t last_change = 0;  // as in LastChange
  std::int64_t last_change_ms = 0;
};
Result<AuditTurn> take_audit_turn(Store& store, AuditLog& audit);

// What is due from whoever acts on a store without opening its seal: one line, on disk when this returns.
Result<void> record_unsealed(Store& store, AuditLog& audit, std::string_view event, std::string parameters);

}  // namespace kmsfs::kms
