// Tags of keys.
#include <algorithm>
#include <utility>

#include "kms/pages.h"
#include "kms/perform.h"
#include "kms/service.h"
#include "kms/tags.h"

namespace kmsfs::kms {

namespace {

constexpr std::size_t kMostTags = 50;  // of one key, as at AWS
constexpr std::size_t kLongestTagKey = 128, kLongestTagValue = 256;

Error tag_error(const char* text) { return answer(Kind::kInvalid, "TagException", text); }

std::string member(std::size_t index, const char* part) {
  return "tags." + std::to_string(index + 1) + ".member." + part;
}

Result<void> check_tag_key(const std::string& key) {
  constexpr std::string_view reserved = "aws:";
  if (equals_ignore_case(std::string_view(key).substr(0, reserved.size()), reserved)) {
    return tag_error("Tags beginning with aws: are reserved");
  }
  return {};
}

}  // namespace

Result<Tags> checked_tags(const std::vector<Tag>& tags, const Tags& there) {
  Tags checked, together = there;
  for (std::size_t i = 0; i < tags.size(); ++i) {
    KMSFS_TRY(check_length(member(i, "tagKey"), tags[i].key.size(), 1, kLongestTagKey));
    KMSFS_TRY(check_length(member(i, "tagValue"), tags[i].value.size(), 0, kLongestTagValue));
  }
  for (const Tag& tag : tags) {
    KMSFS_TRY(check_tag_key(tag.key));
    if (!checked.emplace(tag.key, tag.value).second) return tag_error("Duplicate tag keys");
    together[tag.key] = tag.value;
  }
  if (together.size() > kMostTags) return tag_error("Too many tags");
  return checked;
}

Result<Done> Service::tag_resource(const Invocation& from, const TagResourceRequest& request) {
  const auto act = [&](Call& call, WriteTransaction& transaction) -> Result<Done> {
    auto tags = checked_tags(request.tags, {});
    if (!tags) return std::move(tags).error();
    auto key = call.authorised_key(request.key_id, {.request_tags = &*tags});
    if (!key) return std::move(key).error();
    KMSFS_TRY(checked_tags(request.tags, (*key)->record.tags));
    KeyRecord record = (*key)->record;
    for (const auto& [name, value] : *tags) record.tags[name] = value;
    KMSFS_TRY(write_key(transaction, record));
    return Done{};
  };
  return perform_change<Done>(*engine_, Operation::kTagResource, from, request, act);
}

Result<Done> Service::untag_resource(const Invocation& from, const UntagResourceRequest& request) {
  const auto act = [&](Call& call, WriteTransaction& transaction) -> Result<Done> {
    for (const std::string& name : request.tag_keys) {
      KMSFS_TRY(check_length("tagKeys", name.size(), 1, kLongestTagKey));
      KMSFS_TRY(check_tag_key(name));
    }
    auto key = call.authorised_key(request.key_id, {.tag_keys = &request.tag_keys});
    if (!key) return std::move(key).error();
    KeyRecord record = (*key)->record;
    for (const std::string& name : request.tag_keys) record.tags.erase(name);
    KMSFS_TRY(write_key(transaction, record));
    return Done{};
  };
  return perform_change<Done>(*engine_, Operation::kUntagResource, from, request, act);
}

Result<ListResourceTagsReply> Service::list_resource_tags(const Invocation& from,
                                                          const KeyListRequest& request) {
  const auto act = [&](Call& call) -> Result<ListResourceTagsReply> {
    auto page = Page::make("tags/", request.limit, request.marker, {50, 50});
    if (!page) return std::move(page).error();
    auto key = call.authorised_key(request.key_id, {});
    if (!key) return std::move(key).error();
    ListResourceTagsReply reply;
    const auto name = [](const auto& tag) { return tag.first; };
    reply.next_marker = walk((*key)->record.tags, *page, name, [&](const auto& tag) {
      reply.tags.push_back({tag.first, tag.second});
    });
    return reply;
  };
  return perform_use<ListResourceTagsReply>(*engine_, Operation::kListResourceTags, from, request, act);
}

}  // namespace kmsfs::kms
