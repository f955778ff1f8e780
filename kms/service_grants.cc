// Grants: made, listed, revoked by whoever may manage the key, retired by whom they name.
#include <algorithm>
#include <array>
#include <utility>

#include "kms/decision/principal.h"
#include "kms/grants.h"
#include "kms/pages.h"
#include "kms/perform.h"
#include "kms/service.h"

namespace kmsfs::kms {

namespace {

constexpr std::int64_t kMostGrants = 50'000;  // of one key, as at AWS
constexpr std::size_t kMostPairs = 8, kLongestPairValue = 384;
constexpr std::size_t kLongestName = 256;

constexpr std::array<std::string_view, 11> kOperations = {"Decrypt",
                                                          "Encrypt",
                                                          "GenerateDataKey",
                                                          "GenerateDataKeyWithoutPlaintext",
                                                          "ReEncryptFrom",
                                                          "ReEncryptTo",
                                                          "CreateGrant",
                                                          "RetireGrant",
                                                          "DescribeKey",
                                                          "GenerateDataKeyPair",
                                                          "GenerateDataKeyPairWithoutPlaintext"};
constexpr std::array<std::string_view, 6> kOfOtherKeys = {"Sign",        "Verify",    "GetPublicKey",
                                                          "GenerateMac", "VerifyMac", "DeriveSharedSecret"};

Error invalid_grant_id() {
  return answer(Kind::kInvalid, "InvalidGrantIdException", "The grant ID is invalid");
}

bool is_grant_name(std::string_view name) {
  return name.size() <= kLongestName && std::ranges::all_of(name, [](unsigned char c) {
           return std::isalnum(c) != 0 ||
                  std::string_view(":/_-").find(static_cast<char>(c)) != std::string_view::npos;
         });
}

Result<void> check_operations(const std::vector<std::string>& operations) {
  if (operations.empty()) return constraint("operations", "not be null");
  for (const std::string& operation : operations) {
    if (std::ranges::find(kOperations, operation) != kOperations.end()) continue;
    if (std::ranges::find(kOfOtherKeys, operation) != kOfOtherKeys.end()) {
      return validation("Operation " + operation + " is not valid for a key with usage ENCRYPT_DECRYPT");
    }
    return constraint("operations",
                      "satisfy constraint: [Member must satisfy enum value set: [RetireGrant, ReEncryptFrom, "
                      "ReEncryptTo, CreateGrant, GenerateDataKey, GenerateDataKeyWithoutPlaintext, "
                      "DescribeKey, Encrypt, Decrypt, Sign, Verify, GetPublicKey, GenerateDataKeyPair, "
                      "GenerateDataKeyPairWithoutPlaintext, GenerateMac, VerifyMac, DeriveSharedSecret]]",
                      operation);
  }
  return {};
}

Result<void> set_constraint(Grant& grant, const GrantConstraints& constraints) {
  const auto& equals = constraints.encryption_context_equals;
  const auto& subset = constraints.encryption_context_subset;
  if (equals && subset) return validation("A grant has at most one kind of encryption context constraint");
  if (!equals && !subset) return {};
  grant.constraint_context = equals ? *equals : *subset;
  grant.constraint =
      equals ? GrantConstraint::kEncryptionContextEquals : GrantConstraint::kEncryptionContextSubset;
  const bool too_long = std::ranges::any_of(
      grant.constraint_context, [](const auto& pair) { return pair.second.size() > kLongestPairValue; });
  if (grant.constraint_context.size() > kMostPairs || too_long) {
    return validation("A grant constraint has at most 8 pairs, with values of at most 384 characters");
  }
  return {};
}

// Ties a principal of a grant to what it is now.
Result<std::string> bound(Call& call, std::string_view member, const std::string& principal) {
  KMSFS_TRY(check_length(member, principal.size(), 1, 256));
  const Error invalid =
      answer(Kind::kInvalid, "InvalidArnException", "ARN does not refer to a valid principal: " + principal);
  if (!principal.starts_with("arn:")) {
    if (parse_service_principal(principal)) return std::string();
    return invalid;
  }
  auto parsed = parse_aws_principal(principal);
  if (!parsed) return invalid;
  if (parsed->form == PrincipalForm::kAccount) return std::string();
  auto identity = identity_of(call.engine(), call.transaction(), principal);
  if (!identity) return std::move(identity).error();
  if (!*identity) return invalid;
  return std::move(**identity);
}

// What the request asks for, without an id.
Result<GrantRecord> wanted(Call& call, const CreateGrantRequest& request) {
  GrantRecord record;
  KMSFS_TRY(check_operations(request.operations));
  if (!is_grant_name(request.name)) {
    return constraint("name", "satisfy regular expression pattern: ^[a-zA-Z0-9:/_-]+$", request.name);
  }
  KMSFS_TRY(set_constraint(record.grant, request.constraints));
  auto grantee = bound(call, "granteePrincipal", request.grantee_principal);
  if (!grantee) return std::move(grantee).error();
  record.grant.grantee = request.grantee_principal;
  record.grant.grantee_unique_id = std::move(*grantee);
  if (!request.retiring_principal.empty()) {
    auto retiring = bound(call, "retiringPrincipal", request.retiring_principal);
    if (!retiring) return std::move(retiring).error();
    record.grant.retiring = request.retiring_principal;
    record.grant.retiring_unique_id = std::move(*retiring);
  }
  for (const std::string& operation : request.operations) {
    auto& operations = record.grant.operations;
    if (std::ranges::find(operations, operation) == operations.end()) operations.push_back(operation);
  }
  record.grant.issuing_account = call.caller().account;
  record.name = request.name;
  record.created_ms = call.engine().now_ms();
  return record;
}

bool same_but_for_id(const GrantRecord& a, const GrantRecord& b) {
  const auto facts = [](const GrantRecord& record) {
    const Grant& grant = record.grant;
    return std::tie(record.name, grant.grantee, grant.grantee_unique_id, grant.retiring,
                    grant.retiring_unique_id, grant.issuing_account, grant.constraint,
                    grant.constraint_context);
  };
  // Each operation is there once; their order says nothing.
  return facts(a) == facts(b) && std::ranges::is_permutation(a.grant.operations, b.grant.operations);
}

// A named grant that is asked for again, in all that it says, is the one that there is.
Result<std::string> id_of_same(Call& call, const LoadedKey& key, const GrantRecord& record) {
  if (record.name.empty()) return std::string();
  auto there = grants_to(call.engine(), call.transaction(), key.record.id, record.grant.grantee);
  if (!there) return std::move(there).error();
  const auto same =
      std::ranges::find_if(*there, [&](const auto& other) { return same_but_for_id(*other, record); });
  return same == there->end() ? std::string() : (*same)->grant.id;
}

GrantEntry entry_of(const GrantRecord& record) {
  const Grant& grant = record.grant;
  GrantEntry entry;
  entry.key_arn = grant.key_arn;
  entry.grant_id = grant.id;
  entry.name = record.name;
  entry.created_ms = record.created_ms;
  entry.grantee_principal = grant.grantee;
  entry.retiring_principal = grant.retiring;
  entry.issuing_account = root_arn(grant.issuing_account);
  entry.operations = grant.operations;
  if (grant.constraint == GrantConstraint::kEncryptionContextEquals) {
    entry.constraints.encryption_context_equals = grant.constraint_context;
  } else if (grant.constraint == GrantConstraint::kEncryptionContextSubset) {
    entry.constraints.encryption_context_subset = grant.constraint_context;
  }
  return entry;
}

std::string grant_and_key(const std::string& grant_id, const std::string& key_arn) {
  std::string text;
  JsonWriter(text).begin().text("grantId", grant_id).text("keyId", key_arn).end();
  return text;
}

Result<std::shared_ptr<const GrantRecord>> grant_of_key(Call& call, const LoadedKey& key,
                                                        const std::string& grant_id) {
  const auto id = parse_grant_id(grant_id);
  if (!id) return invalid_grant_id();
  auto grant = call.engine().grant(call.transaction(), grant_name(key.record.id, *id));
  if (grant && !*grant) return invalid_grant_id();
  return grant;
}

struct KeyAndGrant {
  Call::Key key;
  std::shared_ptr<const GrantRecord> grant;
};

Result<KeyAndGrant> named_by(Call& call, const RetireGrantRequest& request) {
  KeyAndGrant named;
  if (!request.grant_token.empty()) {
    if (!request.key_id.empty() || !request.grant_id.empty()) {
      return validation("Please specify either a grant token, or key ID and grant ID");
    }
    GrantName name{};
    auto grant = open_grant_token(call.engine(), call.transaction(), request.grant_token, name);
    if (!grant) return std::move(grant).error();
    named.grant = std::move(*grant);
    auto key = call.key_of_id(key_of(name));
    if (!key) return std::move(key).error();
    named.key = std::move(*key);
    return named;
  }
  if (request.key_id.empty() || request.grant_id.empty()) {
    return validation("Please specify either a grant token, or key ID and grant ID");
  }
  auto key = call.resolve(request.key_id);
  if (!key) return std::move(key).error();
  auto grant = grant_of_key(call, **key, request.grant_id);
  if (!grant) {
    const bool foreign = (*key)->record.account != call.caller().account;
    return foreign && grant.error().kind == Kind::kInvalid
               ? access_denied("User: " + call.caller().arn +
                               " is not authorized to perform: kms:RetireGrant because no resource-based "
                               "policy allows the kms:RetireGrant action")
               : std::move(grant).error();
  }
  named.key = std::move(*key);
  named.grant = std::move(*grant);
  return named;
}

}  // namespace

Result<CreateGrantReply> Service::create_grant(const Invocation& from, const CreateGrantRequest& request) {
  const auto act = [&](Call& call, WriteTransaction& transaction) -> Result<CreateGrantReply> {
    KMSFS_TRY(call.check_grant_tokens(request.grant_tokens));
    auto record = wanted(call, request);
    if (!record) return std::move(record).error();
    auto named = call.resolve(request.key_id);
    if (!named) return std::move(named).error();
    record->grant.key_arn = (*named)->facts.arn;
    call.record().resources.clear();
    auto key = call.authorised_key(request.key_id, {.new_grant = &record->grant});
    if (!key) return std::move(key).error();
    auto same = id_of_same(call, **key, *record);
    if (!same) return std::move(same).error();
    GrantId id{};
    if (same->empty()) {
      if ((*key)->record.grants >= kMostGrants) return limit_exceeded("a key has at most 50000 grants");
      random_bytes(id);
      record->grant.id = to_hex(id);
      KMSFS_TRY(add_grant(transaction, **key, *record));
    } else {
      id = parse_grant_id(*same).value_or(GrantId{});
      record->grant.id = std::move(*same);
    }
    auto token = make_grant_token(*engine_, grant_name((*key)->record.id, id));
    if (!token) return std::move(token).error();
    if (request.dry_run) return dry_run_succeeded();
    call.record().response_elements = grant_and_key(record->grant.id, (*key)->facts.arn);
    return CreateGrantReply{record->grant.id, std::move(*token)};
  };
  return perform_change<CreateGrantReply>(*engine_, Operation::kCreateGrant, from, request, act);
}

Result<ListGrantsReply> Service::list_grants(const Invocation& from, const ListGrantsRequest& request) {
  const auto act = [&](Call& call) -> Result<ListGrantsReply> {
    auto page = Page::make("grants/", request.limit, request.marker, {50, 100});
    if (!page) return std::move(page).error();
    auto key = call.authorised_key(request.key_id, {});
    if (!key) return std::move(key).error();
    ListGrantsReply reply;
    if (!request.grant_id.empty()) {
      auto grant = grant_of_key(call, **key, request.grant_id);
      if (!grant) return std::move(grant).error();
      const bool theirs =
          request.grantee_principal.empty() || (*grant)->grant.grantee == request.grantee_principal;
      if (theirs) reply.grants.push_back(entry_of(**grant));
      return reply;
    }
    const auto take = [&](std::string_view, ByteView value) -> Result<bool> {
      auto record = parse_grant_record(value);
      if (!record) return std::move(record).error();
      if (!request.grantee_principal.empty() && record->grant.grantee != request.grantee_principal)
        return false;
      reply.grants.push_back(entry_of(*record));
      return true;
    };
    const std::string prefix(as_text((*key)->record.id.view()));
    auto next = walk(call.transaction(), Table::kGrants, prefix, *page, take);
    if (!next) return std::move(next).error();
    reply.next_marker = std::move(*next);
    return reply;
  };
  return perform_use<ListGrantsReply>(*engine_, Operation::kListGrants, from, request, act);
}

Result<Done> Service::revoke_grant(const Invocation& from, const RevokeGrantRequest& request) {
  const auto act = [&](Call& call, WriteTransaction& transaction) -> Result<Done> {
    KMSFS_TRY(check_length("grantId", request.grant_id.size(), 1, 128));
    auto key = call.authorised_key(request.key_id, {});
    if (!key) return std::move(key).error();
    auto grant = grant_of_key(call, **key, request.grant_id);
    if (!grant) return std::move(grant).error();
    if (request.dry_run) return dry_run_succeeded();
    KMSFS_TRY(erase_grant(transaction, **key, **grant));
    call.record().response_elements = grant_and_key(request.grant_id, (*key)->facts.arn);
    return Done{};
  };
  return perform_change<Done>(*engine_, Operation::kRevokeGrant, from, request, act);
}

Result<Done> Service::retire_grant(const Invocation& from, const RetireGrantRequest& request) {
  const auto act = [&](Call& call, WriteTransaction& transaction) -> Result<Done> {
    auto named = named_by(call, request);
    if (!named) return std::move(named).error();
    // A token names a grant without saying so; the record says which one it was.
    call.record().request_parameters = grant_and_key(named->grant->grant.id, named->key->facts.arn);
    KMSFS_TRY(call.authorise_retiring(*named->key, named->grant->grant));
    if (request.dry_run) return dry_run_succeeded();
    KMSFS_TRY(erase_grant(transaction, *named->key, *named->grant));
    return Done{};
  };
  return perform_change<Done>(*engine_, Operation::kRetireGrant, from, request, act);
}

Result<ListGrantsReply> Service::list_retirable_grants(const Invocation& from,
                                                       const ListRetirableGrantsRequest& request) {
  const auto act = [&](Call& call) -> Result<ListGrantsReply> {
    const std::string& principal = request.retiring_principal;
    KMSFS_TRY(check_length("retiringPrincipal", principal.size(), 1, 256));
    auto page = Page::make("retirable/", request.limit, request.marker, {50, 100});
    if (!page) return std::move(page).error();
    auto parsed = parse_aws_principal(principal);
    if (!parsed || !principal.starts_with("arn:")) {
      return answer(Kind::kInvalid, "InvalidArnException",
                    "ARN does not refer to a valid principal: " + principal);
    }
    KMSFS_TRY(call.authorise_without_key(principal, {}));
    if (parsed->account != call.caller().account) {
      return access_denied(
          "User: " + call.caller().arn +
          " is not authorized to perform: kms:ListRetirableGrants on resource: " + principal);
    }
    KMSFS_TRY(call.check_nothing_due());
    ListGrantsReply reply;
    const std::string prefix = retirer_prefix(principal);
    const auto take = [&](std::string_view name, ByteView) -> Result<bool> {
      auto grant = call.engine().grant(call.transaction(), as_bytes(name));
      if (!grant) return std::move(grant).error();
      if (!*grant) return false;
      reply.grants.push_back(entry_of(**grant));
      return true;
    };
    auto next = walk(call.transaction(), Table::kRetirers, prefix, *page, take);
    if (!next) return std::move(next).error();
    reply.next_marker = std::move(*next);
    return reply;
  };
  return perform_use<ListGrantsReply>(*engine_, Operation::kListRetirableGrants, from, request, act);
}

}  // namespace kmsfs::kms
