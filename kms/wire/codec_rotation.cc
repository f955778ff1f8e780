// EnableKeyRotation, DisableKeyRotation, GetKeyRotationStatus, RotateKeyOnDemand, ListKeyRotations.
#include "kms/wire/codec.h"

namespace kmsfs::kms {

namespace {

constexpr Member kKeyIdOnly[] = {{"KeyId", &shape::kKeyId, kRequired}};

constexpr Member kEnableKeyRotation[] = {{"KeyId", &shape::kKeyId, kRequired},
                                         {"RotationPeriodInDays", &shape::kRotationPeriodInDays}};
Result<Body> enable_key_rotation(const CodecCall& call) {
  return nothing(call.service.enable_key_rotation(
      call.from,
      {.key_id = call.in.text("KeyId"), .rotation_period_in_days = call.in.integer("RotationPeriodInDays")}));
}
Result<Body> disable_key_rotation(const CodecCall& call) {
  return nothing(call.service.disable_key_rotation(call.from, {.key_id = call.in.text("KeyId")}));
}

Result<Body> get_key_rotation_status(const CodecCall& call) {
  auto reply = call.service.get_key_rotation_status(call.from, {.key_id = call.in.text("KeyId")});
  if (!reply) return std::move(reply).error();
  Output out;
  out.flag("KeyRotationEnabled", reply->enabled).text("KeyId", reply->key_id);
  if (reply->rotation_period_in_days) out.number("RotationPeriodInDays", *reply->rotation_period_in_days);
  if (reply->next_rotation_ms) out.time("NextRotationDate", *reply->next_rotation_ms);
  if (reply->on_demand_rotation_start_ms) {
    out.time("OnDemandRotationStartDate", *reply->on_demand_rotation_start_ms);
  }
  return std::move(out).body();
}

Result<Body> rotate_key_on_demand(const CodecCall& call) {
  auto reply = call.service.rotate_key_on_demand(call.from, {.key_id = call.in.text("KeyId")});
  if (!reply) return std::move(reply).error();
  return std::move(Output().text("KeyId", reply->key_id)).body();
}

constexpr Member kListKeyRotations[] = {{"KeyId", &shape::kKeyId, kRequired},
                                        {"IncludeKeyMaterial", &shape::kIncludeKeyMaterial},
                                        {"Limit", &shape::kLimit},
                                        {"Marker", &shape::kMarker}};
Result<Body> list_key_rotations(const CodecCall& call) {
  const Input& in = call.in;
  auto reply =
      call.service.list_key_rotations(call.from, {.key_id = in.text("KeyId"),
                                                  .limit = in.integer("Limit"),
                                                  .marker = in.text("Marker"),
                                                  .include_key_material = in.text("IncludeKeyMaterial")});
  if (!reply) return std::move(reply).error();
  Output out;
  JsonWriter& json = out.json().begin_list("Rotations");
  for (const auto& rotation : reply->rotations) {
    json.begin().text("KeyId", rotation.key_id).text("KeyMaterialId", rotation.key_material_id);
    json.text("KeyMaterialState", rotation.key_material_state);
    if (rotation.rotation_ms != 0) json.json("RotationDate", epoch_seconds(rotation.rotation_ms));
    if (!rotation.rotation_type.empty()) json.text("RotationType", rotation.rotation_type);
    json.end();
  }
  json.end_list();
  return std::move(out.page(reply->next_marker)).body();
}

constexpr Codec kCodecs[] = {
    {"EnableKeyRotation", kEnableKeyRotation, enable_key_rotation},
    {"DisableKeyRotation", kKeyIdOnly, disable_key_rotation},
    {"GetKeyRotationStatus", kKeyIdOnly, get_key_rotation_status},
    {"RotateKeyOnDemand", kKeyIdOnly, rotate_key_on_demand},
    {"ListKeyRotations", kListKeyRotations, list_key_rotations},
};

}  // namespace

std::span<const Codec> rotation_codecs() { return kCodecs; }

}  // namespace kmsfs::kms
