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

void if_given(JsonWriter& json, std::string_view name, std::optional<std::int64_t> value) {
  if (value) json.number(name, *value);
}
void texts(JsonWriter& json, std::string_view name, const std::vector<std::string>& values) {
  json.begin_list(name);
  for (const std::string& value : values) json.text({}, value);
  json.end_list();
}
void tags(JsonWriter& json, const std::vector<Tag>& values) {
  json.begin_list("tags");
  for (const Tag& tag : values) json.begin().text("tagKey", tag.key).text("tagValue", tag.value).end();
  json.end_list();
}
void page(JsonWriter& json, std::optional<std::int64_t> limit, std::string_view marker) {
  if_given(json, "limit", limit);
  if_given(json, "marker", marker);
}
void dry_run(JsonWriter& json, bool is) {
  if (is) json.boolean("dryRun", true);
}
std::string_view or_else(const std::string& given, std::string_view otherwise) {
  return given.empty() ? otherwise : std::string_view(given);
}

}  // namespace

std::string request_parameters(const CreateKeyRequest& request) {
  return object([&](JsonWriter& json) {
    json.text("description", request.description);
    if (request.policy) json.text("policy", *request.policy);
    json.boolean("bypassPolicyLockoutSafetyCheck", request.bypass_policy_lockout_safety_check);
    json.text("keySpec", or_else(request.key_spec, kAlgorithm));
    json.text("keyUsage", or_else(request.key_usage, "ENCRYPT_DECRYPT"));
    json.text("origin", or_else(request.origin, "AWS_KMS"));
    json.boolean("multiRegion", request.multi_region);
    if (!request.tags.empty()) tags(json, request.tags);
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
    page(json, request.limit, request.marker);
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
    if_given(json, "numberOfBytes", request.number_of_bytes);
    if_given(json, "encryptionContext", request.context);
    dry_run(json, request.dry_run);
  });
}

std::string request_parameters(const EncryptRequest& request) {
  return object([&](JsonWriter& json) {
    json.text("keyId", request.key_id)
        .text("encryptionAlgorithm", or_else(request.encryption_algorithm, kAlgorithm));
    if_given(json, "encryptionContext", request.context);
    dry_run(json, request.dry_run);
  });
}

std::string request_parameters(const DecryptRequest& request) {
  return object([&](JsonWriter& json) {
    if_given(json, "keyId", request.key_id);
    json.text("encryptionAlgorithm", or_else(request.encryption_algorithm, kAlgorithm));
    if_given(json, "encryptionContext", request.context);
    dry_run(json, request.dry_run);
  });
}

std::string request_parameters(const ReEncryptRequest& request) {
  return object([&](JsonWriter& json) {
    if_given(json, "sourceKeyId", request.source_key_id);
    json.text("sourceEncryptionAlgorithm", or_else(request.source_encryption_algorithm, kAlgorithm));
    if_given(json, "sourceEncryptionContext", request.source_context);
    json.text("destinationKeyId", request.destination_key_id)
        .text("destinationEncryptionAlgorithm",
              or_else(request.destination_encryption_algorithm, kAlgorithm));
    if_given(json, "destinationEncryptionContext", request.destination_context);
    dry_run(json, request.dry_run);
  });
}

std::string request_parameters(const KeyListRequest& request) {
  return object([&](JsonWriter& json) {
    json.text("keyId", request.key_id);
    if_given(json, "includeKeyMaterial", request.include_key_material);
    page(json, request.limit, request.marker);
  });
}

std::string request_parameters(const UpdateKeyDescriptionRequest& request) {
  return object(
      [&](JsonWriter& json) { json.text("keyId", request.key_id).text("description", request.description); });
}

std::string request_parameters(const DeleteAliasRequest& request) {
  return object([&](JsonWriter& json) { json.text("aliasName", request.alias_name); });
}

std::string request_parameters(const ScheduleKeyDeletionRequest& request) {
  return object([&](JsonWriter& json) {
    json.text("keyId", request.key_id)
        .number("pendingWindowInDays", request.pending_window_in_days.value_or(30));
  });
}

std::string request_parameters(const PutKeyPolicyRequest& request) {
  return object([&](JsonWriter& json) {
    json.text("keyId", request.key_id).text("policyName", or_else(request.policy_name, "default"));
    json.text("policy", request.policy);
    json.boolean("bypassPolicyLockoutSafetyCheck", request.bypass_policy_lockout_safety_check);
  });
}

std::string request_parameters(const EnableKeyRotationRequest& request) {
  return object([&](JsonWriter& json) {
    json.text("keyId", request.key_id)
        .number("rotationPeriodInDays", request.rotation_period_in_days.value_or(365));
  });
}

std::string request_parameters(const GenerateRandomRequest& request) {
  return object([&](JsonWriter& json) { if_given(json, "numberOfBytes", request.number_of_bytes); });
}

std::string request_parameters(const CreateGrantRequest& request) {
  return object([&](JsonWriter& json) {
    json.text("keyId", request.key_id).text("granteePrincipal", request.grantee_principal);
    if_given(json, "retiringPrincipal", request.retiring_principal);
    texts(json, "operations", request.operations);
    if (request.constraints.encryption_context_equals || request.constraints.encryption_context_subset) {
      json.begin("constraints");
      if (request.constraints.encryption_context_equals) {
        json.texts("encryptionContextEquals", *request.constraints.encryption_context_equals);
      }
      if (request.constraints.encryption_context_subset) {
        json.texts("encryptionContextSubset", *request.constraints.encryption_context_subset);
      }
      json.end();
    }
    if_given(json, "name", request.name);
    dry_run(json, request.dry_run);
  });
}

std::string request_parameters(const ListGrantsRequest& request) {
  return object([&](JsonWriter& json) {
    json.text("keyId", request.key_id);
    if_given(json, "grantId", request.grant_id);
    if_given(json, "granteePrincipal", request.grantee_principal);
    page(json, request.limit, request.marker);
  });
}

std::string request_parameters(const ListRetirableGrantsRequest& request) {
  return object([&](JsonWriter& json) {
    json.text("retiringPrincipal", request.retiring_principal);
    page(json, request.limit, request.marker);
  });
}

std::string request_parameters(const RevokeGrantRequest& request) {
  return object([&](JsonWriter& json) {
    json.text("keyId", request.key_id).text("grantId", request.grant_id);
    dry_run(json, request.dry_run);
  });
}

std::string request_parameters(const RetireGrantRequest& request) {
  return object([&](JsonWriter& json) {
    if_given(json, "keyId", request.key_id);
    if_given(json, "grantId", request.grant_id);
    dry_run(json, request.dry_run);
  });
}

std::string request_parameters(const TagResourceRequest& request) {
  return object([&](JsonWriter& json) {
    json.text("keyId", request.key_id);
    tags(json, request.tags);
  });
}

std::string request_parameters(const UntagResourceRequest& request) {
  return object([&](JsonWriter& json) {
    json.text("keyId", request.key_id);
    texts(json, "tagKeys", request.tag_keys);
  });
}

}  // namespace kmsfs::kms
