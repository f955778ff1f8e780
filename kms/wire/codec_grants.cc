// CreateGrant, ListGrants, ListRetirableGrants, RevokeGrant, RetireGrant.
#include "kms/wire/codec.h"

namespace kmsfs::kms {

namespace {

GrantConstraints constraints_of(const Input& in) {
  GrantConstraints constraints;
  const auto given = in.structure("Constraints");
  if (!given) return constraints;
  if (given->has("EncryptionContextEquals")) {
    constraints.encryption_context_equals = given->context("EncryptionContextEquals");
  }
  if (given->has("EncryptionContextSubset")) {
    constraints.encryption_context_subset = given->context("EncryptionContextSubset");
  }
  return constraints;
}

constexpr Member kCreateGrant[] = {
    {"KeyId", &shape::kKeyId, kRequired},
    {"GranteePrincipal", &shape::kPrincipalId, kRequired},
    {"RetiringPrincipal", &shape::kPrincipalId},
    {"Operations", &shape::kGrantOperations, kRequired},
    {"Constraints", &shape::kGrantConstraints},
    {"GrantTokens", &shape::kGrantTokens},
    {"Name", &shape::kGrantName},
    {"DryRun", &shape::kBoolean},
};
Result<Body> create_grant(const CodecCall& call) {
  const Input& in = call.in;
  auto reply = call.service.create_grant(call.from, {.key_id = in.text("KeyId"),
                                                     .grantee_principal = in.text("GranteePrincipal"),
                                                     .operations = in.texts("Operations"),
                                                     .retiring_principal = in.text("RetiringPrincipal"),
                                                     .constraints = constraints_of(in),
                                                     .name = in.text("Name"),
                                                     .grant_tokens = in.texts("GrantTokens"),
                                                     .dry_run = in.flag("DryRun")});
  if (!reply) return std::move(reply).error();
  return std::move(Output().text("GrantToken", reply->grant_token).text("GrantId", reply->grant_id)).body();
}

void write_grant(Output& out, const GrantEntry& grant) {
  JsonWriter& json = out.json().begin();
  json.text("KeyId", grant.key_arn).text("GrantId", grant.grant_id).text("Name", grant.name);
  json.json("CreationDate", epoch_seconds(grant.created_ms));
  json.text("GranteePrincipal", grant.grantee_principal);
  if (!grant.retiring_principal.empty()) json.text("RetiringPrincipal", grant.retiring_principal);
  json.text("IssuingAccount", grant.issuing_account);
  out.texts("Operations", grant.operations);
  const auto& equals = grant.constraints.encryption_context_equals;
  const auto& subset = grant.constraints.encryption_context_subset;
  if (equals || subset) {
    json.begin("Constraints");
    if (equals) json.texts("EncryptionContextEquals", *equals);
    if (subset) json.texts("EncryptionContextSubset", *subset);
    json.end();
  }
  json.end();
}

Result<Body> write_grants(Result<ListGrantsReply> reply) {
  if (!reply) return std::move(reply).error();
  Output out;
  out.json().begin_list("Grants");
  for (const GrantEntry& grant : reply->grants) write_grant(out, grant);
  out.json().end_list();
  return std::move(out.page(reply->next_marker)).body();
}

constexpr Member kListGrants[] = {
    {"KeyId", &shape::kKeyId, kRequired},
    {"GrantId", &shape::kGrantId},
    {"GranteePrincipal", &shape::kPrincipalId},
    {"Limit", &shape::kLimit},
    {"Marker", &shape::kMarker},
};
Result<Body> list_grants(const CodecCall& call) {
  const Input& in = call.in;
  return write_grants(call.service.list_grants(call.from, {.key_id = in.text("KeyId"),
                                                           .grant_id = in.text("GrantId"),
                                                           .grantee_principal = in.text("GranteePrincipal"),
                                                           .limit = in.integer("Limit"),
                                                           .marker = in.text("Marker")}));
}

constexpr Member kListRetirableGrants[] = {{"RetiringPrincipal", &shape::kPrincipalId, kRequired},
                                           {"Limit", &shape::kLimit},
                                           {"Marker", &shape::kMarker}};
Result<Body> list_retirable_grants(const CodecCall& call) {
  const Input& in = call.in;
  return write_grants(
      call.service.list_retirable_grants(call.from, {.retiring_principal = in.text("RetiringPrincipal"),
                                                     .limit = in.integer("Limit"),
                                                     .marker = in.text("Marker")}));
}

constexpr Member kRevokeGrant[] = {{"KeyId", &shape::kKeyId, kRequired},
                                   {"GrantId", &shape::kGrantId, kRequired},
                                   {"DryRun", &shape::kBoolean}};
Result<Body> revoke_grant(const CodecCall& call) {
  const Input& in = call.in;
  return nothing(call.service.revoke_grant(
      call.from, {.key_id = in.text("KeyId"), .grant_id = in.text("GrantId"), .dry_run = in.flag("DryRun")}));
}

constexpr Member kRetireGrant[] = {{"GrantToken", &shape::kGrantToken},
                                   {"KeyId", &shape::kKeyId},
                                   {"GrantId", &shape::kGrantId},
                                   {"DryRun", &shape::kBoolean}};
Result<Body> retire_grant(const CodecCall& call) {
  const Input& in = call.in;
  return nothing(call.service.retire_grant(call.from, {.grant_token = in.text("GrantToken"),
                                                       .key_id = in.text("KeyId"),
                                                       .grant_id = in.text("GrantId"),
                                                       .dry_run = in.flag("DryRun")}));
}

constexpr Codec kCodecs[] = {
    {"CreateGrant", kCreateGrant, create_grant},
    {"ListGrants", kListGrants, list_grants},
    {"ListRetirableGrants", kListRetirableGrants, list_retirable_grants},
    {"RevokeGrant", kRevokeGrant, revoke_grant},
    {"RetireGrant", kRetireGrant, retire_grant},
};

}  // namespace

std::span<const Codec> grant_codecs() { return kCodecs; }

}  // namespace kmsfs::kms
