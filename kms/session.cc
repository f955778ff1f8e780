#include "kms/session.h"

#include <algorithm>
#include <utility>

#include "kms/errors.h"
#include "kms/identities/caller_identity.h"
#include "kms/identities/principals.h"
#include "kms/session_token.h"

namespace kmsfs::kms {

namespace {

constexpr std::int64_t kShortest = 900, kLongest = 43200, kUsual = 3600;  // seconds, as at AWS
constexpr std::int64_t kLongestChained = 3600;                            // of a session made by a session
constexpr std::size_t kLargestSessionPolicy = 2048;
constexpr std::size_t kIdLetters = 16;
constexpr int kDecisionLimit = 64;  // each round is one change of the store by somebody else in between

Error sts_validation(std::string text) {
  return answer(Kind::kInvalid, "ValidationError", "1 validation error detected: " + std::move(text));
}

Error may_not_assume(const Caller& caller, const std::string& role_arn) {
  return answer(
      Kind::kDenied, "AccessDenied",
      "User: " + caller.arn + " is not authorized to perform: sts:AssumeRole on resource: " + role_arn);
}

Result<void> check(const AssumeRoleRequest& request) {
  if (request.session_name.size() < 2 || !is_entity_name(request.session_name, 64)) {
    return sts_validation("Value '" + request.session_name +
                          "' at 'roleSessionName' failed to satisfy constraint: Member must have 2 to 64 of "
                          "letters, digits and +=,.@_-");
  }
  const std::int64_t duration = request.duration_seconds.value_or(kUsual);
  if (duration < kShortest || duration > kLongest) {
    const bool low = duration < kShortest;
    return sts_validation("Value '" + std::to_string(duration) +
                          "' at 'durationSeconds' failed to satisfy constraint: Member must have value " +
                          (low ? "greater than or equal to 900" : "less than or equal to 43200"));
  }
  if (request.policy.size() > kLargestSessionPolicy) {
    return answer(Kind::kInvalid, "PackedPolicyTooLarge",
                  "the session policy has more than " + std::to_string(kLargestSessionPolicy) + " bytes");
  }
  if (!request.external_id.empty() && (request.external_id.size() < 2 || request.external_id.size() > 1224)) {
    return sts_validation("'externalId' failed to satisfy constraint: Member must have length 2 to 1224");
  }
  return {};
}

// The limit that role and caller set on the duration.
Result<void> check_limits(const AssumeRoleRequest& request, const LoadedPrincipal& role,
                          const Caller& caller) {
  const std::int64_t duration = request.duration_seconds.value_or(kUsual);
  if (caller.type == CallerType::kAssumedRole && duration > kLongestChained) {
    return answer(Kind::kInvalid, "ValidationError",
                  "The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role "
                  "chaining");
  }
  if (duration > role.record.role.max_session_seconds) {
    return answer(Kind::kInvalid, "ValidationError",
                  "The requested DurationSeconds exceeds the MaxSessionDuration set for this role.");
  }
  return {};
}

// Does the role's trust policy let this caller in, and does its own side?
bool may_assume(Engine& engine, const Invocation& from, const AssumeRoleRequest& request,
                const CallerIdentity& identity, const LoadedPrincipal& role) {
  if (identity.caller().type == CallerType::kAccountRoot) return false;  // roots cannot, as at AWS
  Circumstances circumstances;
  circumstances.now_ms = engine.now_ms();
  circumstances.source_ip = from.source_ip;
  circumstances.user_agent = from.user_agent;
  circumstances.region = engine.region();
  circumstances.secure_transport = from.secure_transport;
  SuppliedContext supplied{{"sts:rolesessionname", {request.session_name}}};
  if (!request.external_id.empty()) supplied["sts:externalid"] = {request.external_id};
  Request asked;
  asked.caller = &identity.caller();
  asked.circumstances = &circumstances;
  asked.action = "sts:AssumeRole";
  asked.resource = role.caller.role_arn;
  asked.resource_account = role.record.account;
  asked.supplied = &supplied;
  PolicySet policies = identity.own_policies();
  policies.resource_policy = &*role.trust;
  return decide(asked, policies).allowed();
}

Result<Session> make_session(Engine& engine, const AssumeRoleRequest& request, const LoadedPrincipal& role) {
  auto facts = std::make_shared<SessionFacts>();
  facts->account = role.record.account;
  facts->role_name = role.record.name;
  facts->role_unique_id = role.record.unique_id;
  facts->session_name = request.session_name;
  facts->access_key_id = new_unique_id("ASIA", kIdLetters);
  facts->issued_ms = engine.now_ms() / 1000 * 1000;
  facts->expires_ms = facts->issued_ms + request.duration_seconds.value_or(kUsual) * 1000;
  facts->policy = request.policy;
  if (!request.policy.empty()) {
    auto policy = parse_policy(request.policy, PolicyUse::kIdentity);
    if (!policy) return answer(Kind::kInvalid, "MalformedPolicyDocument", policy.error().text);
    facts->parsed_policy = std::make_shared<const Policy>(std::move(*policy));
  }
  auto secret = new_secret_access_key();
  if (!secret) return std::move(secret).error();
  auto token = seal_session_token(engine.session_seal(), *facts, *secret);
  if (!token) return std::move(token).error();
  std::string role_id = facts->role_unique_id + ":" + facts->session_name;
  const auto percent = static_cast<std::int64_t>((request.policy.size() * 100 + kLargestSessionPolicy - 1) /
                                                 kLargestSessionPolicy);
  return Session{std::move(facts), std::move(*secret), std::move(*token), std::move(role_id), percent};
}

AuditRecord begin_record(const Engine& engine, const Invocation& from, std::string_view event) {
  AuditRecord record;
  record.time_ms = engine.now_ms();
  record.source = "sts.amazonaws.com";
  record.event = event;
  record.region = engine.region();
  record.source_ip = from.source_ip;
  record.user_agent = from.user_agent;
  record.request_id = from.request_id;
  record.identity.arn = from.principal;
  record.identity.access_key_id = from.access_key_id;
  return record;
}

// What was decided is recorded before it is answered, and only if nothing changed in between.
template <typename Reply, typename Act>
Result<Reply> perform(Engine& engine, const Invocation& from, std::string_view event,
                      const std::string& parameters, const Act& act) {
  for (int round = 0; round < kDecisionLimit; ++round) {
    AuditRecord record = begin_record(engine, from, event);
    record.request_parameters = parameters;
    auto transaction = engine.read();
    if (!transaction) return internal_failure(std::move(transaction).error());
    auto last_change = engine.last_change(**transaction);
    if (!last_change) return std::move(last_change).error();
    auto identity = CallerIdentity::load(engine, **transaction, from);
    if (identity) identity->describe(record.identity);
    Result<Reply> reply =
        identity ? act(*identity, **transaction, record) : Result<Reply>(std::move(identity).error());
    if (!reply) tell_error(record, reply.error());
    auto recorded = engine.record_use(record, *last_change);
    if (!recorded) return std::move(recorded).error();
    if (*recorded) return reply;
  }
  return answer(Kind::kUnavailable, "KMSInternalException", "the key store changes too fast to decide");
}

std::string parameters_of(const AssumeRoleRequest& request) {
  std::string out;
  JsonWriter json(out);
  json.begin().text("roleArn", request.role_arn).text("roleSessionName", request.session_name);
  json.number("durationSeconds", request.duration_seconds.value_or(kUsual));
  if (!request.policy.empty()) json.text("policy", request.policy);
  if (!request.external_id.empty()) json.text("externalId", request.external_id);
  json.end();
  return out;
}

std::string response_of(const Session& session) {
  std::string out;
  JsonWriter json(out);
  json.begin().begin("credentials").text("accessKeyId", session.facts->access_key_id);
  json.number("expiration", session.facts->expires_ms / 1000).end();
  json.begin("assumedRoleUser").text("assumedRoleId", session.assumed_role_id);
  json.text("arn", session.facts->arn()).end();
  json.end();
  return out;
}

Result<Credential> open_session(Engine& engine, std::string_view access_key_id, std::string_view token) {
  auto opened = open_session_token(engine.session_seal(), access_key_id, token);
  if (!opened) return std::move(opened).error();
  auto facts = std::make_shared<const SessionFacts>(std::move(opened->facts));
  Invocation from;
  from.principal = facts->arn();
  from.session = facts;
  auto transaction = engine.read();
  if (!transaction) return internal_failure(std::move(transaction).error());
  // Expired, or of a role that is gone? Asked again in the transaction that decides.
  if (auto identity = CallerIdentity::load(engine, **transaction, from); !identity) {
    return std::move(identity).error();
  }
  return Credential{std::move(from.principal), std::move(facts), std::move(opened->secret)};
}

}  // namespace

std::string SessionFacts::arn() const {
  return "arn:aws:sts::" + account + ":assumed-role/" + role_name + "/" + session_name;
}
std::string SessionFacts::role_arn() const { return entity_arn(EntityKind::kRole, account, role_name); }

Result<Session> assume_role(Engine& engine, const Invocation& from, const AssumeRoleRequest& request) {
  return perform<Session>(
      engine, from, "AssumeRole", parameters_of(request),
      [&](const CallerIdentity& identity, const Transaction& transaction,
          AuditRecord& record) -> Result<Session> {
        KMSFS_TRY(check(request));
        auto role = engine.principal(transaction, request.role_arn);
        if (!role) return std::move(role).error();
        const bool is_role = *role && (*role)->record.kind == EntityKind::kRole;
        // Whether a role exists is told to those only who may assume it.
        if (!is_role) return may_not_assume(identity.caller(), request.role_arn);
        record.resources.push_back({(*role)->record.account, request.role_arn, "AWS::IAM::Role"});
        if (!may_assume(engine, from, request, identity, **role)) {
          return may_not_assume(identity.caller(), request.role_arn);
        }
        KMSFS_TRY(check_limits(request, **role, identity.caller()));
        auto session = make_session(engine, request, **role);
        if (session) record.response_elements = response_of(*session);
        return session;
      });
}

Result<CallerIdentityReply> get_caller_identity(Engine& engine, const Invocation& from) {
  return perform<CallerIdentityReply>(
      engine, from, "GetCallerIdentity", "null",
      [](const CallerIdentity& identity, const Transaction&, AuditRecord&) -> Result<CallerIdentityReply> {
        return CallerIdentityReply{identity.caller().account, identity.caller().arn, identity.user_id()};
      });
}

Result<Credential> find_credential(Engine& engine, std::string_view access_key_id,
                                   std::string_view session_token) {
  if (access_key_id.starts_with("ASIA")) {
    return session_token.empty() ? invalid_token() : open_session(engine, access_key_id, session_token);
  }
  auto transaction = engine.read();
  if (!transaction) return internal_failure(std::move(transaction).error());
  auto key = find_access_key(engine, **transaction, access_key_id);
  if (!key) return std::move(key).error();
  if (!*key || !(*key)->active || !session_token.empty()) return invalid_token();
  return Credential{std::move((*key)->principal), nullptr, std::move((*key)->secret)};
}

}  // namespace kmsfs::kms
