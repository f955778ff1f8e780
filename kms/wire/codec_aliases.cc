// CreateAlias, UpdateAlias, DeleteAlias, ListAliases.
#include "kms/wire/codec.h"

namespace kmsfs::kms {

namespace {

constexpr Member kAliasAndTarget[] = {{"AliasName", &shape::kAliasName, kRequired},
                                      {"TargetKeyId", &shape::kKeyId, kRequired}};
CreateAliasRequest alias_and_target(const CodecCall& call) {
  return {.alias_name = call.in.text("AliasName"), .target_key_id = call.in.text("TargetKeyId")};
}
Result<Body> create_alias(const CodecCall& call) {
  return nothing(call.service.create_alias(call.from, alias_and_target(call)));
}
Result<Body> update_alias(const CodecCall& call) {
  return nothing(call.service.update_alias(call.from, alias_and_target(call)));
}

constexpr Member kDeleteAlias[] = {{"AliasName", &shape::kAliasName, kRequired}};
Result<Body> delete_alias(const CodecCall& call) {
  return nothing(call.service.delete_alias(call.from, {.alias_name = call.in.text("AliasName")}));
}

constexpr Member kListAliases[] = {
    {"KeyId", &shape::kKeyId}, {"Limit", &shape::kLimit}, {"Marker", &shape::kMarker}};
Result<Body> list_aliases(const CodecCall& call) {
  const Input& in = call.in;
  auto reply = call.service.list_aliases(
      call.from, {.limit = in.integer("Limit"), .marker = in.text("Marker"), .key_id = in.text("KeyId")});
  if (!reply) return std::move(reply).error();
  Output out;
  JsonWriter& json = out.json().begin_list("Aliases");
  for (const auto& alias : reply->aliases) {
    json.begin().text("AliasName", alias.name).text("AliasArn", alias.arn);
    json.text("TargetKeyId", alias.target_key_id);
    json.json("CreationDate", epoch_seconds(alias.created_ms));
    json.json("LastUpdatedDate", epoch_seconds(alias.updated_ms)).end();
  }
  json.end_list();
  return std::move(out.page(reply->next_marker)).body();
}

constexpr Codec kCodecs[] = {
    {"CreateAlias", kAliasAndTarget, create_alias},
    {"UpdateAlias", kAliasAndTarget, update_alias},
    {"DeleteAlias", kDeleteAlias, delete_alias},
    {"ListAliases", kListAliases, list_aliases},
};

}  // namespace

std::span<const Codec> alias_codecs() { return kCodecs; }

}  // namespace kmsfs::kms
