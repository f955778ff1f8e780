// Aliases: resources of their own, of which identity policies decide, and of the keys they lead to.
#include <utility>

#include "kms/pages.h"
#include "kms/perform.h"
#include "kms/service.h"

namespace kmsfs::kms {

namespace {

struct NamedAlias {
  std::string arn;
  AliasRecord record;
};

// Checks the name, decides on the alias itself and notes it.
Result<std::string> authorised_alias(Call& call, const std::string& name) {
  KMSFS_TRY(check_alias_name(name));
  std::string arn = alias_arn(call.engine().region(), call.caller().account, name);
  KMSFS_TRY(call.authorise_without_key(arn, {}));
  call.record().resources.push_back({call.caller().account, arn, "AWS::KMS::Alias"});
  return arn;
}

// The same, of one that must be there.
Result<NamedAlias> authorised_existing_alias(Call& call, const std::string& name) {
  auto arn = authorised_alias(call, name);
  if (!arn) return std::move(arn).error();
  auto stored = call.transaction().get(Table::kAliases, as_bytes(call.caller().account + "/" + name));
  if (!stored) return internal_failure(std::move(stored).error());
  if (!*stored) return key_not_found("Alias " + *arn + " is not found.");
  auto record = parse_alias_record(**stored);
  if (!record) return std::move(record).error();
  return NamedAlias{std::move(*arn), std::move(*record)};
}

Result<void> check_target(const std::string& target) {
  if (target.starts_with("alias/") || target.find(":alias/") != std::string::npos) {
    return validation("Aliases must refer to keys. Not aliases");
  }
  return {};
}

ListAliasesReply::Alias entry_of(const Call& call, std::string_view name, const AliasRecord& record) {
  return {std::string(name), alias_arn(call.region(), call.caller().account, name), uuid_of(record.target),
          record.created_ms, record.updated_ms};
}

Result<ListAliasesReply> aliases_of_key(Call& call, const ListRequest& request) {
  auto key = call.resolve_own(request.key_id);
  if (!key) return std::move(key).error();
  auto page =
      Page::make("aliases/" + uuid_of((*key)->record.id) + "/", request.limit, request.marker, {50, 100});
  if (!page) return std::move(page).error();
  ListAliasesReply reply;
  Result<void> failed;
  const auto name = [](const std::string& alias) { return alias; };
  reply.next_marker = walk((*key)->record.aliases, *page, name, [&](const std::string& alias) {
    auto stored = call.transaction().get(Table::kAliases, as_bytes(call.caller().account + "/" + alias));
    auto record = stored && *stored ? parse_alias_record(**stored)
                                    : Result<AliasRecord>(key_not_found("the key store lacks " + alias));
    if (!record) {
      failed = internal_failure(std::move(record).error());
      return;
    }
    reply.aliases.push_back(entry_of(call, alias, *record));
  });
  if (!failed) return std::move(failed).error();
  return reply;
}

}  // namespace

Result<Done> Service::create_alias(const Invocation& from, const CreateAliasRequest& request) {
  const auto act = [&](Call& call, WriteTransaction& transaction) -> Result<Done> {
    KMSFS_TRY(check_alias_name(request.alias_name));
    KMSFS_TRY(check_target(request.target_key_id));
    KMSFS_TRY(authorised_alias(call, request.alias_name));
    auto key = call.authorised_key(request.target_key_id, {});
    if (!key) return std::move(key).error();
    KMSFS_TRY(add_alias(*engine_, transaction, **key, request.alias_name));
    return Done{};
  };
  return perform_change<Done>(*engine_, Operation::kCreateAlias, from, request, act);
}

Result<Done> Service::update_alias(const Invocation& from, const CreateAliasRequest& request) {
  const auto act = [&](Call& call, WriteTransaction& transaction) -> Result<Done> {
    KMSFS_TRY(check_alias_name(request.alias_name));
    KMSFS_TRY(check_target(request.target_key_id));
    auto alias = authorised_existing_alias(call, request.alias_name);
    if (!alias) return std::move(alias).error();
    auto old_key = call.authorised_key(uuid_of(alias->record.target), {.in_any_state = true});
    if (!old_key) return std::move(old_key).error();
    auto new_key = call.authorised_key(request.target_key_id, {});
    if (!new_key) return std::move(new_key).error();
    const std::int64_t created = alias->record.created_ms;
    KMSFS_TRY(remove_alias(transaction, **old_key, request.alias_name));
    // Read again: it may be the same key.
    auto target = engine_->key(transaction, (*new_key)->record.id);
    if (!target) return std::move(target).error();
    KMSFS_TRY(add_alias(*engine_, transaction, **target, request.alias_name, created));
    return Done{};
  };
  return perform_change<Done>(*engine_, Operation::kUpdateAlias, from, request, act);
}

Result<Done> Service::delete_alias(const Invocation& from, const DeleteAliasRequest& request) {
  const auto act = [&](Call& call, WriteTransaction& transaction) -> Result<Done> {
    auto alias = authorised_existing_alias(call, request.alias_name);
    if (!alias) return std::move(alias).error();
    auto key = call.authorised_key(uuid_of(alias->record.target), {});
    if (!key) return std::move(key).error();
    KMSFS_TRY(remove_alias(transaction, **key, request.alias_name));
    return Done{};
  };
  return perform_change<Done>(*engine_, Operation::kDeleteAlias, from, request, act);
}

Result<ListAliasesReply> Service::list_aliases(const Invocation& from, const ListRequest& request) {
  const auto act = [&](Call& call) -> Result<ListAliasesReply> {
    KMSFS_TRY(call.authorise_without_key("*", {}));
    KMSFS_TRY(call.check_nothing_due());
    if (!request.key_id.empty()) return aliases_of_key(call, request);
    auto page = Page::make("aliases/", request.limit, request.marker, {50, 100});
    if (!page) return std::move(page).error();
    ListAliasesReply reply;
    const auto take = [&](std::string_view name, ByteView value) -> Result<bool> {
      auto record = parse_alias_record(value);
      if (!record) return std::move(record).error();
      reply.aliases.push_back(entry_of(call, name, *record));
      return true;
    };
    auto next = walk(call.transaction(), Table::kAliases, call.caller().account + "/", *page, take);
    if (!next) return std::move(next).error();
    reply.next_marker = std::move(*next);
    return reply;
  };
  return perform_use<ListAliasesReply>(*engine_, Operation::kListAliases, from, request, act);
}

}  // namespace kmsfs::kms
