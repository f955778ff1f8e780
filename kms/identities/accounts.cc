// Accounts, and which uid of the host acts as whom.
#include <charconv>
#include <utility>
#include <vector>

#include "kms/identities/administration_door.h"
#include "kms/identities/identity_errors.h"
#include "kms/identities/principals.h"
#include "kms/names.h"

namespace kmsfs::kms {

namespace {

constexpr std::int64_t kLargestUid = 0xffff'fffe;  // (uid_t)-1 means nobody at all

Json account_json(const std::string& account, const AccountRecord& record) {
  return {{"AccountId", account}, {"Arn", root_arn(account)}, {"CreateDate", iso_date(record.created_ms)}};
}

Json uid_json(std::string_view uid, std::string_view arn) {
  std::int64_t number = 0;
  std::from_chars(uid.data(), uid.data() + uid.size(), number);
  return {{"Uid", number}, {"Arn", arn}};
}

Result<std::string> taken_uid(AdminCall& call) {
  const auto uid = call.in.number_if_given("Uid");
  KMSFS_TRY(call.in.complete());
  if (!uid || *uid < 0 || *uid > kLargestUid) return validation_error("Uid is a user id of this host");
  return std::to_string(*uid);
}

// Of UserName, or of the account's root where Root is true.
Result<std::string> named_principal(const AdminCall& call, const std::string& user, bool root) {
  auto account = call.account();
  if (!account) return account;
  if (root == !user.empty()) return validation_error("say either UserName or Root: true");
  if (root) return root_arn(*account);
  auto principal = call.principal(user);
  if (!principal) return std::move(principal).error();
  return arn_of((*principal)->record);
}

}  // namespace

Result<Json> create_account(AdminCall& call) {
  KMSFS_TRY(call.in.complete());
  auto account = add_account(call.engine, *call.writer, call.account_wish);
  if (!account) return std::move(account).error();
  call.touches(*account, root_arn(*account), "AWS::Account");
  auto record = require_account(call.transaction, *account);
  if (!record) return std::move(record).error();
  return Json{{"Account", account_json(*account, *record)}};
}

Result<Json> list_accounts(AdminCall& call) {
  const Page page = call.in.page();
  KMSFS_TRY(call.in.complete());
  ListReply list("Accounts", page);
  Result<void> parsed;
  KMSFS_TRY(
      call.transaction.scan(Table::kAccounts, "", page.after, [&](std::string_view account, ByteView stored) {
        auto record = parse_account_record(stored);
        if (!record) parsed = std::move(record).error();
        return parsed && list.add(account, [&] { return account_json(std::string(account), *record); });
      }));
  KMSFS_TRY(std::move(parsed));
  return std::move(list).finish();
}

Result<Json> map_uid(AdminCall& call) {
  const std::string user = call.in.text_or("UserName", "");
  const bool root = call.in.flag_if_given("Root").value_or(false);
  auto uid = taken_uid(call);
  if (!uid) return std::move(uid).error();
  auto arn = named_principal(call, user, root);
  if (!arn) return std::move(arn).error();
  auto there = call.transaction.get(Table::kUids, as_bytes(*uid));
  if (!there) return internal_failure(std::move(there).error());
  if (*there) {
    return answer(Kind::kExists, "EntityAlreadyExists",
                  "The uid " + *uid + " is " + std::string(as_text(**there)) + " already; unmap it first.");
  }
  KMSFS_TRY(call.writer->put(Table::kUids, as_bytes(*uid), as_bytes(*arn)));
  call.touches(arn->substr(13, 12), *arn, root ? "AWS::Account" : "AWS::IAM::User");
  return Json{{"UidMapping", uid_json(*uid, *arn)}};
}

Result<Json> unmap_uid(AdminCall& call) {
  auto uid = taken_uid(call);
  if (!uid) return std::move(uid).error();
  auto there = call.transaction.get(Table::kUids, as_bytes(*uid));
  if (!there) return internal_failure(std::move(there).error());
  if (!*there) return answer(Kind::kNotFound, "NoSuchEntity", "The uid " + *uid + " is mapped to nobody.");
  KMSFS_TRY(call.writer->erase(Table::kUids, as_bytes(*uid)));
  return Json::object();
}

Result<Json> list_uids(AdminCall& call) {
  const Page page = call.in.page();
  KMSFS_TRY(call.in.complete());
  ListReply list("UidMappings", page);
  KMSFS_TRY(call.transaction.scan(Table::kUids, "", page.after, [&](std::string_view uid, ByteView stored) {
    return list.add(uid, [&] { return uid_json(uid, as_text(stored)); });
  }));
  return std::move(list).finish();
}

Result<void> forget_uids_of(AdminCall& call, const std::string& arn) {
  std::vector<std::string> uids;
  KMSFS_TRY(call.transaction.scan(Table::kUids, "", "", [&](std::string_view uid, ByteView stored) {
    if (as_text(stored) == arn) uids.emplace_back(uid);
    return true;
  }));
  for (const std::string& uid : uids) KMSFS_TRY(call.writer->erase(Table::kUids, as_bytes(uid)));
  return {};
}

}  // namespace kmsfs::kms
