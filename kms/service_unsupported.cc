// What AWS has, and this KMS has not: each is resolved, decided and recorded as any operation, and refused.
#include <algorithm>
#include <iterator>
#include <utility>

#include "kms/perform.h"
#include "kms/service.h"

namespace kmsfs::kms {

namespace {

enum class Refusal {
  kUsage,         // for keys that sign, authenticate or agree
  kSpec,          // for keys that have a public half
  kOrigin,        // for keys whose material was imported
  kMultiRegion,   // for keys that are in several regions
  kNotSupported,  // AWS could, with a symmetric key
  kNoKey,         // custom key stores
};

struct Unsupported {
  OperationFacts facts;
  Refusal refusal;
};

constexpr bool kChanges = true, kReads = false;
constexpr NameRule kIdOrArn = NameRule::kIdOrArn, kAliasToo = NameRule::kAliasToo;
constexpr StateRule kAny = StateRule::kAny, kEnabled = StateRule::kEnabled,
                    kNotPending = StateRule::kNotPendingDeletion;

constexpr Unsupported kTable[] = {
    {{"Sign", "kms:Sign", kReads, kAliasToo, kEnabled}, Refusal::kUsage},
    {{"Verify", "kms:Verify", kReads, kAliasToo, kEnabled}, Refusal::kUsage},
    {{"GenerateMac", "kms:GenerateMac", kReads, kAliasToo, kEnabled}, Refusal::kUsage},
    {{"VerifyMac", "kms:VerifyMac", kReads, kAliasToo, kEnabled}, Refusal::kUsage},
    {{"DeriveSharedSecret", "kms:DeriveSharedSecret", kReads, kAliasToo, kEnabled}, Refusal::kUsage},
    {{"GetPublicKey", "kms:GetPublicKey", kReads, kAliasToo, kEnabled}, Refusal::kSpec},
    {{"GenerateDataKeyPair", "kms:GenerateDataKeyPair", kReads, kAliasToo, kEnabled}, Refusal::kNotSupported},
    {{"GenerateDataKeyPairWithoutPlaintext", "kms:GenerateDataKeyPairWithoutPlaintext", kReads, kAliasToo,
      kEnabled},
     Refusal::kNotSupported},
    {{"GetKeyLastUsage", "kms:GetKeyLastUsage", kReads, kIdOrArn, kAny}, Refusal::kNotSupported},
    {{"GetParametersForImport", "kms:GetParametersForImport", kReads, kIdOrArn, kNotPending},
     Refusal::kOrigin},
    {{"ImportKeyMaterial", "kms:ImportKeyMaterial", kChanges, kIdOrArn, kNotPending}, Refusal::kOrigin},
    {{"DeleteImportedKeyMaterial", "kms:DeleteImportedKeyMaterial", kChanges, kIdOrArn, kNotPending},
     Refusal::kOrigin},
    {{"ReplicateKey", "kms:ReplicateKey", kChanges, kIdOrArn, kEnabled}, Refusal::kMultiRegion},
    {{"UpdatePrimaryRegion", "kms:UpdatePrimaryRegion", kChanges, kIdOrArn, kEnabled}, Refusal::kMultiRegion},
    {{"CreateCustomKeyStore", "kms:CreateCustomKeyStore", kChanges}, Refusal::kNoKey},
    {{"UpdateCustomKeyStore", "kms:UpdateCustomKeyStore", kChanges}, Refusal::kNoKey},
    {{"DeleteCustomKeyStore", "kms:DeleteCustomKeyStore", kChanges}, Refusal::kNoKey},
    {{"ConnectCustomKeyStore", "kms:ConnectCustomKeyStore", kChanges}, Refusal::kNoKey},
    {{"DisconnectCustomKeyStore", "kms:DisconnectCustomKeyStore", kChanges}, Refusal::kNoKey},
    {{"DescribeCustomKeyStores", "kms:DescribeCustomKeyStores", kReads}, Refusal::kNoKey},
};

Error refusal_of(const Unsupported& operation, const std::string& arn) {
  const std::string name(operation.facts.name);
  std::string text;
  switch (operation.refusal) {
    case Refusal::kUsage:
      return answer(Kind::kInvalid, "InvalidKeyUsageException",
                    arn + " key usage is ENCRYPT_DECRYPT which is not valid for " + name + ".");
    case Refusal::kSpec:
      text = arn + " key spec is SYMMETRIC_DEFAULT which is not valid for " + name + ".";
      break;
    case Refusal::kOrigin:
      text = arn + " origin is AWS_KMS which is not valid for this operation.";
      break;
    case Refusal::kMultiRegion:
      text = arn + " is not a multi-region key.";
      break;
    case Refusal::kNotSupported:
      text = name + " is not supported by this KMS.";
      break;
    case Refusal::kNoKey:
      text = "This KMS has no custom key stores.";
      break;
  }
  return answer(Kind::kUnsupported, "UnsupportedOperationException", std::move(text));
}

}  // namespace

Result<Done> Service::refuse(const Invocation& from, std::string_view name, const KeyRequest& request) {
  const auto* const operation =
      std::ranges::find(kTable, name, [](const Unsupported& one) { return one.facts.name; });
  if (operation == std::end(kTable)) {
    return answer(Kind::kUnsupported, "UnknownOperationException", "There is no such operation.");
  }
  return perform_use<Done>(*engine_, operation->facts, from, request, [&](Call& call) -> Result<Done> {
    if (operation->refusal == Refusal::kNoKey) {
      KMSFS_TRY(call.authorise_without_key("*", {}));
      return refusal_of(*operation, {});
    }
    KMSFS_TRY(call.check_grant_tokens(request.grant_tokens));
    auto key = call.authorised_key(request.key_id, {});
    if (!key) return std::move(key).error();
    return refusal_of(*operation, (*key)->facts.arn);
  });
}

}  // namespace kmsfs::kms
