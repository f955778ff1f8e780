#include "kms/decision/principal.h"

#include <algorithm>

namespace kmsfs::kms {

namespace {

constexpr std::size_t kAccountDigits = 12;

bool is_account(std::string_view text) {
  return text.size() == kAccountDigits &&
         std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
}

bool is_unique_id(std::string_view text) {
  if (text.size() < 16 || text.size() > 128 || (text.substr(0, 4) != "AIDA" && text.substr(0, 4) != "AROA"))
    return false;
  const std::string_view id = text.substr(0, text.find(':'));  // a session's id goes on with ":NAME"
  return std::all_of(id.begin(), id.end(),
                     [](char c) { return (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9'); });
}

bool takes_prefix(std::string_view& text, std::string_view prefix) {
  if (text.substr(0, prefix.size()) != prefix) return false;
  text.remove_prefix(prefix.size());
  return true;
}

bool is_path_and_name(std::string_view text) {
  constexpr std::string_view kPunctuation = "/+=,.@-_";
  return !text.empty() && text.front() != '/' && text.back() != '/' &&
         std::all_of(text.begin(), text.end(), [&](char c) {
           return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                  kPunctuation.find(c) != std::string_view::npos;
         });
}

Error bad_principal(std::string_view text, std::string_view why) {
  return error(Kind::kInvalid, std::string("'").append(text).append("' ").append(why));
}

Result<PrincipalPattern> parse_arn_principal(std::string_view text) {
  PrincipalPattern pattern;
  pattern.value = text;
  std::string_view rest = text;
  if (text.find_first_of("*?") != std::string_view::npos) {
    return bad_principal(
        text, "has a wildcard, which principals cannot have (use a condition on aws:PrincipalArn)");
  }
  const bool is_session_service = takes_prefix(rest, "arn:aws:sts::");
  if (!is_session_service && !takes_prefix(rest, "arn:aws:iam::")) {
    return bad_principal(text, "is not the ARN of a principal");
  }
  const std::size_t colon = rest.find(':');
  if (colon == std::string_view::npos || !is_account(rest.substr(0, colon))) {
    return bad_principal(text, "has no account of 12 digits");
  }
  pattern.account = rest.substr(0, colon);
  rest.remove_prefix(colon + 1);
  if (is_session_service) {
    if (!takes_prefix(rest, "assumed-role/") || !is_path_and_name(rest) ||
        std::count(rest.begin(), rest.end(), '/') != 1) {
      return bad_principal(text, "is not the ARN of a session (assumed-role/ROLE/SESSION)");
    }
    pattern.form = PrincipalForm::kSession;
    return pattern;
  }
  if (rest == "root") {
    pattern.form = PrincipalForm::kAccount;
    return pattern;
  }
  if (takes_prefix(rest, "user/")) {
    pattern.form = PrincipalForm::kUser;
  } else if (takes_prefix(rest, "role/")) {
    pattern.form = PrincipalForm::kRole;
  } else {
    return bad_principal(text, "is neither account root, user nor role; groups cannot be principals");
  }
  if (!is_path_and_name(rest)) return bad_principal(text, "has no valid name");
  return pattern;
}

bool bound_elsewhere(std::string_view unique_id, const Caller& caller) {
  return !unique_id.empty() && unique_id != caller.unique_id;
}

bool is_session_id(std::string_view value, const Caller& caller) {
  return caller.type == CallerType::kAssumedRole && takes_prefix(value, caller.unique_id) &&
         takes_prefix(value, ":") && value == caller.name;
}

Hit pattern_hit(const PrincipalPattern& pattern, const Caller& caller) {
  const bool is_service = caller.type == CallerType::kService;
  switch (pattern.form) {
    case PrincipalForm::kEveryone:
      return Hit::kDirect;
    case PrincipalForm::kService:
      return is_service && pattern.value == caller.arn ? Hit::kDirect : Hit::kNone;
    case PrincipalForm::kAccount:
      return !is_service && pattern.account == caller.account ? Hit::kAccount : Hit::kNone;
    case PrincipalForm::kUniqueId:
      if (caller.unique_id.empty()) return Hit::kNone;
      if (pattern.value == caller.unique_id) {
        return caller.type == CallerType::kAssumedRole ? Hit::kRole : Hit::kDirect;
      }
      return is_session_id(pattern.value, caller) ? Hit::kDirect : Hit::kNone;
    case PrincipalForm::kUser:
    case PrincipalForm::kSession:
    case PrincipalForm::kRole:
      break;
  }
  if (is_service || bound_elsewhere(pattern.unique_id, caller)) return Hit::kNone;
  if (pattern.form == PrincipalForm::kRole) {
    return !caller.role_arn.empty() && pattern.value == caller.role_arn ? Hit::kRole : Hit::kNone;
  }
  return pattern.value == caller.arn ? Hit::kDirect : Hit::kNone;
}

// NotPrincipal spares a caller only if each form under which the caller can be tested is listed: its account,
// its role, and itself.
bool is_spared(const std::vector<PrincipalPattern>& principals, const Caller& caller) {
  bool by_account = caller.type == CallerType::kService;
  bool by_role = caller.type != CallerType::kAssumedRole;
  bool by_itself = caller.type == CallerType::kAccountRoot;
  for (const PrincipalPattern& pattern : principals) {
    if (pattern.form == PrincipalForm::kEveryone) return true;
    const Hit hit = pattern_hit(pattern, caller);
    by_account = by_account || hit == Hit::kAccount;
    by_role = by_role || hit == Hit::kRole;
    by_itself = by_itself || hit == Hit::kDirect;
  }
  return by_account && by_role && by_itself;
}

}  // namespace

Result<PrincipalPattern> parse_aws_principal(std::string_view text) {
  PrincipalPattern pattern;
  pattern.value = text;
  if (text == "*") return pattern;
  if (is_account(text)) {
    pattern.form = PrincipalForm::kAccount;
    pattern.account = text;
    return pattern;
  }
  if (is_unique_id(text)) {
    pattern.form = PrincipalForm::kUniqueId;
    return pattern;
  }
  return parse_arn_principal(text);
}

Result<PrincipalPattern> parse_service_principal(std::string_view text) {
  const bool is_name = std::all_of(text.begin(), text.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.';
  });
  if (!is_name || text.find('.') == std::string_view::npos)
    return bad_principal(text, "is not the name of a service");
  PrincipalPattern pattern;
  pattern.form = PrincipalForm::kService;
  pattern.value = text;
  return pattern;
}

Hit principal_hit(const Statement& statement, PolicyUse use, const Caller& caller) {
  if (use == PolicyUse::kIdentity) return Hit::kDirect;
  if (statement.not_principal) return is_spared(statement.principals, caller) ? Hit::kNone : Hit::kDirect;
  Hit strongest = Hit::kNone;
  for (const PrincipalPattern& pattern : statement.principals) {
    strongest = std::max(strongest, pattern_hit(pattern, caller));
  }
  return strongest;
}

Hit grant_principal_hit(std::string_view principal, std::string_view unique_id, const Caller& caller) {
  if (principal.empty() || bound_elsewhere(unique_id, caller)) return Hit::kNone;
  if (principal == caller.arn) return caller.type == CallerType::kAccountRoot ? Hit::kAccount : Hit::kDirect;
  if (!caller.role_arn.empty() && principal == caller.role_arn) return Hit::kRole;
  constexpr std::string_view kPrefix = "arn:aws:iam::";
  constexpr std::string_view kRoot = ":root";
  const bool is_callers_account = caller.type != CallerType::kService && takes_prefix(principal, kPrefix) &&
                                  takes_prefix(principal, caller.account) && principal == kRoot;
  return is_callers_account ? Hit::kAccount : Hit::kNone;
}

}  // namespace kmsfs::kms
