// ListKeys and ListAliases: pages over what an account has.
#include <utility>

#include "kms/perform.h"
#include "kms/service.h"

namespace kmsfs::kms {

namespace {

// A marker is the last name of the page before, in base64url: opaque to callers, checked when it comes back.
struct Page {
  std::size_t limit = 0;
  std::string prefix;  // ACCOUNT/
  std::string after;   // whole key in the table; empty: from the start
};

Result<Page> page_of(const Call& call, const ListRequest& request, std::int64_t usual, std::int64_t most) {
  Page page;
  page.prefix = call.caller().account + "/";
  const std::int64_t limit = request.limit.value_or(usual);
  if (limit < 1 || limit > most) {
    return validation("1 validation error detected: Value '" + std::to_string(limit) +
                      "' at 'limit' failed to satisfy constraint: Member must be between 1 and " +
                      std::to_string(most));
  }
  page.limit = static_cast<std::size_t>(limit);
  if (!request.marker.empty()) {
    auto name = from_base64url(request.marker);
    if (!name || name->empty() || name->size() > 256) {
      return answer(Kind::kInvalid, "InvalidMarkerException", "the marker is not one of ours");
    }
    page.after = page.prefix + std::string(as_text(*name));
  }
  return page;
}

// Calls `take(name, value)` for the entries of the page; it says whether the entry counts. Gives the next
// marker.
template <typename Take>
Result<std::string> walk(const Call& call, Table table, const Page& page, const Take& take) {
  std::size_t taken = 0;
  std::string last, next;
  Result<void> failed;
  auto scanned =
      call.transaction().scan(table, page.prefix, page.after, [&](std::string_view key, ByteView value) {
        const std::string_view name = key.substr(page.prefix.size());
        if (taken == page.limit) {
          next = to_base64url(as_bytes(last));
          return false;
        }
        Result<bool> counted = take(name, value);
        if (!counted) {
          failed = std::move(counted).error();
          return false;
        }
        if (*counted) ++taken;
        last = name;
        return true;
      });
  if (!scanned) return internal_failure(std::move(scanned).error());
  if (!failed) return std::move(failed).error();
  return next;
}

}  // namespace

Result<ListKeysReply> Service::list_keys(const Invocation& from, const ListRequest& request) {
  const auto act = [&](Call& call) -> Result<ListKeysReply> {
    auto page = page_of(call, request, 100, 1000);
    if (!page) return std::move(page).error();
    KMSFS_TRY(call.authorise_without_key("*"));
    ListKeysReply reply;
    auto next = walk(call, Table::kAccountKeys, *page, [&](std::string_view uuid, ByteView) -> Result<bool> {
      const auto id = parse_key_id(uuid);
      if (!id)
        return answer(Kind::kUnavailable, "KMSInternalException", "the key store holds a damaged index");
      reply.keys.push_back({std::string(uuid), key_arn(call.engine().region(), call.caller().account, *id)});
      return true;
    });
    if (!next) return std::move(next).error();
    reply.next_marker = std::move(*next);
    return reply;
  };
  return perform_use<ListKeysReply>(*engine_, Operation::kListKeys, from, request, act);
}

Result<ListAliasesReply> Service::list_aliases(const Invocation& from, const ListRequest& request) {
  const auto act = [&](Call& call) -> Result<ListAliasesReply> {
    auto page = page_of(call, request, 50, 100);
    if (!page) return std::move(page).error();
    KMSFS_TRY(call.authorise_without_key("*"));
    std::optional<KeyId> only;
    if (!request.key_id.empty()) {
      auto key = call.resolve(request.key_id);
      if (!key) return std::move(key).error();
      only = (*key)->record.id;
    }
    ListAliasesReply reply;
    auto next =
        walk(call, Table::kAliases, *page, [&](std::string_view name, ByteView value) -> Result<bool> {
          auto alias = parse_alias_record(value);
          if (!alias) return std::move(alias).error();
          if (only && alias->target != *only) return false;
          reply.aliases.push_back({std::string(name),
                                   alias_arn(call.engine().region(), call.caller().account, name),
                                   uuid_of(alias->target), alias->created_ms, alias->created_ms});
          return true;
        });
    if (!next) return std::move(next).error();
    reply.next_marker = std::move(*next);
    return reply;
  };
  return perform_use<ListAliasesReply>(*engine_, Operation::kListAliases, from, request, act);
}

}  // namespace kmsfs::kms
