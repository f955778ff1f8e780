// Key policies as the AWS console writes them, and letting other accounts in and out of any key policy.
//
// Always: pure; what comes out passes parse_policy() as a key policy, or it is an error (kInvalid, with its
// code). Threads: any.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "core/result.h"

namespace kmsfs::kms {

struct ConsolePolicy {
  std::string account;
  std::vector<std::string> administrators;  // user/NAME, role/NAME, or an ARN
  std::vector<std::string> users;           // the same
  std::vector<std::string> external_accounts;
};
// Four statements: "Enable IAM User Permissions", "Allow access for Key Administrators", "Allow use of the
// key", "Allow attachment of persistent resources" (only with kms:GrantIsForAWSResource). A statement whose
// principals nobody named is left out. Unlike the console's, administrators cannot make grants.
Result<std::string> console_policy(const ConsolePolicy& wishes);

// Lets the account use the key: adds arn:aws:iam::ACCOUNT:root to "Allow use of the key" and "Allow
// attachment of persistent resources", which are made if they are not there. Everything else stays as it is;
// an account that is in already changes nothing.
Result<std::string> share_policy(std::string_view policy, std::string_view account);

// Takes every principal of that account (root, number, users, roles, sessions) out of every Allow statement;
// a statement that names nobody any more goes. Refused where a principal is everyone ("*").
Result<std::string> unshare_policy(std::string_view policy, std::string_view account);

}  // namespace kmsfs::kms
