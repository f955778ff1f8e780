// AWS Signature Version 4: making signatures, and checking them, in one place.
//
// Always: keys are in locked memory, the derived ones too; signatures are compared in constant time. The body
// is always hashed: UNSIGNED-PAYLOAD and streaming signatures are neither made nor accepted, and neither are
// signatures in the query. Errors are kDenied with the AWS code and AWS's text. Threads: any.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/bytes.h"
#include "core/clock.h"
#include "core/result.h"
#include "core/secret.h"
#include "kms/canonical_request.h"

namespace kmsfs::kms {

// What a signing key is good for: one day, region and service.
struct SigningScope {
  std::string date;          // YYYYMMDD
  std::string region;        // us-east-1
  std::string service;       // kms, sts
  std::string text() const;  // DATE/REGION/SERVICE/aws4_request
};

using SigningKey = Secret<32, struct SigningKeyTag>;
// kNoMemory when locked memory is full.
Result<SigningKey> derive_signing_key(ByteView secret_access_key, const SigningScope& scope);

std::string string_to_sign(std::string_view amz_date, const SigningScope& scope,
                           std::string_view canonical_request);
std::string signature_of(const SigningKey& key, std::string_view string_to_sign);  // 64 hex digits

std::string amz_date(WallTime time);  // YYYYMMDDTHHMMSSZ
std::optional<WallTime> parse_amz_date(std::string_view text);

// --- Signing -------------------------------------------------------------------------------------------

struct SigningCredentials {
  std::string_view access_key_id;
  ByteView secret_access_key;      // locked memory of the caller's
  std::string_view session_token;  // of temporary credentials; empty otherwise
};

struct OwnedHeader {
  std::string name;
  std::string value;
};

// The headers to add to `request`: X-Amz-Date, X-Amz-Security-Token (temporary credentials), Authorization.
// Every header in `request` is signed, so it holds what really goes over the wire, Host included, and nothing
// that a proxy changes (Connection, User-Agent).
Result<std::vector<OwnedHeader>> sign(const SignableRequest& request, ByteView body,
                                      const SigningCredentials& credentials, std::string_view region,
                                      std::string_view service, WallTime now);

// --- Checking ------------------------------------------------------------------------------------------

// What an Authorization header says. Nothing of it is believed before check_signature().
struct SignatureClaim {
  std::string access_key_id;
  SigningScope scope;
  std::vector<std::string> signed_headers;  // lower case, sorted
  std::string signature;
  std::string amz_date;  // from X-Amz-Date, else from Date
  WallTime time{};
  std::string_view security_token;  // of the request; empty if there is none
};

// Reads the claim. No Authorization: MissingAuthenticationTokenException; malformed, or without a date:
// IncompleteSignatureException.
Result<SignatureClaim> read_claim(const SignableRequest& request);
// Scope, clock, and that everything which steers the call is signed: host and every x-amz-* header.
// The clock may differ by five minutes either way.
Result<void> check_claim(const SignatureClaim& claim, const SignableRequest& request, std::string_view region,
                         std::string_view service, WallTime now);
// The signature itself, and x-amz-content-sha256 if it is there.
Result<void> check_signature(const SignatureClaim& claim, const SignableRequest& request, ByteView body,
                             const SigningKey& key);

}  // namespace kmsfs::kms
