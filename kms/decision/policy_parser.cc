// From JSON to Policy, section by section: document, statement, principals, actions, resources, conditions.
#include <algorithm>
#include <set>

#include "kms/decision/policy.h"
#include "kms/decision/principal.h"
#include "kms/decision/strict_json.h"

namespace kmsfs::kms {

namespace {

using nlohmann::json;

Error malformed(std::string_view place, std::string_view text) {
  Error failed = error(Kind::kInvalid, std::string(place).append(": ").append(text));
  failed.code = kMalformedPolicy;
  return failed;
}

// What policies may consist of, says the AWS KMS: tab, line ends, and U+0020 to U+00FF.
Result<void> check_characters(std::string_view text) {
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto c = static_cast<unsigned char>(text[i]);
    if ((c < 0x20 && c != '\t' && c != '\n' && c != '\r') || c > 0xc3) {
      return malformed("Policy", "has a character that policies cannot have, at byte " + std::to_string(i));
    }
  }
  return {};
}

Result<json> parse_json(std::string_view text) {
  std::string complaint;
  json document = parse_strict_json<json>(text, complaint);
  if (!complaint.empty()) return malformed("Policy", complaint);
  return document;
}

class StatementParser {
 public:
  StatementParser(const json& source, PolicyUse use, Pattern::Variables variables, std::string place)
      : source_(source), use_(use), variables_(variables), place_(std::move(place)) {}

  Result<Statement> parse() {
    KMSFS_TRY(check_elements());
    KMSFS_TRY(parse_sid_and_effect());
    KMSFS_TRY(parse_principals());
    KMSFS_TRY(parse_actions());
    KMSFS_TRY(parse_resources());
    KMSFS_TRY(parse_conditions());
    return std::move(statement_);
  }

 private:
  Error wrong(std::string_view element, std::string_view text) const {
    return malformed(std::string(place_).append(element.empty() ? "" : ".").append(element), text);
  }

  const json* find(const char* element) const {
    const auto found = source_.find(element);
    return found == source_.end() ? nullptr : &*found;
  }

  // The one of two elements that exclude each other; sets `negated` for the second.
  Result<const json*> find_one(const char* element, const char* negated_element, bool& negated) const {
    const json* plain = find(element);
    const json* inverted = find(negated_element);
    if (plain != nullptr && inverted != nullptr) {
      return wrong("", std::string("has both ").append(element).append(" and ").append(negated_element));
    }
    negated = inverted != nullptr;
    return negated ? inverted : plain;
  }

  // A string or an array of strings. Conditions take numbers and booleans too.
  Result<std::vector<std::string>> strings(const json& value, std::string_view element,
                                           bool scalars = false) const {
    std::vector<std::string> result;
    const auto add = [&](const json& one) {
      if (one.is_string()) {
        result.push_back(one.get<std::string>());
      } else if (scalars && (one.is_number() || one.is_boolean())) {
        result.push_back(one.dump());
      } else {
        return false;
      }
      return true;
    };
    const bool fits = value.is_array() ? std::all_of(value.begin(), value.end(), add) : add(value);
    if (!fits) return wrong(element, "must be a string or a list of strings");
    if (result.empty()) return wrong(element, "is an empty list");
    return result;
  }

  Result<void> check_elements() const {
    if (!source_.is_object()) return wrong("", "must be an object");
    static constexpr std::string_view kElements[] = {"Sid",          "Effect",      "Principal",
                                                     "NotPrincipal", "Action",      "NotAction",
                                                     "Resource",     "NotResource", "Condition"};
    for (const auto& [name, value] : source_.items()) {
      if (std::find(std::begin(kElements), std::end(kElements), name) == std::end(kElements)) {
        return wrong("", "has an element '" + name + "', which statements do not have");
      }
    }
    return {};
  }

  Result<void> parse_sid_and_effect() {
    if (const json* sid = find("Sid")) {
      if (!sid->is_string()) return wrong("Sid", "must be a string");
      statement_.sid = sid->get<std::string>();
    }
    const json* effect = find("Effect");
    if (effect == nullptr) return wrong("", "has no Effect");
    if (*effect != "Allow" && *effect != "Deny") return wrong("Effect", "must be 'Allow' or 'Deny'");
    statement_.effect = *effect == "Allow" ? Effect::kAllow : Effect::kDeny;
    return {};
  }

  Result<void> parse_principals() {
    auto principals = find_one("Principal", "NotPrincipal", statement_.not_principal);
    if (!principals) return std::move(principals).error();
    if (use_ == PolicyUse::kIdentity) {
      if (*principals != nullptr) return wrong("", "has a Principal, which identity policies cannot have");
      return {};
    }
    if (*principals == nullptr) return wrong("", "has no Principal");
    if (statement_.not_principal && statement_.effect == Effect::kAllow) {
      return wrong("NotPrincipal", "cannot be used with 'Allow': it would allow everybody else");
    }
    const json& value = **principals;
    if (value == "*") {
      statement_.principals.emplace_back();
      return {};
    }
    if (!value.is_object() || value.empty())
      return wrong("Principal", "must be '*' or an object like {\"AWS\": …}");
    for (const auto& [type, names] : value.items()) KMSFS_TRY(parse_principals_of(type, names));
    return {};
  }

  Result<void> parse_principals_of(const std::string& type, const json& names) {
    const bool is_aws = type == "AWS";
    if (!is_aws && type != "Service") {
      return wrong("Principal", "has principals of type '" + type + "'; known are 'AWS' and 'Service'");
    }
    auto texts = strings(names, "Principal." + type);
    if (!texts) return std::move(texts).error();
    for (const std::string& text : *texts) {
      auto pattern = is_aws ? parse_aws_principal(text) : parse_service_principal(text);
      if (!pattern) return wrong("Principal." + type, pattern.error().text);
      statement_.principals.push_back(std::move(*pattern));
    }
    return {};
  }

  Result<void> parse_actions() {
    auto actions = find_one("Action", "NotAction", statement_.not_action);
    if (!actions) return std::move(actions).error();
    if (*actions == nullptr) {
      if (use_ != PolicyUse::kKey) return wrong("", "has no Action");
      return {};  // key policies: accepted, and without effect
    }
    auto texts = strings(**actions, "Action");
    if (!texts) return std::move(texts).error();
    for (const std::string& text : *texts) {
      if (!is_action(text)) return wrong("Action", "'" + text + "' is not an action (SERVICE:NAME, or '*')");
      statement_.actions.push_back(to_lower(text));
    }
    return {};
  }

  static bool is_action(std::string_view text) {
    if (text == "*" || text == "*:*") return true;
    const std::size_t colon = text.find(':');
    if (colon == 0 || colon == std::string_view::npos || colon + 1 == text.size()) return false;
    const auto is_word = [](char c) {
      return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
    };
    const auto service = text.substr(0, colon);
    const auto name = text.substr(colon + 1);
    return std::all_of(service.begin(), service.end(), [&](char c) { return is_word(c) || c == '-'; }) &&
           std::all_of(name.begin(), name.end(), [&](char c) { return is_word(c) || c == '*' || c == '?'; });
  }

  Result<void> parse_resources() {
    auto resources = find_one("Resource", "NotResource", statement_.not_resource);
    if (!resources) return std::move(resources).error();
    if (use_ == PolicyUse::kTrust) {
      if (*resources != nullptr) return wrong("", "has a Resource, which trust policies cannot have");
      return {};
    }
    if (*resources == nullptr) {
      if (use_ != PolicyUse::kKey) return wrong("", "has no Resource");
      return {};  // key policies: accepted, and without effect
    }
    auto texts = strings(**resources, "Resource");
    if (!texts) return std::move(texts).error();
    for (const std::string& text : *texts) {
      if (text != "*" && text.rfind("arn:", 0) != 0) {
        return wrong("Resource",
                     "'" + text + "' must be '*' or an ARN (alias names and bare ids do not count)");
      }
      auto pattern = Pattern::parse(text, variables_);
      if (!pattern) return wrong("Resource", pattern.error().text);
      if (pattern->variable_before_colon(5)) {
        return wrong("Resource", "'" + text + "' has a policy variable before the fifth colon");
      }
      statement_.resources.push_back(std::move(*pattern));
    }
    return {};
  }

  Result<void> parse_conditions() {
    const json* conditions = find("Condition");
    if (conditions == nullptr) return {};
    if (!conditions->is_object()) return wrong("Condition", "must be an object");
    for (const auto& [name, keys] : conditions->items()) {
      const std::string element = "Condition." + name;
      auto op = parse_operator(name);
      if (!op) return wrong("Condition", op.error().text);
      if (!keys.is_object()) return wrong(element, "must be an object");
      for (const auto& [key, values] : keys.items()) KMSFS_TRY(parse_condition(*op, key, values, element));
    }
    return {};
  }

  Result<void> parse_condition(const Operator& op, const std::string& name, const json& values,
                               const std::string& element) {
    ContextKey key = parse_context_key(name);
    if (name.find(':') == std::string::npos) return wrong(element, "'" + name + "' is not a condition key");
    if (!is_plausible(key)) return wrong(element, "'" + name + "' is not a condition key of KMS");
    const bool callers_choice =
        key.name == ContextKeyName::kEncryptionContext || key.name == ContextKeyName::kRequestTag;
    if (op.set == SetOperator::kForAllValues && statement_.effect == Effect::kAllow && callers_choice) {
      return wrong(element, "OverlyPermissiveCondition: ForAllValues holds where '" + name + "' is missing");
    }
    auto texts = strings(values, element + "." + name, /*scalars=*/true);
    if (!texts) return std::move(texts).error();
    auto condition = make_condition(op, std::move(key), *texts, variables_);
    if (!condition) return wrong(element + "." + name, condition.error().text);
    statement_.conditions.push_back(std::move(*condition));
    return {};
  }

  const json& source_;
  const PolicyUse use_;
  const Pattern::Variables variables_;
  const std::string place_;
  Statement statement_;
};

Result<Pattern::Variables> parse_head(const json& document, Policy& policy) {
  if (!document.is_object()) return malformed("Policy", "must be an object");
  for (const auto& [name, value] : document.items()) {
    if (name != "Version" && name != "Id" && name != "Statement") {
      return malformed("Policy", "has an element '" + name + "', which policies do not have");
    }
  }
  if (const auto id = document.find("Id"); id != document.end()) {
    if (!id->is_string()) return malformed("Id", "must be a string");
    policy.id = id->get<std::string>();
  }
  const auto version = document.find("Version");
  if (version == document.end() || *version == "2008-10-17") return Pattern::Variables::kLiteral;
  if (*version != "2012-10-17") return malformed("Version", "must be \"2012-10-17\" or \"2008-10-17\"");
  return Pattern::Variables::kResolved;
}

Result<void> check_sids(const Policy& policy) {
  std::set<std::string_view> sids;
  for (const Statement& statement : policy.statements) {
    if (!statement.sid.empty() && !sids.insert(statement.sid).second) {
      return malformed("Statement", "the Sid '" + statement.sid + "' is used twice");
    }
  }
  return {};
}

}  // namespace

Result<Policy> parse_policy(std::string_view text, PolicyUse use) {
  if (text.size() > kPolicySizeLimit) {
    Error failed =
        error(Kind::kInvalid, "the policy has " + std::to_string(text.size()) + " bytes; at most " +
                                  std::to_string(kPolicySizeLimit) + " are allowed");
    failed.code = "LimitExceededException";
    return failed;
  }
  KMSFS_TRY(check_characters(text));
  auto document = parse_json(text);
  if (!document) return std::move(document).error();
  Policy policy;
  policy.use = use;
  const auto variables = parse_head(*document, policy);
  if (!variables) return variables.error();
  const auto statements = document->find("Statement");
  if (statements == document->end()) return malformed("Policy", "has no Statement");
  if (statements->is_array() && statements->empty()) return malformed("Statement", "is an empty list");
  const std::size_t count = statements->is_array() ? statements->size() : 1;
  for (std::size_t i = 0; i < count; ++i) {
    const json& source = statements->is_array() ? (*statements)[i] : *statements;
    auto statement = StatementParser(source, use, *variables, "Statement[" + std::to_string(i) + "]").parse();
    if (!statement) return std::move(statement).error();
    policy.statements.push_back(std::move(*statement));
  }
  KMSFS_TRY(check_sids(policy));
  return policy;
}

}  // namespace kmsfs::kms
