#include "kms/identities/administration_door.h"

#include <utility>

#include "kms/identities/identity_errors.h"
#include "kms/identities/principals.h"

namespace kmsfs::kms {

namespace {

constexpr std::int64_t kMostItems = 1000;

}  // namespace

const Json* Parameters::find(const char* name) {
  taken_.insert(name);
  const auto found = json_.find(name);
  return found == json_.end() ? nullptr : &*found;
}

void Parameters::complain(const std::string& text) {
  if (!error_) error_ = validation_error(text);
}

std::string Parameters::text(const char* name) {
  auto given = text_if_given(name);
  if (!given || given->empty()) complain(std::string(name) + " is missing");
  return given.value_or("");
}

std::string Parameters::text_or(const char* name, std::string_view otherwise) {
  auto given = text_if_given(name);
  if (given && given->empty()) complain(std::string(name) + " is empty");
  return given ? *given : std::string(otherwise);
}

std::optional<std::string> Parameters::text_if_given(const char* name) {
  const Json* json = find(name);
  if (json == nullptr) return {};
  if (!json->is_string()) {
    complain(std::string(name) + " is not a string");
    return {};
  }
  return json->get<std::string>();
}

std::optional<std::int64_t> Parameters::number_if_given(const char* name) {
  const Json* json = find(name);
  if (json == nullptr) return {};
  const bool fits = json->is_number_integer() &&
                    (!json->is_number_unsigned() || json->get<std::uint64_t>() <= std::uint64_t{INT64_MAX});
  if (fits) return json->get<std::int64_t>();
  complain(std::string(name) + " is not an integer");
  return {};
}

std::optional<bool> Parameters::flag_if_given(const char* name) {
  const Json* json = find(name);
  if (json == nullptr) return {};
  if (json->is_boolean()) return json->get<bool>();
  complain(std::string(name) + " is not a boolean");
  return {};
}

std::string Parameters::document_or_none(const char* name) {
  const Json* json = find(name);
  if (json == nullptr) return {};
  if (json->is_object()) return json->dump();
  return text(name);
}

std::string Parameters::document(const char* name) {
  const Json* json = find(name);
  if (json == nullptr) complain(std::string(name) + " is missing");
  return document_or_none(name);
}

const Json* Parameters::object_if_given(const char* name) {
  const Json* json = find(name);
  if (json != nullptr && !json->is_object()) complain(std::string(name) + " is not an object");
  return json != nullptr && json->is_object() ? json : nullptr;
}

std::vector<std::string> Parameters::texts(const char* name) {
  std::vector<std::string> out;
  const Json* json = find(name);
  if (json == nullptr) return out;
  if (!json->is_array()) complain(std::string(name) + " is not a list");
  for (const Json& one : *json) {
    if (!one.is_string()) {
      complain(std::string(name) + " has a member that is not a string");
      break;
    }
    out.push_back(one.get<std::string>());
  }
  return out;
}

std::optional<Tags> Parameters::tags_if_given(const char* name) {
  const Json* json = find(name);
  if (json == nullptr) return {};
  Tags tags;
  if (!json->is_array()) complain(std::string(name) + " is not a list");
  for (const Json& tag : *json) {
    const bool well_formed = tag.is_object() && tag.size() == 2 && tag.contains("Key") &&
                             tag["Key"].is_string() && tag.contains("Value") && tag["Value"].is_string();
    if (!well_formed) {
      complain(std::string(name) + " has a member that is not {\"Key\": …, \"Value\": …}");
      break;
    }
    if (!tags.emplace(tag["Key"].get<std::string>(), tag["Value"].get<std::string>()).second) {
      complain("the tag " + tag["Key"].get<std::string>() + " is given twice");
    }
  }
  return tags;
}

Page Parameters::page() {
  Page page;
  const auto most = number_if_given("MaxItems").value_or(static_cast<std::int64_t>(page.most));
  if (most < 1 || most > kMostItems) complain("MaxItems is 1 to " + std::to_string(kMostItems));
  page.most = static_cast<std::size_t>(most);
  const std::string marker = text_or("Marker", "");
  auto decoded = from_base64url(marker);
  if (decoded) page.after = as_text(*decoded);
  if (!decoded || page.after.size() > 256) complain("Marker is none that this KMS gave");
  return page;
}

Result<void> Parameters::complete() const {
  if (error_) return *error_;
  for (const auto& [name, value] : json_.items()) {
    if (!taken_.contains(name)) return validation_error("this operation has no parameter " + name);
  }
  return {};
}

Json ListReply::finish() && {
  Json reply = Json::object();
  reply[name_] = std::move(items_);
  reply["IsTruncated"] = truncated_;
  if (truncated_) reply["Marker"] = to_base64url(as_bytes(last_));
  return reply;
}

Result<std::string> AdminCall::account() const {
  if (account_wish) {
    if (auto known = require_account(transaction, *account_wish); !known) return std::move(known).error();
    return *account_wish;
  }
  std::vector<std::string> accounts;
  KMSFS_TRY(transaction.scan(Table::kAccounts, "", "", [&](std::string_view account, ByteView) {
    accounts.emplace_back(account);
    return accounts.size() < 2;
  }));
  if (accounts.size() == 1) return accounts.front();
  return validation_error(accounts.empty() ? "there is no account yet"
                                           : "there are several accounts: say which by AccountId");
}

Result<std::shared_ptr<const LoadedPrincipal>> AdminCall::principal(const std::string& name) const {
  auto in_account = account();
  if (!in_account) return std::move(in_account).error();
  return require_principal(engine, transaction, kind, *in_account, name);
}

void AdminCall::touches(const std::string& account, const std::string& arn, const char* cloud_type) {
  record.resources.push_back({account, arn, cloud_type});
}

Result<void> AdminCall::write(const PrincipalRecord& changed) {
  touches(changed.account, arn_of(changed), facts_of(changed.kind).cloud_type);
  return write_principal(*writer, changed);
}

std::string iso_date(std::int64_t milliseconds) {
  std::string text = iso_time(milliseconds);
  text.pop_back();  // the Z
  return text + "+00:00";
}

Json document_json(const std::string& document) { return Json::parse(document, nullptr, false); }

}  // namespace kmsfs::kms
