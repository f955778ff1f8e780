// What AWS's model of the KMS says of the members of requests: types, constraints, and how a request that
// breaks them is answered.
//
// Always: check_members() leaves a request of which Input can read every member that the operation knows.
// First the types (SerializationException), then all constraints together (ValidationException, AWS's text).
// Threads: constant tables; any.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "core/result.h"
#include "kms/wire/json_reader.h"

namespace kmsfs::kms {

enum class MemberType : std::uint8_t {
  kString,
  kBlob,  // base64
  kInteger,
  kBoolean,
  kStringMap,  // string → string; a number counts as the string it is written as
  kList,
  kStructure,
};

struct Member;

struct Shape {
  MemberType type = MemberType::kString;
  std::int64_t min = -1;  // of a length, or of an integer; -1: none
  std::int64_t max = -1;
  std::string_view pattern = {};                       // as AWS prints it
  bool (*allows)(std::uint32_t code_point) = nullptr;  // what every character must satisfy for it
  std::span<const std::string_view> values = {};       // of an enumeration
  const Shape* element = nullptr;                      // of a list
  std::span<const Member> members = {};                // of a structure
  bool secret = false;                                 // its value stands in no message
};

struct Member {
  std::string_view name;
  const Shape* shape;
  bool required = false;
};

inline constexpr bool kRequired = true;

Result<void> check_members(const JsonValue& request, std::span<const Member> members);

namespace shape {
// Named as in AWS's model.
extern const Shape kKeyId, kAliasName, kDescription, kPolicy, kPolicyName, kPrincipalId, kGrantName, kGrantId,
    kGrantToken, kGrantTokens, kGrantOperations, kGrantConstraints, kEncryptionContext, kCiphertext,
    kPlaintext, kNumberOfBytes, kDataKeySpec, kDataKeyPairSpec, kEncryptionAlgorithm, kMacAlgorithm,
    kSigningAlgorithm, kMessageType, kKeyAgreementAlgorithm, kPublicKey, kKeySpec, kKeyUsage, kOrigin,
    kCustomKeyStoreId, kXksKeyId, kBoolean, kLimit, kMarker, kTags, kTagKeys, kPendingWindowInDays,
    kRotationPeriodInDays, kIncludeKeyMaterial, kRegion, kRecipient, kWrappingAlgorithm, kWrappingKeySpec;
}  // namespace shape

}  // namespace kmsfs::kms
