#include "kms/request_parameters.h"

#include "kms/audit_record.h"

namespace kmsfs::kms {

namespace {

constexpr std::string_view kAlgorithm = "SYMMETRIC_DEFAULT";

// An object whose members `write` gives.
template <typename Write>
std::string object(Write write) {
  std::string out;
  out.reserve(256);
  JsonWriter json(out);
  json.begin();
  write(json);
  json.end();
  return out;
}

void if_given(JsonWriter& json, std::string_view name, std::string_view value) {
  if (!value.empty()) json.text(name, value);
}
void if_given(JsonWriter& json, std::string_view name, const EncryptionContext& context) {
  if (!context.empty()) json.texts(name, context);
}

}  // namespace

std::string request_parameters(const CreateKeyRequest& request) {
  return object([&](JsonWriter& json) {
    json.text("description", request.description);
    if (request.policy) json.text("policy", *request.policy);
    json.boolean("bypassPolicyLockoutSafetyCheck", request.bypass_policy_lockout_safety_check);
    json.text("keySpec", kAlgorithm).text("keyUsage", "ENCRYPT_DECRYPT").text("origin", "AWS_KMS");
  });
}

std::string request_parameters(const KeyRequest& request) {
  return object([&](JsonWriter& json) { json.text("keyId", request.key_id); });
}

std::string request_parameters(const GetKeyPolicyRequest& request) {
  return object([&](JsonWriter& json) {
    json.text("keyId", request.key_id);
    if_given(json, "policyName", request.policy_name);
  });
}

std::string request_parameters(const ListRequest& request) {
  return object([&](JsonWriter& json) {
    if_given(json, "keyId", request.key_id);
    if (request.limit) json.number("limit", *request.limit);
    if_given(json, "marker", request.marker);
  });
}

std::string request_parameters(const CreateAliasRequest& request) {
  return object([&](JsonWriter& json) {
    json.text("aliasName", request.alias_name).text("targetKeyId", request.target_key_id);
  });
}

std::string request_parameters(const GenerateDataKeyRequest& request) {
  return object([&](JsonWriter& json) {
    json.text("keyId", request.key_id);
    if_given(json, "keySpec", request.key_spec);
    if (request.number_of_bytes) json.number("numberOfBytes", *request.number_of_bytes);
    if_given(json, "encryptionContext", request.context);
  });
}

std::string request_parameters(const EncryptRequest& request) {
  return object([&](JsonWriter& json) {
    json.text("keyId", request.key_id).text("encryptionAlgorithm", kAlgorithm);
    if_given(json, "encryptionContext", request.context);
  });
}

std::string request_parameters(const DecryptRequest& request) {
  return object([&](JsonWriter& json) {
    if_given(json, "keyId", request.key_id);
    json.text("encryptionAlgorithm", kAlgorithm);
    if_given(json, "encryptionContext", request.context);
  });
}

std::string request_parameters(const ReEncryptRequest& request) {
  return object([&](JsonWriter& json) {
    if_given(json, "sourceKeyId", request.source_key_id);
    json.text("sourceEncryptionAlgorithm", kAlgorithm);
    if_given(json, "sourceEncryptionContext", request.source_context);
    json.text("destinationKeyId", request.destination_key_id)
        .text("destinationEncryptionAlgorithm", kAlgorithm);
    if_given(json, "destinationEncryptionContext", request.destination_context);
  });
}

}  // namespace kmsfs::kms
