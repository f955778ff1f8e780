#include "kms/wire/sts.h"

#include <charconv>
#include <cstring>
#include <map>
#include <utility>

#include "kms/errors.h"
#include "kms/session.h"
#include "kms/sigv4.h"
#include "kms/wire/form.h"

namespace kmsfs::kms {

namespace {

using Form = std::map<std::string, std::string>;

constexpr std::string_view kVersion = "2011-06-15";
constexpr std::string_view kNamespace = "https://sts.amazonaws.com/doc/2011-06-15/";

std::string escaped(std::string_view text) {
  std::string out;
  for (const char c : text) {
    switch (c) {
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '&':
        out += "&amp;";
        break;
      case '"':
        out += "&quot;";
        break;
      default:
        // XML has no other control characters, not even escaped.
        out += static_cast<unsigned char>(c) < 0x20 && c != '\t' && c != '\n' && c != '\r' ? '?' : c;
    }
  }
  return out;
}

// <name>value</name>
std::string element(std::string_view name, std::string_view value) {
  std::string out = "<";
  return out.append(name).append(">").append(escaped(value)).append("</").append(name).append(">");
}

struct Envelope {
  std::string start, end;
};
Envelope envelope(std::string_view action, std::string_view request_id) {
  const std::string name(action);
  return {"<" + name + "Response xmlns=\"" + std::string(kNamespace) + "\"><" + name + "Result>",
          "</" + name + "Result><ResponseMetadata>" + element("RequestId", request_id) +
              "</ResponseMetadata></" + name + "Response>"};
}

// --- Errors ---

struct StsCode {
  std::string_view kms, sts;
  int status;
};
constexpr StsCode kCodes[] = {
    {"AccessDeniedException", "AccessDenied", 403},
    {"ExpiredTokenException", "ExpiredToken", 403},
    {"IncompleteSignatureException", "IncompleteSignature", 400},
    {"InvalidSignatureException", "SignatureDoesNotMatch", 403},
    {"KMSInternalException", "InternalFailure", 500},
    {"MalformedPolicyDocumentException", "MalformedPolicyDocument", 400},
    {"MissingAuthenticationTokenException", "MissingAuthenticationToken", 403},
    {"NotFoundException", "AccessDenied", 403},  // whether a role exists is nobody's business
    {"UnrecognizedClientException", "InvalidClientTokenId", 403},
    {"ValidationException", "ValidationError", 400},
};

StsCode code_of(const Error& error) {
  const std::string_view code = error.code != nullptr ? error.code : "";
  for (const StsCode& known : kCodes) {
    if (known.kms == code) return known;
  }
  if (!code.empty()) return {code, code, error.kind == Kind::kDenied ? 403 : 400};
  if (error.kind == Kind::kInvalid) return {code, "ValidationError", 400};
  if (error.kind == Kind::kDenied) return {code, "AccessDenied", 403};
  return {code, "InternalFailure", 500};
}

// --- AssumeRole ---

Error missing(std::string_view parameter) {
  std::string text = "1 validation error detected: Value null at '";
  return validation(text.append(parameter).append("' failed to satisfy constraint: Member must not be null"));
}

Result<AssumeRoleRequest> assume_role_request(const Form& form) {
  AssumeRoleRequest request;
  for (const auto& [name, value] : form) {
    if (name == "RoleArn") {
      request.role_arn = value;
    } else if (name == "RoleSessionName") {
      request.session_name = value;
    } else if (name == "Policy") {
      request.policy = value;
    } else if (name == "ExternalId") {
      request.external_id = value;
    } else if (name == "DurationSeconds") {
      std::int64_t seconds = 0;
      const char* const end = value.data() + value.size();
      if (const auto read = std::from_chars(value.data(), end, seconds);
          read.ec != std::errc() || read.ptr != end) {
        return answer(Kind::kInvalid, "MalformedInput", "DurationSeconds must be a number.");
      }
      request.duration_seconds = seconds;
    } else if (name != "Action" && name != "Version") {
      return validation("The parameter " + name + " is not supported.");
    }
  }
  if (request.role_arn.empty()) return missing("roleArn");
  if (request.session_name.empty()) return missing("roleSessionName");
  return request;
}

std::string iso_time(std::int64_t ms) {
  const std::string date = amz_date(std::chrono::milliseconds(ms));  // 20260102T030405Z
  return date.substr(0, 4) + "-" + date.substr(4, 2) + "-" + date.substr(6, 5) + ":" + date.substr(11, 2) +
         ":" + date.substr(13);
}

Result<Body> assume_role_answer(Engine& engine, const Form& form, const Invocation& from) {
  auto request = assume_role_request(form);
  if (!request) return std::move(request).error();
  auto session = assume_role(engine, from, *request);
  if (!session) return std::move(session).error();

  const SessionFacts& facts = *session->facts;
  const auto [envelope_start, envelope_end] = envelope("AssumeRole", from.request_id);
  // No character of a secret needs an escape.
  const std::string start = envelope_start + "<AssumedRoleUser>" +
                            element("AssumedRoleId", session->assumed_role_id) + element("Arn", facts.arn()) +
                            "</AssumedRoleUser><Credentials>" + element("AccessKeyId", facts.access_key_id) +
                            "<SecretAccessKey>";
  const std::string end =
      "</SecretAccessKey>" + element("SessionToken", session->token) +
      element("Expiration", iso_time(facts.expires_ms)) + "</Credentials>" +
      (facts.policy.empty() ? "" : element("PackedPolicySize", std::to_string(session->packed_percent))) +
      envelope_end;
  const ByteView secret = session->secret.reveal();
  auto body = SensitiveBytes::make(start.size() + secret.size() + end.size());
  if (!body) return std::move(body).error();
  ByteWriter out(body->fill());
  out.bytes(as_bytes(start));
  out.bytes(secret);
  out.bytes(as_bytes(end));
  return Body(std::move(*body));
}

Result<Body> caller_identity_answer(Engine& engine, const Invocation& from) {
  auto identity = get_caller_identity(engine, from);
  if (!identity) return std::move(identity).error();
  const auto [start, end] = envelope("GetCallerIdentity", from.request_id);
  return Body(start + element("Arn", identity->arn) + element("UserId", identity->user_id) +
              element("Account", identity->account) + end);
}

Result<Body> call(Engine& engine, std::string_view body, const Invocation& from) {
  auto form = parse_form(body);
  if (!form) return std::move(form).error();
  const std::string action = (*form)["Action"];
  if (action.empty()) return answer(Kind::kInvalid, "MissingAction", "The form has no Action.");
  const std::string version = form->contains("Version") ? (*form)["Version"] : std::string(kVersion);
  if (version == kVersion && action == "AssumeRole") return assume_role_answer(engine, *form, from);
  if (version == kVersion && action == "GetCallerIdentity") return caller_identity_answer(engine, from);
  return answer(Kind::kInvalid, "InvalidAction",
                "Could not find operation " + action + " for version " + version);
}

}  // namespace

StsAnswer sts_error(const Error& error, std::string_view request_id) {
  const StsCode code = code_of(error);
  StsAnswer answer;
  answer.status = code.status;
  std::string text = error.text;
  if (code.status == 500) {
    answer.internal_error =
        std::exchange(text, "The request failed for an internal reason; it can be retried.");
  }
  std::string body = "<ErrorResponse xmlns=\"" + std::string(kNamespace) + "\"><Error>";
  body += element("Type", code.status == 500 ? "Receiver" : "Sender") + element("Code", code.sts);
  body += element("Message", text) + "</Error>" + element("RequestId", request_id) + "</ErrorResponse>";
  answer.body = Body(std::move(body));
  return answer;
}

StsAnswer answer_sts(Engine& engine, std::string_view form, const Invocation& from) {
  auto body = call(engine, form, from);
  if (!body) return sts_error(body.error(), from.request_id);
  StsAnswer answer;
  answer.body = std::move(*body);
  return answer;
}

}  // namespace kmsfs::kms
