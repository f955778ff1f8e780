// The end of keys: announced, called off, done in its time.
#include <utility>

#include "kms/perform.h"
#include "kms/service.h"

namespace kmsfs::kms {

namespace {

constexpr std::int64_t kLeastDays = 7, kMostDays = 30;
constexpr std::int64_t kDayMs = 86'400'000;

}  // namespace

Result<ScheduleKeyDeletionReply> Service::schedule_key_deletion(const Invocation& from,
                                                                const ScheduleKeyDeletionRequest& request) {
  const auto act = [&](Call& call, WriteTransaction& transaction) -> Result<ScheduleKeyDeletionReply> {
    const std::int64_t days = request.pending_window_in_days.value_or(kMostDays);
    KMSFS_TRY(check_number("pendingWindowInDays", days, kLeastDays, kMostDays));
    auto key = call.authorised_key(request.key_id, {.pending_window_days = days});
    if (!key) return std::move(key).error();
    KeyRecord record = (*key)->record;
    record.state = KeyState::kPendingDeletion;
    record.deletion_ms = engine_->now_ms() + days * kDayMs;
    KMSFS_TRY(write_key(transaction, record));
    std::string response;
    JsonWriter(response)
        .begin()
        .text("keyId", (*key)->facts.arn)
        .number("deletionDate", record.deletion_ms / 1000)
        .text("keyState", "PendingDeletion")
        .number("pendingWindowInDays", days)
        .end();
    call.record().response_elements = std::move(response);
    return ScheduleKeyDeletionReply{(*key)->facts.arn, record.deletion_ms, record.state, days};
  };
  return perform_change<ScheduleKeyDeletionReply>(*engine_, Operation::kScheduleKeyDeletion, from, request,
                                                  act);
}

Result<KeyIdReply> Service::cancel_key_deletion(const Invocation& from, const KeyRequest& request) {
  const auto act = [&](Call& call, WriteTransaction& transaction) -> Result<KeyIdReply> {
    auto key = call.authorised_key(request.key_id, {});
    if (!key) return std::move(key).error();
    KeyRecord record = (*key)->record;
    record.state = KeyState::kDisabled;
    record.deletion_ms = 0;
    KMSFS_TRY(write_key(transaction, record));
    return KeyIdReply{(*key)->facts.arn};
  };
  return perform_change<KeyIdReply>(*engine_, Operation::kCancelKeyDeletion, from, request, act);
}

Result<void> Service::run_due() {
  KMSFS_TRY(settle_all_due(*engine_));
  return engine_->remember_time();
}

}  // namespace kmsfs::kms
