// TagResource, UntagResource, ListResourceTags.
#include "kms/wire/codec.h"

namespace kmsfs::kms {

namespace {

constexpr Member kTagResource[] = {{"KeyId", &shape::kKeyId, kRequired}, {"Tags", &shape::kTags, kRequired}};
Result<Body> tag_resource(const CodecCall& call) {
  return nothing(
      call.service.tag_resource(call.from, {.key_id = call.in.text("KeyId"), .tags = call.in.tags("Tags")}));
}

constexpr Member kUntagResource[] = {{"KeyId", &shape::kKeyId, kRequired},
                                     {"TagKeys", &shape::kTagKeys, kRequired}};
Result<Body> untag_resource(const CodecCall& call) {
  return nothing(call.service.untag_resource(
      call.from, {.key_id = call.in.text("KeyId"), .tag_keys = call.in.texts("TagKeys")}));
}

constexpr Member kListResourceTags[] = {
    {"KeyId", &shape::kKeyId, kRequired}, {"Limit", &shape::kLimit}, {"Marker", &shape::kMarker}};
Result<Body> list_resource_tags(const CodecCall& call) {
  const Input& in = call.in;
  auto reply = call.service.list_resource_tags(
      call.from, {.key_id = in.text("KeyId"), .limit = in.integer("Limit"), .marker = in.text("Marker")});
  if (!reply) return std::move(reply).error();
  return std::move(Output().tags("Tags", reply->tags).page(reply->next_marker)).body();
}

constexpr Codec kCodecs[] = {
    {"TagResource", kTagResource, tag_resource},
    {"UntagResource", kUntagResource, untag_resource},
    {"ListResourceTags", kListResourceTags, list_resource_tags},
};

}  // namespace

std::span<const Codec> tag_codecs() { return kCodecs; }

}  // namespace kmsfs::kms
