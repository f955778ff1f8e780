// Rotation: new material for what is encrypted from now on, while all older material still opens what it
// made.
#include <algorithm>
#include <cstdio>
#include <utility>

#include "kms/pages.h"
#include "kms/perform.h"
#include "kms/service.h"

namespace kmsfs::kms {

namespace {

constexpr std::int64_t kDayMs = 86'400'000;
constexpr std::int64_t kLeastDays = 90, kMostDays = 2560, kUsualDays = 365;
constexpr std::int64_t kMostOnDemand = 25;           // rotations of one key, as at AWS
constexpr std::int64_t kTooSoonMs = 20 * 60 * 1000;  // before an automatic rotation

const char* type_of(MaterialOrigin origin) {
  switch (origin) {
    case MaterialOrigin::kFirst:
      return "";
    case MaterialOrigin::kAutomatic:
      return "AUTOMATIC";
    case MaterialOrigin::kOnDemand:
      return "ON_DEMAND";
  }
  return "";
}

// Sorts as the numbers do.
std::string position_text(std::size_t index) {
  std::array<char, 24> text{};
  std::snprintf(text.data(), text.size(), "%08zu", index);
  return text.data();
}

}  // namespace

Result<Done> Service::enable_key_rotation(const Invocation& from, const EnableKeyRotationRequest& request) {
  const auto act = [&](Call& call, WriteTransaction& transaction) -> Result<Done> {
    const std::int64_t days = request.rotation_period_in_days.value_or(kUsualDays);
    KMSFS_TRY(check_number("rotationPeriodInDays", days, kLeastDays, kMostDays));
    auto key = call.authorised_key(request.key_id, {.rotation_period_days = days});
    if (!key) return std::move(key).error();
    KeyRecord record = (*key)->record;
    if (!record.rotation.enabled || record.rotation.period_days != days) {
      record.rotation = {true, days, engine_->now_ms() + days * kDayMs};
    }
    KMSFS_TRY(write_key(transaction, record));
    return Done{};
  };
  return perform_change<Done>(*engine_, Operation::kEnableKeyRotation, from, request, act);
}

Result<Done> Service::disable_key_rotation(const Invocation& from, const KeyRequest& request) {
  const auto act = [&](Call& call, WriteTransaction& transaction) -> Result<Done> {
    auto key = call.authorised_key(request.key_id, {});
    if (!key) return std::move(key).error();
    KeyRecord record = (*key)->record;
    record.rotation = {};
    KMSFS_TRY(write_key(transaction, record));
    return Done{};
  };
  return perform_change<Done>(*engine_, Operation::kDisableKeyRotation, from, request, act);
}

Result<KeyRotationStatusReply> Service::get_key_rotation_status(const Invocation& from,
                                                                const KeyRequest& request) {
  const auto act = [&](Call& call) -> Result<KeyRotationStatusReply> {
    auto key = call.authorised_key(request.key_id, {});
    if (!key) return std::move(key).error();
    const KeyRecord& record = (*key)->record;
    KeyRotationStatusReply reply;
    reply.key_id = uuid_of(record.id);
    reply.enabled = record.rotation.enabled && record.state != KeyState::kPendingDeletion;
    if (reply.enabled) {
      reply.rotation_period_in_days = record.rotation.period_days;
      reply.next_rotation_ms = record.rotation.next_ms;
    }
    return reply;
  };
  return perform_use<KeyRotationStatusReply>(*engine_, Operation::kGetKeyRotationStatus, from, request, act);
}

Result<KeyIdReply> Service::rotate_key_on_demand(const Invocation& from, const KeyRequest& request) {
  const auto act = [&](Call& call, WriteTransaction& transaction) -> Result<KeyIdReply> {
    auto key = call.authorised_key(request.key_id, {});
    if (!key) return std::move(key).error();
    KeyRecord record = (*key)->record;
    const auto so_far =
        std::ranges::count(record.materials, MaterialOrigin::kOnDemand, &MaterialVersion::origin);
    if (so_far >= kMostOnDemand) {
      return limit_exceeded("The key " + (*key)->facts.arn + " was rotated on demand 25 times already");
    }
    if (record.rotation.enabled && record.rotation.next_ms - engine_->now_ms() < kTooSoonMs) {
      return answer(Kind::kInvalid, "ConflictException",
                    "The key " + (*key)->facts.arn + " is to be rotated automatically within 20 minutes");
    }
    KMSFS_TRY(rotate(*engine_, transaction, record, MaterialOrigin::kOnDemand));
    KMSFS_TRY(write_key(transaction, record));
    return KeyIdReply{uuid_of(record.id)};
  };
  return perform_change<KeyIdReply>(*engine_, Operation::kRotateKeyOnDemand, from, request, act);
}

Result<ListKeyRotationsReply> Service::list_key_rotations(const Invocation& from,
                                                          const KeyListRequest& request) {
  const auto act = [&](Call& call) -> Result<ListKeyRotationsReply> {
    const std::string& include = request.include_key_material;
    if (!include.empty() && include != "ALL_KEY_MATERIAL" && include != "ROTATIONS_ONLY") {
      return constraint("includeKeyMaterial", "satisfy enum value set: [ALL_KEY_MATERIAL, ROTATIONS_ONLY]",
                        include);
    }
    auto page = Page::make("rotations/", request.limit, request.marker, {100, 1000});
    if (!page) return std::move(page).error();
    auto key = call.authorised_key(request.key_id, {});
    if (!key) return std::move(key).error();
    const LoadedKey& loaded = **key;
    std::vector<std::size_t> listed;
    for (std::size_t i = include == "ALL_KEY_MATERIAL" ? 0 : 1; i < loaded.record.materials.size(); ++i) {
      listed.push_back(i);
    }
    ListKeyRotationsReply reply;
    reply.next_marker = walk(listed, *page, position_text, [&](std::size_t i) {
      const MaterialVersion& material = loaded.record.materials[i];
      const bool current = i + 1 == loaded.record.materials.size();
      reply.rotations.push_back(
          {uuid_of(loaded.record.id), loaded.material_ids[i], current ? "CURRENT" : "NON_CURRENT",
           material.origin == MaterialOrigin::kFirst ? 0 : material.since_ms, type_of(material.origin)});
    });
    return reply;
  };
  return perform_use<ListKeyRotationsReply>(*engine_, Operation::kListKeyRotations, from, request, act);
}

}  // namespace kmsfs::kms
