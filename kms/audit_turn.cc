#include "kms/audit_turn.h"

#include <unistd.h>

#include <algorithm>
#include <string>
#include <utility>

#include "core/clock.h"

namespace kmsfs::kms {

namespace {

// Of the lines up to sequence `last`, those past sequence `known`: a call that two accounts hear of has two.
std::string_view after(std::string_view lines, std::uint64_t last, std::uint64_t known) {
  auto extra = static_cast<std::uint64_t>(std::ranges::count(lines, '\n'));
  for (; extra > last - known; --extra) lines.remove_prefix(lines.find('\n') + 1);
  return lines;
}

}  // namespace

Result<LastChange> last_change_of(const Transaction& transaction) {
  auto stored = transaction.get(Table::kMeta, as_bytes("last_change"));
  if (!stored) return std::move(stored).error();
  if (!*stored || (*stored)->size() < LastChange::kHeader) return LastChange();
  return LastChange{load_be64((*stored)->data()), static_cast<std::int64_t>(load_be64((*stored)->data() + 8)),
                    as_text((*stored)->subspan(LastChange::kHeader))};
}

Result<AuditTurn> take_audit_turn(Store& store, AuditLog& audit) {
  auto transaction = store.write();
  if (!transaction) return std::move(transaction).error();
  auto position = audit.position();
  if (!position) return std::move(position).error();
  auto changed = last_change_of(**transaction);
  if (!changed) return std::move(changed).error();
  if (changed->sequence > position->sequence) {
    KMSFS_TRY(audit.append(after(changed->lines, changed->sequence, position->sequence), changed->sequence));
    position = audit.position();
    if (!position) return std::move(position).error();
  }
  return AuditTurn{std::move(*transaction), *position, changed->sequence, changed->time_ms};
}

Result<void> record_unsealed(Store& store, AuditLog& audit, std::string_view event, std::string parameters) {
  auto turn = take_audit_turn(store, audit);
  if (!turn) return std::move(turn).error();
  auto region = turn->transaction->get(Table::kMeta, as_bytes("region"));
  if (!region) return std::move(region).error();
  const std::string region_name = *region ? std::string(as_text(**region)) : std::string();
  const auto now = std::chrono::duration_cast<std::chrono::milliseconds>(SystemClock().wall_time());
  AuditRecord record = record_of_owner(::geteuid(), event, std::move(parameters));
  record.time_ms = std::max(turn->last_change_ms, static_cast<std::int64_t>(now.count()));
  record.region = region_name;
  const AuditLines lines = audit_lines(record, turn->position);
  KMSFS_TRY(audit.append(lines.text, lines.last));
  return audit.sync();
}

}  // namespace kmsfs::kms
