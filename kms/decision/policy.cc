#include "kms/decision/policy.h"

namespace kmsfs::kms {

namespace {

bool names_one_identity(const PrincipalPattern& pattern) {
  return pattern.form == PrincipalForm::kUser || pattern.form == PrincipalForm::kRole ||
         pattern.form == PrincipalForm::kSession;
}

}  // namespace

std::vector<std::string> Policy::named_principals() const {
  std::vector<std::string> names;
  for (const Statement& statement : statements) {
    for (const PrincipalPattern& pattern : statement.principals) {
      if (names_one_identity(pattern)) names.push_back(pattern.value);
    }
  }
  return names;
}

void Policy::bind_principals(const std::map<std::string, std::string>& unique_ids) {
  for (Statement& statement : statements) {
    for (PrincipalPattern& pattern : statement.principals) {
      if (!names_one_identity(pattern)) continue;
      if (const auto found = unique_ids.find(pattern.value); found != unique_ids.end()) {
        pattern.unique_id = found->second;
      }
    }
  }
}

}  // namespace kmsfs::kms
