// The one way of every operation: identify the caller, let the operation act, record, answer.
//
// A key that is due for deletion or rotation is settled first, and the call begins anew. Private to the
// service. `act(Call&)` resolves and authorises through the Call; operations of the table that change the
// store take `act(Call&, WriteTransaction&)`.
#pragma once

#include <optional>
#include <utility>

#include "kms/call.h"
#include "kms/errors.h"
#include "kms/keys.h"
#include "kms/request_parameters.h"

namespace kmsfs::kms {

inline constexpr int kDecisionLimit =
    64;  // each round is one change of the store by somebody else in between

inline Error changes_too_fast() {
  return answer(Kind::kUnavailable, "KMSInternalException", "the key store changes too fast to decide");
}

template <typename RequestType>
AuditRecord begin_record(const Engine& engine, const OperationFacts& facts, const Invocation& from,
                         const RequestType& request) {
  AuditRecord record;
  record.time_ms = engine.now_ms();
  record.event = facts.name;
  record.region = engine.region();
  record.source_ip = from.source_ip;
  record.user_agent = from.user_agent;
  record.request_id = from.request_id;
  record.request_parameters = request_parameters(request);
  record.read_only = !facts.changes;
  return record;
}

template <typename Reply, typename RequestType, typename Act>
Result<Reply> perform_use(Engine& engine, const OperationFacts& facts, const Invocation& from,
                          const RequestType& request, const Act& act) {
  for (int round = 0; round < kDecisionLimit; ++round) {
    auto transaction = engine.read();
    if (!transaction) return internal_failure(std::move(transaction).error());
    auto last_change = engine.last_change(**transaction);
    if (!last_change) return std::move(last_change).error();
    AuditRecord record = begin_record(engine, facts, from, request);
    Call call(engine, facts, from, **transaction, record);
    auto identified = call.identify();
    Result<Reply> reply = identified ? act(call) : Result<Reply>(std::move(identified).error());
    if (call.due()) {
      const KeyId due = *call.due();
      transaction->reset();
      KMSFS_TRY(settle_due(engine, due));
      continue;
    }
    if (!reply) tell_error(record, reply.error());
    auto recorded = engine.record_use(record, *last_change);
    if (!recorded) return std::move(recorded).error();
    if (*recorded) return reply;
  }
  return changes_too_fast();
}

template <typename Reply, typename RequestType, typename Act>
Result<Reply> perform_use(Engine& engine, Operation operation, const Invocation& from,
                          const RequestType& request, const Act& act) {
  return perform_use<Reply>(engine, facts_of(operation), from, request, act);
}

template <typename Reply, typename RequestType, typename Act>
Result<Reply> perform_change(Engine& engine, Operation operation, const Invocation& from,
                             const RequestType& request, const Act& act) {
  const OperationFacts& facts = facts_of(operation);
  for (int round = 0; round < kDecisionLimit; ++round) {
    AuditRecord record = begin_record(engine, facts, from, request);
    std::optional<Reply> reply;
    std::optional<KeyId> due;
    auto changed =
        engine.change(record, [&](WriteTransaction& transaction, AuditRecord& open_record) -> Result<void> {
          Call call(engine, facts, from, transaction, open_record);
          KMSFS_TRY(call.identify());
          Result<Reply> acted = act(call, transaction);
          due = call.due();
          if (!acted) return std::move(acted).error();
          reply = std::move(*acted);
          return {};
        });
    if (changed) return std::move(*reply);
    if (!due) return std::move(changed).error();
    KMSFS_TRY(settle_due(engine, *due));
  }
  return changes_too_fast();
}

}  // namespace kmsfs::kms
