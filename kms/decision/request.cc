#include "kms/decision/request.h"

namespace kmsfs::kms {

namespace {

std::string arn(std::string_view service, std::string_view account, std::string_view resource) {
  return std::string("arn:aws:").append(service).append("::").append(account).append(":").append(resource);
}

// Policies name sessions by the role's name alone, without its path.
std::string_view last_part(std::string_view path) { return path.substr(path.rfind('/') + 1); }

}  // namespace

Caller Caller::account_root(std::string_view account) {
  Caller caller;
  caller.type = CallerType::kAccountRoot;
  caller.account = account;
  caller.arn = kms::arn("iam", account, "root");
  caller.unique_id = account;
  return caller;
}

Caller Caller::user(std::string_view account, std::string_view path_and_name) {
  Caller caller;
  caller.type = CallerType::kUser;
  caller.account = account;
  caller.arn = kms::arn("iam", account, std::string("user/").append(path_and_name));
  caller.name = last_part(path_and_name);
  return caller;
}

Caller Caller::session(std::string_view account, std::string_view role_path_and_name,
                       std::string_view session_name) {
  Caller caller;
  caller.type = CallerType::kAssumedRole;
  caller.account = account;
  caller.role_arn = kms::arn("iam", account, std::string("role/").append(role_path_and_name));
  caller.arn = kms::arn(
      "sts", account,
      std::string("assumed-role/").append(last_part(role_path_and_name)).append("/").append(session_name));
  caller.name = session_name;
  return caller;
}

}  // namespace kmsfs::kms
