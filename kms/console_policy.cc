#include "kms/console_policy.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "kms/decision/policy.h"
#include "kms/errors.h"
#include "kms/names.h"

namespace kmsfs::kms {

namespace {

using Json = nlohmann::ordered_json;

constexpr const char* kUseSid = "Allow use of the key";
constexpr const char* kAttachmentSid = "Allow attachment of persistent resources";

Json statement(const char* sid, std::vector<std::string> principals, Json actions) {
  return {{"Sid", sid},
          {"Effect", "Allow"},
          {"Principal", {{"AWS", std::move(principals)}}},
          {"Action", std::move(actions)},
          {"Resource", "*"}};
}

Json use_statement(std::vector<std::string> principals) {
  return statement(
      kUseSid, std::move(principals),
      {"kms:Encrypt", "kms:Decrypt", "kms:ReEncrypt*", "kms:GenerateDataKey*", "kms:DescribeKey"});
}

Json attachment_statement(std::vector<std::string> principals) {
  Json made = statement(kAttachmentSid, std::move(principals),
                        {"kms:CreateGrant", "kms:ListGrants", "kms:RevokeGrant"});
  made["Condition"] = {{"Bool", {{"kms:GrantIsForAWSResource", "true"}}}};
  return made;
}

// As the console writes it but for kms:CreateAlias, which is kms:Create* there: that would hold
// kms:CreateGrant, and with a grant to themselves administrators could use the key.
Json administrators_statement(std::vector<std::string> principals) {
  return statement(
      "Allow access for Key Administrators", std::move(principals),
      {"kms:CreateAlias", "kms:Describe*", "kms:Enable*", "kms:List*", "kms:Put*", "kms:Update*",
       "kms:Revoke*", "kms:Disable*", "kms:Get*", "kms:Delete*", "kms:TagResource", "kms:UntagResource",
       "kms:ScheduleKeyDeletion", "kms:CancelKeyDeletion", "kms:RotateKeyOnDemand"});
}

Result<std::string> finished(const Json& policy) {
  std::string text = policy.dump(2);
  if (auto parsed = parse_policy(text, PolicyUse::kKey); !parsed) return std::move(parsed).error();
  return text;
}

Result<void> check_account(std::string_view account) {
  if (is_account(account)) return {};
  return validation("an account is 12 digits, unlike '" + std::string(account) + "'");
}

// user/NAME and role/NAME of the account; ARNs as they are.
std::vector<std::string> as_arns(const std::string& account, const std::vector<std::string>& names) {
  std::vector<std::string> arns;
  for (const std::string& name : names) {
    arns.push_back(name.starts_with("arn:") ? name : "arn:aws:iam::" + account + ":" + name);
  }
  return arns;
}

// A document that is known to be a key policy, its statements as a list.
Result<Json> open_policy(std::string_view text) {
  if (auto parsed = parse_policy(text, PolicyUse::kKey); !parsed) return std::move(parsed).error();
  Json policy = Json::parse(text, nullptr, false);
  if (policy["Statement"].is_object()) policy["Statement"] = Json::array({policy["Statement"]});
  return policy;
}

bool names_everyone(const Json& principal) {
  if (principal.is_string()) return true;  // only "*" is a text
  const auto aws = principal.find("AWS");
  if (aws == principal.end()) return false;
  return *aws == "*" || (aws->is_array() && std::ranges::find(*aws, Json("*")) != aws->end());
}

std::string name_of(const Json& statement) {
  const auto sid = statement.find("Sid");
  return sid == statement.end() ? "a statement without Sid"
                                : "the statement '" + sid->get<std::string>() + "'";
}

// 12 digits, or an ARN with them in its fifth place.
bool is_of_account(const std::string& principal, std::string_view account) {
  if (principal == account) return true;
  const std::string iam = "arn:aws:iam::" + std::string(account) + ":";
  const std::string sts = "arn:aws:sts::" + std::string(account) + ":";
  return principal.starts_with(iam) || principal.starts_with(sts);
}

Result<void> add_principal(Json& statement, std::string_view account) {
  const bool fits = statement["Effect"] == "Allow" && statement.contains("Principal") &&
                    !names_everyone(statement["Principal"]);
  if (!fits) return validation(name_of(statement) + " does not list whom it allows; edit the policy by hand");
  Json& principal = statement["Principal"];
  if (!principal.contains("AWS")) principal["AWS"] = Json::array();
  Json& aws = principal["AWS"];
  if (aws.is_string()) aws = Json::array({aws});
  const std::string root = root_arn(account);
  const bool there =
      std::ranges::any_of(aws, [&](const Json& one) { return one == root || one == std::string(account); });
  if (!there) aws.push_back(root);
  return {};
}

// False: it names nobody any more.
bool remove_principals(Json& statement, std::string_view account) {
  Json& principal = statement["Principal"];
  const auto aws = principal.find("AWS");
  if (aws == principal.end()) return true;
  if (aws->is_string()) {
    if (is_of_account(aws->get<std::string>(), account)) principal.erase("AWS");
    return !principal.empty();
  }
  Json kept = Json::array();
  for (const Json& one : *aws) {
    if (!is_of_account(one.get<std::string>(), account)) kept.push_back(one);
  }
  if (kept.empty())
    principal.erase("AWS");
  else
    *aws = std::move(kept);
  return !principal.empty();
}

}  // namespace

Result<std::string> console_policy(const ConsolePolicy& wishes) {
  KMSFS_TRY(check_account(wishes.account));
  std::vector<std::string> users = as_arns(wishes.account, wishes.users);
  for (const std::string& account : wishes.external_accounts) {
    KMSFS_TRY(check_account(account));
    if (account == wishes.account) return validation("the account " + account + " is the key's own");
    users.push_back(root_arn(account));
  }
  Json statements = Json::array();
  statements.push_back(statement("Enable IAM User Permissions", {root_arn(wishes.account)}, Json("kms:*")));
  if (!wishes.administrators.empty()) {
    statements.push_back(administrators_statement(as_arns(wishes.account, wishes.administrators)));
  }
  if (!users.empty()) {
    statements.push_back(use_statement(users));
    statements.push_back(attachment_statement(users));
  }
  return finished(
      {{"Version", "2012-10-17"}, {"Id", "key-consolepolicy-3"}, {"Statement", std::move(statements)}});
}

Result<std::string> share_policy(std::string_view text, std::string_view account) {
  KMSFS_TRY(check_account(account));
  auto policy = open_policy(text);
  if (!policy) return std::move(policy).error();
  Json& statements = (*policy)["Statement"];
  for (const char* sid : {kUseSid, kAttachmentSid}) {
    const auto found = std::ranges::find_if(statements, [&](const Json& one) {
      const auto its = one.find("Sid");
      return its != one.end() && *its == sid;
    });
    if (found != statements.end()) {
      KMSFS_TRY(add_principal(*found, account));
    } else {
      statements.push_back(sid == kUseSid ? use_statement({root_arn(account)})
                                          : attachment_statement({root_arn(account)}));
    }
  }
  return finished(*policy);
}

Result<std::string> unshare_policy(std::string_view text, std::string_view account) {
  KMSFS_TRY(check_account(account));
  auto policy = open_policy(text);
  if (!policy) return std::move(policy).error();
  Json kept = Json::array();
  for (Json& one : (*policy)["Statement"]) {
    const bool lists_principals = one["Effect"] == "Allow" && one.contains("Principal");
    if (lists_principals && names_everyone(one["Principal"])) {
      return validation(name_of(one) + " allows everyone; edit the policy by hand");
    }
    if (!lists_principals || remove_principals(one, account)) kept.push_back(std::move(one));
  }
  if (kept.empty()) return validation("nobody but the account " + std::string(account) + " may use the key");
  (*policy)["Statement"] = std::move(kept);
  return finished(*policy);
}

}  // namespace kmsfs::kms
