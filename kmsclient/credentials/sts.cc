#include "kmsclient/credentials/sts.h"

#include <cstring>

namespace kmsfs {

namespace {

constexpr std::string_view kVersion = "&Version=2011-06-15";

bool is_unreserved(char c) {
  return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.' ||
         c == '_' || c == '~';
}

// Room for three bytes per byte; the bytes written.
std::size_t percent_encode(std::string_view text, char* out) {
  constexpr std::string_view kDigits = "0123456789ABCDEF";
  std::size_t size = 0;
  for (const char c : text) {
    if (is_unreserved(c)) {
      out[size++] = c;
      continue;
    }
    const auto byte = static_cast<unsigned char>(c);
    out[size++] = '%';
    out[size++] = kDigits[byte >> 4];
    out[size++] = kDigits[byte & 15];
  }
  return size;
}

std::string form_of_role(const Sts::Role& role) {
  std::string form = form_field("RoleArn", role.arn) + form_field("RoleSessionName", role.session_name);
  if (!role.external_id.empty()) form += form_field("ExternalId", role.external_id);
  if (!role.duration_seconds.empty()) form += form_field("DurationSeconds", role.duration_seconds);
  return form;
}

// What STS answers with, to either AssumeRole.
Result<Credentials> credentials_of(const kms::SensitiveBytes& reply, std::string source) {
  const std::string_view inside = xml_element(as_text(reply.reveal()), "Credentials");
  const std::string_view key = xml_element(inside, "AccessKeyId"),
                         secret = xml_element(inside, "SecretAccessKey"),
                         token = xml_element(inside, "SessionToken");
  const auto expires = parse_iso_time(xml_element(inside, "Expiration"));
  if (key.empty() || secret.empty() || token.empty() || !expires) {
    return error(Kind::kUnavailable, "STS did not answer with credentials and their end");
  }
  auto kept_secret = sensitive_copy(secret);
  if (!kept_secret) return std::move(kept_secret).error();
  auto kept_token = sensitive_copy(token);
  if (!kept_token) return std::move(kept_token).error();
  return Credentials{std::string(key), std::move(*kept_secret), std::move(*kept_token), expires,
                     std::move(source)};
}

}  // namespace

std::string form_field(std::string_view name, std::string_view value) {
  std::string encoded(value.size() * 3, '\0');
  encoded.resize(percent_encode(value, encoded.data()));
  return "&" + std::string(name) + "=" + encoded;
}

Result<kms::SensitiveBytes> Sts::call(ByteView form, CredentialsHolder* signer, const Deadline& deadline) {
  ServiceRequest request;
  request.service = "sts";
  request.region = region_;
  request.content_type = "application/x-www-form-urlencoded; charset=utf-8";
  request.body = form;
  request.error_of = &error_of_xml;
  return channel_.exchange(request, signer, deadline);
}

Result<std::string> Sts::caller_identity(CredentialsHolder* signer, const Deadline& deadline) {
  const std::string form = "Action=GetCallerIdentity" + std::string(kVersion);
  auto reply = call(as_bytes(form), signer, deadline);
  if (!reply) return std::move(reply).error();
  const std::string_view arn = xml_element(as_text(reply->reveal()), "Arn");
  if (!arn.starts_with("arn:") || arn.size() > 2048) {
    return error(Kind::kUnavailable, "STS did not answer with the ARN of the caller");
  }
  return std::string(arn);
}

Result<Credentials> Sts::assume_role(const Role& role, CredentialsHolder& signer, const Deadline& deadline) {
  const std::string form = "Action=AssumeRole" + std::string(kVersion) + form_of_role(role);
  auto reply = call(as_bytes(form), &signer, deadline);
  if (!reply) return std::move(reply).error();
  return credentials_of(*reply, "the role " + role.arn);
}

Result<Credentials> Sts::assume_role_with_web_identity(const Role& role, const kms::SensitiveBytes& token,
                                                       const Deadline& deadline) {
  const std::string front =
      "Action=AssumeRoleWithWebIdentity" + std::string(kVersion) + form_of_role(role) + "&WebIdentityToken=";
  auto form = kms::SensitiveBytes::make(front.size() + token.size() * 3);
  if (!form) return std::move(form).error();
  char* out = reinterpret_cast<char*>(form->fill().data());  // NOLINT
  std::memcpy(out, front.data(), front.size());
  const std::size_t size = front.size() + percent_encode(as_text(token.reveal()), out + front.size());
  auto reply = call(form->reveal().first(size), nullptr, deadline);
  if (!reply) return std::move(reply).error();
  return credentials_of(*reply, "the role " + role.arn + " by a web identity token");
}

}  // namespace kmsfs
