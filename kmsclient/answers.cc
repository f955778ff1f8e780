#include "kmsclient/answers.h"

#include <algorithm>
#include <string>

#include "kmsclient/json_object.h"

namespace kmsfs {

namespace {

struct KnownCode {
  const char* code;
  Kind kind;
};

constexpr KnownCode kKnownCodes[] = {
    // The KMS says no.
    {"AccessDeniedException", Kind::kDenied},
    {"AccessDenied", Kind::kDenied},
    {"NotAuthorizedException", Kind::kDenied},
    {"UnrecognizedClientException", Kind::kDenied},
    {"InvalidClientTokenId", Kind::kDenied},
    {"InvalidSignatureException", Kind::kDenied},
    {"SignatureDoesNotMatch", Kind::kDenied},
    {"IncompleteSignatureException", Kind::kDenied},
    {"IncompleteSignature", Kind::kDenied},
    {"MissingAuthenticationTokenException", Kind::kDenied},
    {"MissingAuthenticationToken", Kind::kDenied},
    {"ExpiredTokenException", Kind::kDenied},
    {"ExpiredToken", Kind::kDenied},
    {"RequestExpired", Kind::kDenied},
    {"OptInRequired", Kind::kDenied},
    {"InvalidIdentityToken", Kind::kDenied},
    {"IDPRejectedClaim", Kind::kDenied},
    // The key is not usable now.
    {"DisabledException", Kind::kDisabled},
    {"KMSInvalidStateException", Kind::kDisabled},
    {"NotFoundException", Kind::kKeyGone},
    // The ciphertext is not the key's.
    {"InvalidCiphertextException", Kind::kCorrupt},
    {"IncorrectKeyException", Kind::kCorrupt},
    // Worth a retry, later.
    {"ThrottlingException", Kind::kThrottled},
    {"Throttling", Kind::kThrottled},
    {"ThrottledException", Kind::kThrottled},
    {"RequestThrottledException", Kind::kThrottled},
    {"RequestThrottled", Kind::kThrottled},
    {"TooManyRequestsException", Kind::kThrottled},
    {"RequestLimitExceeded", Kind::kThrottled},
    {"SlowDown", Kind::kThrottled},
    {"PriorRequestNotComplete", Kind::kThrottled},
    // Worth a retry.
    {"KMSInternalException", Kind::kUnavailable},
    {"KeyUnavailableException", Kind::kUnavailable},
    {"DependencyTimeoutException", Kind::kUnavailable},
    {"ServiceUnavailable", Kind::kUnavailable},
    {"ServiceUnavailableException", Kind::kUnavailable},
    {"InternalFailure", Kind::kUnavailable},
    {"InternalError", Kind::kUnavailable},
    {"RequestTimeout", Kind::kUnavailable},
    {"RequestTimeoutException", Kind::kUnavailable},
    {"IDPCommunicationError", Kind::kUnavailable},
    // The request is wrong, and stays so.
    {"UnsupportedOperationException", Kind::kUnsupported},
    {"UnknownOperationException", Kind::kUnsupported},
    {"AlreadyExistsException", Kind::kExists},
    {"LimitExceededException", Kind::kNoSpace},
    {"ValidationException", Kind::kInvalid},
    {"ValidationError", Kind::kInvalid},
    {"SerializationException", Kind::kInvalid},
    {"InvalidArnException", Kind::kInvalid},
    {"InvalidAliasNameException", Kind::kInvalid},
    {"InvalidGrantIdException", Kind::kInvalid},
    {"InvalidGrantTokenException", Kind::kInvalid},
    {"InvalidKeyUsageException", Kind::kInvalid},
    {"InvalidMarkerException", Kind::kInvalid},
    {"MalformedPolicyDocumentException", Kind::kInvalid},
    {"TagException", Kind::kInvalid},
    {"ConflictException", Kind::kInvalid},
    {"DryRunOperationException", Kind::kInvalid},
    {"MalformedPolicyDocument", Kind::kInvalid},
    {"PackedPolicyTooLarge", Kind::kInvalid},
    {"RegionDisabledException", Kind::kInvalid},
};

std::string_view bare_code(std::string_view code) {
  if (const auto hash = code.find('#'); hash != std::string_view::npos) code.remove_prefix(hash + 1);
  return code.substr(0, code.find(':'));
}

Kind kind_of_status(int status) {
  if (status >= 500) return Kind::kUnavailable;
  if (status == 401 || status == 403) return Kind::kDenied;
  if (status == 429) return Kind::kThrottled;
  return Kind::kInvalid;
}

std::string printable(std::string_view text) {
  constexpr std::size_t kLongest = 1024;
  std::string out(text.substr(0, kLongest));
  std::replace_if(
      out.begin(), out.end(), [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; }, ' ');
  return out;
}

Error no_aws_error(int status) {
  const bool redirect = status >= 300 && status < 400;
  return error(
      status == 429 ? Kind::kThrottled : Kind::kUnavailable,
      redirect ? "it answered with a redirect (HTTP " + std::to_string(status) + "), which is not followed"
               : "it does not answer as a KMS does (HTTP " + std::to_string(status) + ")");
}

}  // namespace

Error error_of_code(int status, std::string_view code, std::string_view message) {
  code = bare_code(code);
  const auto* known = std::find_if(std::begin(kKnownCodes), std::end(kKnownCodes),
                                   [&](const KnownCode& candidate) { return code == candidate.code; });
  const bool is_known = known != std::end(kKnownCodes);
  Error error;
  error.kind = is_known && status < 500 ? known->kind : kind_of_status(status);
  error.code = is_known ? known->code : nullptr;
  error.text = printable(message);
  if (!is_known) error.text = printable(code) + (error.text.empty() ? "" : ": " + error.text);
  if (error.text.empty()) error.text = known->code;
  return error;
}

Error error_of_json(int status, std::string_view error_type, ByteView body) {
  const auto object = JsonObject::parse(body);
  std::string code, message;
  if (object) {
    code = object->text("__type");
    if (code.empty()) code = object->text("code");
    message = object->text("message");
    if (message.empty()) message = object->text("Message");
  }
  if (code.empty()) code = error_type;
  if (status < 400 || code.empty()) return no_aws_error(status);
  return error_of_code(status, code, message);
}

Error error_of_xml(int status, std::string_view error_type, ByteView body) {
  const std::string_view inside = xml_element(as_text(body), "Error");
  std::string_view code = xml_element(inside, "Code");
  if (code.empty() && JsonObject::parse(body)) return error_of_json(status, error_type, body);
  if (code.empty()) code = error_type;
  if (status < 400 || code.empty()) return no_aws_error(status);
  return error_of_code(status, code, xml_element(inside, "Message"));
}

std::string_view xml_element(std::string_view xml, std::string_view name) {
  const std::string opening = "<" + std::string(name) + ">", closing = "</" + std::string(name) + ">";
  const auto begin = xml.find(opening);
  if (begin == std::string_view::npos) return {};
  const auto end = xml.find(closing, begin);
  if (end == std::string_view::npos) return {};
  return xml.substr(begin + opening.size(), end - begin - opening.size());
}

}  // namespace kmsfs
