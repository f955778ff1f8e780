#include "kms/sigv4.h"

#include <algorithm>
#include <cstring>
#include <ctime>
#include <utility>

#include "core/kdf.h"
#include "kms/errors.h"
#include "kms/sensitive_bytes.h"

namespace kmsfs::kms {

namespace {

constexpr std::string_view kAlgorithm = "AWS4-HMAC-SHA256";
constexpr std::string_view kTerminator = "aws4_request";
constexpr auto kClockDifference = std::chrono::minutes(5);

std::string joined(std::span<const std::string> names) {
  std::string out;
  for (const std::string& name : names) {
    if (!out.empty()) out += ';';
    out += name;
  }
  return out;
}

Error invalid_signature(std::string text) {
  return answer(Kind::kDenied, "InvalidSignatureException", std::move(text));
}

std::string time_text(WallTime time, const char* format) {
  const std::time_t seconds = std::chrono::floor<std::chrono::seconds>(time).count();
  std::tm utc{};
  gmtime_r(&seconds, &utc);
  char text[48];
  return {text, std::strftime(text, sizeof text, format, &utc)};
}

}  // namespace

std::string SigningScope::text() const {
  std::string out = date;
  return out.append("/").append(region).append("/").append(service).append("/").append(kTerminator);
}

std::string amz_date(WallTime time) { return time_text(time, "%Y%m%dT%H%M%SZ"); }

std::optional<WallTime> parse_amz_date(std::string_view text) {
  if (text.size() != 16 || text[8] != 'T' || text[15] != 'Z') return std::nullopt;
  const auto number = [&](std::size_t at, std::size_t size) {
    int value = 0;
    for (const char c : text.substr(at, size))
      value = c >= '0' && c <= '9' ? value * 10 + (c - '0') : -100'000;
    return value;
  };
  std::tm utc{};
  utc.tm_year = number(0, 4) - 1900;
  utc.tm_mon = number(4, 2) - 1;
  utc.tm_mday = number(6, 2);
  utc.tm_hour = number(9, 2);
  utc.tm_min = number(11, 2);
  utc.tm_sec = number(13, 2);
  if (utc.tm_year < 70 || utc.tm_year > 300) return std::nullopt;  // nanoseconds since 1970 end in 2262
  const WallTime time = std::chrono::seconds(timegm(&utc));
  // What timegm() had to normalise was no date.
  return amz_date(time) == text ? std::optional(time) : std::nullopt;
}

Result<SigningKey> derive_signing_key(ByteView secret_access_key, const SigningScope& scope) {
  constexpr std::string_view prefix = "AWS4";
  auto start = SensitiveBytes::make(prefix.size() + secret_access_key.size());
  if (!start) return std::move(start).error();
  std::memcpy(start->fill().data(), prefix.data(), prefix.size());
  if (!secret_access_key.empty()) {
    std::memcpy(start->fill().data() + prefix.size(), secret_access_key.data(), secret_access_key.size());
  }
  auto key = SigningKey::make();
  if (!key) return key;
  hmac_sha256(start->reveal(), as_bytes(scope.date), key->fill());
  hmac_sha256(key->reveal(), as_bytes(scope.region), key->fill());
  hmac_sha256(key->reveal(), as_bytes(scope.service), key->fill());
  hmac_sha256(key->reveal(), as_bytes(kTerminator), key->fill());
  return key;
}

std::string string_to_sign(std::string_view date, const SigningScope& scope, std::string_view canonical) {
  std::string out(kAlgorithm);
  out.append("\n").append(date).append("\n").append(scope.text()).append("\n");
  return out.append(to_hex(sha256(as_bytes(canonical))));
}

std::string signature_of(const SigningKey& key, std::string_view text) {
  return to_hex(hmac_sha256(key, as_bytes(text)));
}

Result<std::vector<OwnedHeader>> sign(const SignableRequest& request, ByteView body,
                                      const SigningCredentials& credentials, std::string_view region,
                                      std::string_view service, WallTime now) {
  const std::string date = amz_date(now);
  std::vector<OwnedHeader> added = {{"X-Amz-Date", date}};
  if (!credentials.session_token.empty()) {
    added.push_back({"X-Amz-Security-Token", std::string(credentials.session_token)});
  }
  std::vector<HttpHeader> all(request.headers.begin(), request.headers.end());
  for (const OwnedHeader& header : added) all.push_back({header.name, header.value});

  std::vector<std::string> names;
  for (const HttpHeader& header : all) {
    names.emplace_back(header.name);
    for (char& c : names.back()) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  }
  std::sort(names.begin(), names.end());
  names.erase(std::unique(names.begin(), names.end()), names.end());

  const SigningScope scope{date.substr(0, 8), std::string(region), std::string(service)};
  auto key = derive_signing_key(credentials.secret_access_key, scope);
  if (!key) return std::move(key).error();
  const std::string canonical =
      canonical_request({request.method, request.target, all}, names, to_hex(sha256(body)));
  std::string value(kAlgorithm);
  value.append(" Credential=").append(credentials.access_key_id).append("/").append(scope.text());
  value.append(", SignedHeaders=").append(joined(names));
  value.append(", Signature=").append(signature_of(*key, string_to_sign(date, scope, canonical)));
  added.push_back({"Authorization", std::move(value)});
  return added;
}

namespace {

// --- Reading the claim ---

Error incomplete(std::string text) {
  return answer(Kind::kDenied, "IncompleteSignatureException", std::move(text));
}

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

std::vector<std::string_view> split(std::string_view text, char separator) {
  std::vector<std::string_view> parts;
  for (std::size_t at = 0; at <= text.size();) {
    const std::size_t end = std::min(text.find(separator, at), text.size());
    parts.push_back(text.substr(at, end - at));
    at = end + 1;
  }
  return parts;
}

Result<void> read_credential(std::string_view text, SignatureClaim& claim) {
  const auto parts = split(text, '/');
  if (parts.size() != 5 || parts[0].empty()) {
    return incomplete(
        "Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/term.");
  }
  if (parts[4] != kTerminator) {
    return invalid_signature("Credential should be scoped with a valid terminator: 'aws4_request'.");
  }
  claim.access_key_id = parts[0];
  claim.scope = {std::string(parts[1]), std::string(parts[2]), std::string(parts[3])};
  return {};
}

Result<void> read_signed_headers(std::string_view text, SignatureClaim& claim) {
  for (const std::string_view name : split(text, ';')) {
    const bool in_order = claim.signed_headers.empty() || claim.signed_headers.back() < name;
    const bool lower = std::none_of(name.begin(), name.end(), [](char c) { return c >= 'A' && c <= 'Z'; });
    if (name.empty() || !in_order || !lower) {
      return incomplete("SignedHeaders must be names in lower case, sorted, each once, separated by ';'.");
    }
    claim.signed_headers.emplace_back(name);
  }
  return {};
}

Result<void> read_authorization(std::string_view text, SignatureClaim& claim) {
  text = trimmed(text);
  if (!text.starts_with(kAlgorithm) || text.size() == kAlgorithm.size() ||
      (text[kAlgorithm.size()] != ' ' && text[kAlgorithm.size()] != '\t')) {
    return incomplete("Authorization must start with 'AWS4-HMAC-SHA256'.");
  }
  std::string_view credential, headers, signature;
  for (std::string_view part : split(text.substr(kAlgorithm.size()), ',')) {
    part = trimmed(part);
    const std::size_t equals = part.find('=');
    if (equals == std::string_view::npos) {
      return incomplete("Authorization has a part that is no key=value pair (missing equal-sign).");
    }
    const std::string_view name = part.substr(0, equals);
    std::string_view* const value = name == "Credential"      ? &credential
                                    : name == "SignedHeaders" ? &headers
                                    : name == "Signature"     ? &signature
                                                              : nullptr;
    if (value == nullptr || !value->empty())
      return incomplete("Authorization has an unknown part, or one twice.");
    *value = part.substr(equals + 1);
  }
  std::string missing;
  if (credential.empty()) missing += "Authorization header requires 'Credential' parameter. ";
  if (signature.empty()) missing += "Authorization header requires 'Signature' parameter. ";
  if (headers.empty()) missing += "Authorization header requires 'SignedHeaders' parameter. ";
  if (!missing.empty()) return incomplete(missing.substr(0, missing.size() - 1));
  KMSFS_TRY(read_credential(credential, claim));
  KMSFS_TRY(read_signed_headers(headers, claim));
  claim.signature = signature;
  return {};
}

// "Sun, 06 Nov 1994 08:49:37 GMT"
std::optional<WallTime> parse_http_date(std::string_view text) {
  std::tm utc{};
  const std::string owned(text);
  const char* end = ::strptime(owned.c_str(), "%a, %d %b %Y %H:%M:%S GMT", &utc);
  if (end == nullptr || *end != '\0' || utc.tm_year < 70 || utc.tm_year > 300) return std::nullopt;
  return std::chrono::seconds(timegm(&utc));
}

Result<void> read_time(const SignableRequest& request, SignatureClaim& claim) {
  const Error no_date = incomplete(
      "Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header, once, with a "
      "valid "
      "date.");
  std::optional<WallTime> time;
  if (!header_values(request.headers, "x-amz-date").empty()) {
    time = parse_amz_date(trimmed(single_header(request.headers, "x-amz-date")));
  } else {
    const std::string_view date = trimmed(single_header(request.headers, "date"));
    time = parse_amz_date(date);
    if (!time) time = parse_http_date(date);
  }
  if (!time) return no_date;
  claim.time = *time;
  claim.amz_date = amz_date(*time);
  return {};
}

bool is_signed(const SignatureClaim& claim, std::string_view name) {
  return std::binary_search(claim.signed_headers.begin(), claim.signed_headers.end(), name);
}

Result<void> check_time(const SignatureClaim& claim, WallTime now) {
  if (claim.time < now - kClockDifference) {
    return invalid_signature("Signature expired: " + claim.amz_date + " is now earlier than " +
                             amz_date(now - kClockDifference) + " (" + amz_date(now) + " - 5 min.)");
  }
  if (claim.time > now + kClockDifference) {
    return invalid_signature("Signature not yet current: " + claim.amz_date + " is still later than " +
                             amz_date(now + kClockDifference) + " (" + amz_date(now) + " + 5 min.)");
  }
  return {};
}

Result<void> check_signed_headers(const SignatureClaim& claim, const SignableRequest& request) {
  for (const std::string& name : claim.signed_headers) {
    if (header_values(request.headers, name).empty()) {
      return invalid_signature("The header '" + name + "' is in SignedHeaders, but not in the request.");
    }
  }
  if (!is_signed(claim, "host")) {
    return invalid_signature("'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization.");
  }
  const bool has_amz_date = !header_values(request.headers, "x-amz-date").empty();
  if (!has_amz_date && !is_signed(claim, "date")) {
    return invalid_signature("'Date' must be a 'SignedHeader' in the AWS Authorization.");
  }
  for (const HttpHeader& header : request.headers) {
    std::string name(header.name);
    for (char& c : name) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    if (name.starts_with("x-amz-") && !is_signed(claim, name)) {
      return invalid_signature("'" + name + "' must be a 'SignedHeader' in the AWS Authorization.");
    }
  }
  return {};
}

Error does_not_match() {
  return invalid_signature(
      "The request signature we calculated does not match the signature you provided. Check your AWS Secret "
      "Access Key and signing method. Consult the service documentation for details.");
}

}  // namespace

Result<SignatureClaim> read_claim(const SignableRequest& request) {
  const auto authorization = header_values(request.headers, "authorization");
  if (authorization.empty()) {
    return answer(Kind::kDenied, "MissingAuthenticationTokenException",
                  "Request is missing Authentication Token");
  }
  if (authorization.size() > 1) return incomplete("The Authorization header is there twice.");
  SignatureClaim claim;
  KMSFS_TRY(read_authorization(authorization[0], claim));
  KMSFS_TRY(read_time(request, claim));
  claim.security_token = trimmed(single_header(request.headers, "x-amz-security-token"));
  return claim;
}

Result<void> check_claim(const SignatureClaim& claim, const SignableRequest& request, std::string_view region,
                         std::string_view service, WallTime now) {
  if (claim.scope.date != claim.amz_date.substr(0, 8)) {
    return invalid_signature(
        "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: '" +
        claim.scope.date + "' != '" + claim.amz_date.substr(0, 8) + "', from '" + claim.amz_date + "'.");
  }
  if (claim.scope.region != region) {
    return invalid_signature("Credential should be scoped to a valid region, not '" + claim.scope.region +
                             "'.");
  }
  if (claim.scope.service != service) {
    return invalid_signature("Credential should be scoped to correct service: '" + std::string(service) +
                             "'.");
  }
  KMSFS_TRY(check_time(claim, now));
  return check_signed_headers(claim, request);
}

Result<void> check_signature(const SignatureClaim& claim, const SignableRequest& request, ByteView body,
                             const SigningKey& key) {
  const std::string body_hash = to_hex(sha256(body));
  const std::string canonical = canonical_request(request, claim.signed_headers, body_hash);
  const std::string calculated = signature_of(key, string_to_sign(claim.amz_date, claim.scope, canonical));
  if (!equal_in_constant_time(as_bytes(calculated), as_bytes(claim.signature))) return does_not_match();
  const auto said = header_values(request.headers, "x-amz-content-sha256");
  if (!said.empty() && (said.size() > 1 || trimmed(said[0]) != body_hash)) {
    return invalid_signature("x-amz-content-sha256 must be the SHA-256 of the body, in lower-case hex.");
  }
  return {};
}

}  // namespace kmsfs::kms
