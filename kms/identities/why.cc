// Why: any decision, explained statement by statement, for whoever is said to ask, without asking.
#include <algorithm>
#include <utility>

#include "kms/decision/statement_match.h"
#include "kms/grants.h"
#include "kms/identities/administration_door.h"
#include "kms/identities/caller_identity.h"
#include "kms/identities/identity_errors.h"
#include "kms/identities/principals.h"
#include "kms/names.h"
#include "kms/operations.h"

namespace kmsfs::kms {

namespace {

constexpr std::string_view kContextPrefix = "kms:encryptioncontext:";

// What is asked, as it came through the door.
struct Question {
  std::string principal, action, key, resource, session_policy;
  SuppliedContext context;
  EncryptionContext encryption_context;
  std::vector<std::string> grant_tokens;
};

Result<std::vector<std::string>> values_of(const std::string& name, const Json& json) {
  std::vector<std::string> values;
  const auto add = [&](const Json& one) {
    if (one.is_string()) values.push_back(one.get<std::string>());
    if (one.is_number() || one.is_boolean()) values.push_back(one.dump());
    return one.is_string() || one.is_number() || one.is_boolean();
  };
  bool well_formed = true;
  if (!json.is_array())
    well_formed = add(json);
  else {
    for (const Json& one : json) well_formed = well_formed && add(one);
  }
  if (!well_formed)
    return validation_error("the value of " + name + " in Context is a text or a list of texts");
  return values;
}

// kms:EncryptionContext:NAME is part of the encryption context; everything else stands for itself.
Result<void> read_context(const Json* json, Question& question) {
  if (json == nullptr) return {};
  for (const auto& [name, value] : json->items()) {
    auto values = values_of(name, value);
    if (!values) return std::move(values).error();
    const std::string lower = to_lower(name);
    if (lower.starts_with(kContextPrefix) && values->size() == 1) {
      question.encryption_context[name.substr(kContextPrefix.size())] = values->front();
    } else {
      question.context[lower] = std::move(*values);
    }
  }
  return {};
}

Result<Question> read_question(AdminCall& call) {
  Question question;
  question.principal = call.in.text("Principal");
  question.action = call.in.text("Action");
  question.key = call.in.text_or("Key", "");
  question.resource = call.in.text_or("Resource", "");
  question.session_policy = call.in.document_or_none("SessionPolicy");
  question.grant_tokens = call.in.texts("GrantTokens");
  const Json* context = call.in.object_if_given("Context");
  const Json* encryption_context = call.in.object_if_given("EncryptionContext");
  KMSFS_TRY(call.in.complete());
  KMSFS_TRY(read_context(context, question));
  if (encryption_context != nullptr) {
    for (const auto& [name, value] : encryption_context->items()) {
      if (!value.is_string()) return validation_error("an encryption context has texts only");
      question.encryption_context[name] = value.get<std::string>();
    }
  }
  if (question.action.find(':') == std::string::npos) question.action.insert(0, "kms:");
  if (equals_ignore_case(question.action, "kms:ReEncrypt")) {
    return validation_error(
        "ReEncrypt is two actions: kms:ReEncryptFrom on one key, kms:ReEncryptTo on the other");
  }
  if (!question.key.empty() && !question.resource.empty()) {
    return validation_error("say either Key or Resource");
  }
  return question;
}

// user/NAME, role/NAME, role/NAME/SESSION, root, or an ARN.
Result<std::string> principal_arn(const AdminCall& call, const std::string& principal) {
  if (principal.starts_with("arn:")) return principal;
  auto account = call.account();
  if (!account) return account;
  return "arn:aws:iam::" + *account + ":" + principal;
}

// A session as if it had been made just now: of a role, "why" being its name, or of a session's ARN.
Result<Invocation> as_session(AdminCall& call, const std::string& arn, const Question& question) {
  constexpr std::string_view role_part = ":role/", session_part = ":assumed-role/";
  const bool is_role = arn.find(role_part) != std::string::npos;
  const std::size_t at = arn.find(is_role ? role_part : session_part);
  const std::string account = arn.size() > 25 ? arn.substr(13, 12) : "";
  std::string name = arn.substr(at + (is_role ? role_part : session_part).size()), session = "why";
  if (const std::size_t slash = name.find('/'); slash != std::string::npos) {
    session = name.substr(slash + 1);
    name.resize(slash);
  }
  auto role = require_principal(call.engine, call.transaction, EntityKind::kRole, account, name);
  if (!role) return std::move(role).error();
  auto facts = std::make_shared<SessionFacts>();
  facts->account = account;
  facts->role_name = name;
  facts->role_unique_id = (*role)->record.unique_id;
  facts->session_name = session;
  facts->issued_ms = call.engine.now_ms();
  facts->expires_ms = facts->issued_ms + 3'600'000;
  if (!question.session_policy.empty()) {
    auto policy = parse_identity_document(question.session_policy, PolicyUse::kIdentity);
    if (!policy) return std::move(policy).error();
    facts->parsed_policy = std::make_shared<const Policy>(std::move(*policy));
  }
  Invocation from;
  from.principal = facts->arn();
  from.session = std::move(facts);
  return from;
}

Result<CallerIdentity> identity_of(AdminCall& call, const Question& question) {
  auto arn = principal_arn(call, question.principal);
  if (!arn) return std::move(arn).error();
  Invocation from;
  from.principal = *arn;
  if (arn->find(":role/") != std::string::npos || arn->find(":assumed-role/") != std::string::npos) {
    auto session = as_session(call, *arn, question);
    if (!session) return std::move(session).error();
    from = std::move(*session);
  } else if (!question.session_policy.empty()) {
    return validation_error("only sessions have a session policy");
  }
  auto identity = CallerIdentity::load(call.engine, call.transaction, from);
  if (!identity && identity.error().kind == Kind::kDenied) return no_such_entity("principal", *arn);
  return identity;
}

// By id, ARN or alias; those without an account are the caller's.
Result<std::shared_ptr<const LoadedKey>> named_key(AdminCall& call, const std::string& text,
                                                   const std::string& account, std::string& alias) {
  auto name = parse_key_name(text);
  if (!name) return std::move(name).error();
  const std::string& owner = name->account.empty() ? account : name->account;
  if (!name->alias.empty()) {
    alias = name->alias;
    auto stored = call.transaction.get(Table::kAliases, as_bytes(owner + "/" + alias));
    if (!stored) return internal_failure(std::move(stored).error());
    if (!*stored) return no_such_entity("alias", alias);
    auto record = parse_alias_record(**stored);
    if (!record) return std::move(record).error();
    name->id = record->target;
  }
  auto key = call.engine.key(call.transaction, *name->id);
  if (!key) return key;
  if (!*key || (*key)->record.account != owner) return no_such_entity("key", text);
  return key;
}

// What bears on the resource: a key with its policy and grants, a role with its trust policy, or neither.
struct Target {
  std::shared_ptr<const LoadedKey> key;
  std::shared_ptr<const LoadedPrincipal> role;
  std::vector<Grant> grants;
  std::string alias;
  std::string resource = "*";
  std::string account;
};

Result<void> add_granted(AdminCall& call, const Question& question, const Caller& caller, Target& target) {
  auto grants = grants_of(call.engine, call.transaction, target.key->record.id, caller);
  if (!grants) return std::move(grants).error();
  target.grants = std::move(*grants);
  for (const std::string& token : question.grant_tokens) {
    GrantName name;
    auto grant = open_grant_token(call.engine, call.transaction, token, name);
    if (!grant) return std::move(grant).error();
    // Those of the caller are known already; a token says more only of what is somebody else's.
    const bool known =
        std::ranges::find(target.grants, (*grant)->grant.id, &Grant::id) != target.grants.end();
    if (!known) target.grants.push_back((*grant)->grant);
  }
  return {};
}

Result<Target> find_target(AdminCall& call, const Question& question, const Caller& caller) {
  Target target;
  target.account = caller.account;
  if (!question.key.empty()) {
    auto key = named_key(call, question.key, caller.account, target.alias);
    if (!key) return std::move(key).error();
    target.key = std::move(*key);
    target.resource = target.key->facts.arn;
    target.account = target.key->facts.account;
    KMSFS_TRY(add_granted(call, question, caller, target));
    return target;
  }
  if (question.resource.empty() || question.resource == "*") return target;
  target.resource = question.resource;
  // arn:aws:SERVICE:REGION:ACCOUNT:…
  std::size_t at = 0;
  for (int colon = 0; colon < 4 && at != std::string::npos; ++colon) at = question.resource.find(':', at + 1);
  if (at == std::string::npos || !is_account(std::string_view(question.resource).substr(at + 1, 12))) {
    return validation_error("Resource is an ARN");
  }
  target.account = question.resource.substr(at + 1, 12);
  auto role = call.engine.principal(call.transaction, question.resource);
  if (!role) return std::move(role).error();
  if (*role && (*role)->trust) target.role = std::move(*role);
  return target;
}

const char* state_name(KeyState state) {
  return state == KeyState::kEnabled    ? "Enabled"
         : state == KeyState::kDisabled ? "Disabled"
                                        : "PendingDeletion";
}

Json steps_json(const Explanation& explanation) {
  Json steps = Json::array();
  for (const Step& step : explanation.steps) {
    steps.push_back({{"Policy", step.policy},
                     {"Statement", step.statement},
                     {"Effect", step.allows ? "Allow" : "Deny"},
                     {"Matched", step.matched},
                     {"Explanation", step.why}});
  }
  return steps;
}

const char* verdict_name(Verdict verdict) {
  return verdict == Verdict::kAllowed        ? "allowed"
         : verdict == Verdict::kExplicitDeny ? "explicitDeny"
                                             : "implicitDeny";
}

// What else stands in the way of the operation, whatever is decided.
std::string note(const Target& target, const std::string& action) {
  if (!target.key) return {};
  const std::string asked = equals_ignore_case(action, "kms:ReEncryptTo") ? "kms:ReEncryptFrom" : action;
  const auto operations = all_operations();
  const auto facts = std::ranges::find_if(
      operations, [&](const OperationFacts& one) { return equals_ignore_case(one.action, asked); });
  if (facts == operations.end()) return {};
  const KeyState state = target.key->record.state;
  const bool pending = state == KeyState::kPendingDeletion, enabled = state == KeyState::kEnabled;
  const bool in_the_way = facts->states == StateRule::kPendingDeletion      ? !pending
                          : facts->states == StateRule::kNotPendingDeletion ? pending
                          : facts->states == StateRule::kEnabled            ? !enabled
                                                                            : false;
  if (facts->manages && target.key->record.manager == KeyManager::kService) {
    return "The key is managed by a service: nobody may " + std::string(facts->name) + ".";
  }
  if (!in_the_way) return {};
  return std::string("The key is ") + state_name(state) + ": " + std::string(facts->name) +
         " fails for that, whatever is decided.";
}

}  // namespace

Result<Json> why(AdminCall& call) {
  auto question = read_question(call);
  if (!question) return std::move(question).error();
  auto identity = identity_of(call, *question);
  if (!identity) return std::move(identity).error();
  const Caller& caller = identity->caller();
  auto target = find_target(call, *question, caller);
  if (!target) return std::move(target).error();

  Circumstances circumstances;
  circumstances.now_ms = call.engine.now_ms();
  circumstances.region = call.engine.region();
  Request asked;
  asked.caller = &caller;
  asked.circumstances = &circumstances;
  asked.action = question->action;
  asked.resource = target->resource;
  asked.resource_account = target->account;
  asked.key = target->key ? &target->key->facts : nullptr;
  asked.request_alias = target->alias;
  asked.encryption_context = &question->encryption_context;
  asked.encryption_algorithm = target->key ? "SYMMETRIC_DEFAULT" : "";
  asked.supplied = &question->context;
  PolicySet policies = identity->own_policies();
  policies.grants = target->grants;
  if (target->key) policies.resource_policy = &target->key->policy;
  if (target->role) policies.resource_policy = &*target->role->trust;

  const Explanation explanation = explain(asked, policies);
  Json reply{{"Principal", caller.arn}, {"Action", question->action}, {"Resource", target->resource}};
  reply["Decision"] = verdict_name(explanation.decision.verdict);
  reply["Summary"] = explanation.summary;
  if (target->key) reply["KeyState"] = state_name(target->key->record.state);
  if (const std::string text = note(*target, question->action); !text.empty()) reply["Note"] = text;
  reply["Statements"] = steps_json(explanation);
  return reply;
}

}  // namespace kmsfs::kms
