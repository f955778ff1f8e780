// Keys as such: making, describing, listing, enabling, describing anew.
#include <algorithm>
#include <utility>

#include "kms/pages.h"
#include "kms/perform.h"
#include "kms/service.h"
#include "kms/tags.h"

namespace kmsfs::kms {

namespace {

constexpr std::size_t kLongestDescription = 8192;

// What AWS makes and this store does not.
Result<void> check_specification(const CreateKeyRequest& request) {
  constexpr std::array<std::string_view, 18> specs = {"RSA_2048",
                                                      "RSA_3072",
                                                      "RSA_4096",
                                                      "ECC_NIST_P256",
                                                      "ECC_NIST_P384",
                                                      "ECC_NIST_P521",
                                                      "ECC_SECG_P256K1",
                                                      "ECC_NIST_EDWARDS25519",
                                                      "HMAC_224",
                                                      "HMAC_256",
                                                      "HMAC_384",
                                                      "HMAC_512",
                                                      "SM2",
                                                      "ML_DSA_44",
                                                      "ML_DSA_65",
                                                      "ML_DSA_87",
                                                      "SYMMETRIC_DEFAULT",
                                                      ""};
  constexpr std::array<std::string_view, 5> usages = {"", "ENCRYPT_DECRYPT", "SIGN_VERIFY",
                                                      "GENERATE_VERIFY_MAC", "KEY_AGREEMENT"};
  constexpr std::array<std::string_view, 5> origins = {"", "AWS_KMS", "EXTERNAL", "AWS_CLOUDHSM",
                                                       "EXTERNAL_KEY_STORE"};
  const auto unsupported = [](std::string text) {
    return answer(Kind::kUnsupported, "UnsupportedOperationException", std::move(text));
  };
  if (std::ranges::find(specs, request.key_spec) == specs.end()) {
    return constraint(
        "keySpec",
        "satisfy enum value set: [RSA_2048, ECC_NIST_EDWARDS25519, ECC_NIST_P384, "
        "ECC_NIST_P256, ECC_NIST_P521, HMAC_384, RSA_3072, ECC_SECG_P256K1, RSA_4096, "
        "SYMMETRIC_DEFAULT, HMAC_256, HMAC_224, HMAC_512, SM2, ML_DSA_44, ML_DSA_65, ML_DSA_87]",
        request.key_spec);
  }
  if (std::ranges::find(usages, request.key_usage) == usages.end()) {
    return constraint("keyUsage",
                      "satisfy enum value set: [ENCRYPT_DECRYPT, SIGN_VERIFY, GENERATE_VERIFY_MAC, "
                      "KEY_AGREEMENT]",
                      request.key_usage);
  }
  if (std::ranges::find(origins, request.origin) == origins.end()) {
    return constraint("origin",
                      "satisfy enum value set: [EXTERNAL, AWS_CLOUDHSM, AWS_KMS, EXTERNAL_KEY_STORE]",
                      request.origin);
  }
  if (!request.key_spec.empty() && request.key_spec != "SYMMETRIC_DEFAULT") {
    return unsupported("KeySpec " + request.key_spec + " is not supported: keys here are symmetric");
  }
  if (!request.key_usage.empty() && request.key_usage != "ENCRYPT_DECRYPT") {
    return validation("KeyUsage " + request.key_usage + " is not compatible with KeySpec SYMMETRIC_DEFAULT");
  }
  if (!request.origin.empty() && request.origin != "AWS_KMS") {
    return unsupported("Origin " + request.origin + " is not supported");
  }
  if (request.multi_region) return unsupported("Multi-Region keys are not supported");
  if (!request.custom_key_store_id.empty() || !request.xks_key_id.empty()) {
    return unsupported("Custom key stores are not supported");
  }
  return {};
}

// As CloudTrail has it.
std::string key_metadata(const LoadedKey& key) {
  std::string text;
  JsonWriter json(text);
  json.begin().begin("keyMetadata");
  json.text("aWSAccountId", key.record.account).text("keyId", uuid_of(key.record.id));
  json.text("arn", key.facts.arn).number("creationDate", key.record.created_ms / 1000);
  json.boolean("enabled", true).text("description", key.record.description);
  json.text("keyUsage", key.facts.usage).text("keyState", "Enabled").text("origin", key.facts.origin);
  json.text("keyManager", "CUSTOMER").text("keySpec", key.facts.spec);
  json.text("customerMasterKeySpec", key.facts.spec);
  json.begin_list("encryptionAlgorithms").text({}, "SYMMETRIC_DEFAULT").end_list();
  json.boolean("multiRegion", false).text("currentKeyMaterialId", key.current_material_id());
  json.end().end();
  return text;
}

}  // namespace

Result<KeyReply> Service::create_key(const Invocation& from, const CreateKeyRequest& request) {
  const auto act = [&](Call& call, WriteTransaction& transaction) -> Result<KeyReply> {
    KMSFS_TRY(check_length("description", request.description.size(), 0, kLongestDescription));
    KMSFS_TRY(check_specification(request));
    auto tags = checked_tags(request.tags, {});
    if (!tags) return std::move(tags).error();
    Call::Use use;
    if (!tags->empty()) use.request_tags = &*tags;
    if (request.bypass_policy_lockout_safety_check) use.bypass_policy_lockout_safety_check = true;
    KMSFS_TRY(call.authorise_without_key("*", use));
    if (!tags->empty()) {
      KMSFS_TRY(call.authorise_without_key("*", {.action = "kms:TagResource", .request_tags = &*tags}));
    }
    NewKey key;
    key.account = call.caller().account;
    key.description = request.description;
    key.policy = request.policy ? *request.policy : default_key_policy(key.account);
    key.tags = std::move(*tags);
    auto policy = parse_policy(key.policy, PolicyUse::kKey);
    if (!policy) return std::move(policy).error();
    auto principals = bound_principals(*engine_, transaction, *policy);
    if (!principals) return std::move(principals).error();
    key.principals = std::move(*principals);
    auto made = make_key(*engine_, transaction, std::move(key));
    if (!made) return std::move(made).error();
    if (request.policy && !request.bypass_policy_lockout_safety_check) {
      KMSFS_TRY(call.check_lockout(made->facts, made->policy));
    }
    call.record().resources.push_back({made->facts.account, made->facts.arn, "AWS::KMS::Key"});
    call.record().response_elements = key_metadata(*made);
    return KeyReply{describe(*made)};
  };
  return perform_change<KeyReply>(*engine_, Operation::kCreateKey, from, request, act);
}

Result<KeyReply> Service::describe_key(const Invocation& from, const KeyRequest& request) {
  const auto act = [&](Call& call) -> Result<KeyReply> {
    KMSFS_TRY(call.check_grant_tokens(request.grant_tokens));
    auto key = call.authorised_key(request.key_id, {});
    if (!key) return std::move(key).error();
    return KeyReply{describe(**key)};
  };
  return perform_use<KeyReply>(*engine_, Operation::kDescribeKey, from, request, act);
}

Result<ListKeysReply> Service::list_keys(const Invocation& from, const ListRequest& request) {
  const auto act = [&](Call& call) -> Result<ListKeysReply> {
    const std::string& account = call.caller().account;
    auto page = Page::make("keys/", request.limit, request.marker, {100, 1000});
    if (!page) return std::move(page).error();
    KMSFS_TRY(call.authorise_without_key("*", {}));
    KMSFS_TRY(call.check_nothing_due());
    ListKeysReply reply;
    const auto take = [&](std::string_view uuid, ByteView) -> Result<bool> {
      const auto id = parse_key_id(uuid);
      if (!id) {
        return answer(Kind::kUnavailable, "KMSInternalException", "the key store holds a damaged index");
      }
      reply.keys.push_back({std::string(uuid), key_arn(call.engine().region(), account, *id)});
      return true;
    };
    auto next = walk(call.transaction(), Table::kAccountKeys, account + "/", *page, take);
    if (!next) return std::move(next).error();
    reply.next_marker = std::move(*next);
    return reply;
  };
  return perform_use<ListKeysReply>(*engine_, Operation::kListKeys, from, request, act);
}

Result<Done> Service::set_state(Operation operation, KeyState state, const Invocation& from,
                                const KeyRequest& request) {
  std::optional<KeyId> overdue;
  const auto act = [&](Call& call, WriteTransaction& transaction) -> Result<Done> {
    auto key = call.authorised_key(request.key_id, {});
    if (!key) return std::move(key).error();
    KeyRecord record = (*key)->record;
    record.state = state;
    KMSFS_TRY(write_key(transaction, record));
    const std::int64_t due = due_ms(record);
    overdue = due != 0 && due <= engine_->now_ms() ? std::optional<KeyId>(record.id) : std::nullopt;
    return Done{};
  };
  auto done = perform_change<Done>(*engine_, operation, from, request, act);
  // A rotation that came due while the key was disabled. If it fails now, the key's next use tries again.
  if (done && overdue) static_cast<void>(settle_due(*engine_, *overdue).ok());
  return done;
}

Result<Done> Service::enable_key(const Invocation& from, const KeyRequest& request) {
  return set_state(Operation::kEnableKey, KeyState::kEnabled, from, request);
}

Result<Done> Service::disable_key(const Invocation& from, const KeyRequest& request) {
  return set_state(Operation::kDisableKey, KeyState::kDisabled, from, request);
}

Result<Done> Service::update_key_description(const Invocation& from,
                                             const UpdateKeyDescriptionRequest& request) {
  const auto act = [&](Call& call, WriteTransaction& transaction) -> Result<Done> {
    KMSFS_TRY(check_length("description", request.description.size(), 0, kLongestDescription));
    auto key = call.authorised_key(request.key_id, {});
    if (!key) return std::move(key).error();
    KeyRecord record = (*key)->record;
    record.description = request.description;
    KMSFS_TRY(write_key(transaction, record));
    return Done{};
  };
  return perform_change<Done>(*engine_, Operation::kUpdateKeyDescription, from, request, act);
}

}  // namespace kmsfs::kms
