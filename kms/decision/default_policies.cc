#include <nlohmann/json.hpp>

#include "kms/decision/decision.h"

namespace kmsfs::kms {

namespace {

using nlohmann::ordered_json;

ordered_json account_principal(std::string_view account) {
  return {{"AWS", "arn:aws:iam::" + std::string(account) + ":root"}};
}

}  // namespace

std::string default_key_policy(std::string_view account) {
  const ordered_json statement = {{"Sid", "Enable IAM User Permissions"},
                                  {"Effect", "Allow"},
                                  {"Principal", account_principal(account)},
                                  {"Action", "kms:*"},
                                  {"Resource", "*"}};
  const ordered_json policy = {
      {"Version", "2012-10-17"}, {"Id", "key-default-1"}, {"Statement", ordered_json::array({statement})}};
  return policy.dump(2);
}

std::string service_managed_key_policy(std::string_view account) {
  const ordered_json use = {
      {"Sid", "Allow all principals of the account to use the key"},
      {"Effect", "Allow"},
      {"Principal", {{"AWS", "*"}}},
      {"Action", {"kms:Encrypt", "kms:Decrypt", "kms:ReEncrypt*", "kms:GenerateDataKey*", "kms:DescribeKey"}},
      {"Resource", "*"},
      {"Condition", {{"StringEquals", {{"kms:CallerAccount", account}}}}}};
  const ordered_json look = {{"Sid", "Allow the account to look at the key"},
                             {"Effect", "Allow"},
                             {"Principal", account_principal(account)},
                             {"Action", {"kms:Describe*", "kms:Get*", "kms:List*", "kms:RevokeGrant"}},
                             {"Resource", "*"}};
  const ordered_json policy = {
      {"Version", "2012-10-17"}, {"Id", "auto-kmsfs-1"}, {"Statement", ordered_json::array({use, look})}};
  return policy.dump(2);
}

}  // namespace kmsfs::kms
