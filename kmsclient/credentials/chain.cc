#include "kmsclient/credentials/chain.h"

#include "kmsclient/credentials/secret_input.h"
#include "kmsclient/credentials/sts.h"
#include "kmsclient/json_object.h"

namespace kmsfs {

namespace {

Error broken(const std::string& text) { return error(Kind::kUnavailable, text); }

Error nothing_found(const CredentialsContext& context, const Profiles& profiles) {
  const std::string profile = profile_name(context.profile, context.environment);
  return broken("there are no credentials: not in the environment (AWS_ACCESS_KEY_ID), not in profile '" +
                profile + "' of " + profiles.credentials_path() + " and " + profiles.config_path() +
                ", not of a container or an instance");
}

}  // namespace

Error broken_source(Error error, const std::string& source) {
  if (error.kind != Kind::kDenied && error.kind != Kind::kThrottled && error.kind != Kind::kNoMemory) {
    error.kind = Kind::kUnavailable;
  }
  return std::move(error).during("credentials from " + source);
}

Result<Credentials> find_credentials(const CredentialsContext& context, const Deadline& deadline) {
  using Found = Result<std::optional<Credentials>>;
  const bool by_name = !context.profile.empty();
  if (!by_name) {
    Found found = credentials_from_environment(context);
    if (!found) return std::move(found).error();
    if (*found) return std::move(**found);
    found = credentials_from_web_identity(context, deadline);
    if (!found) return std::move(found).error();
    if (*found) return std::move(**found);
  }
  auto profiles = Profiles::load(context.environment);
  if (!profiles) return broken_source(std::move(profiles).error(), "the shared files");
  const std::string profile = profile_name(context.profile, context.environment);
  if (profile != "default" && !profiles->has(profile)) {
    return broken("the profile '" + profile + "' is neither in " + profiles->config_path() + " nor in " +
                  profiles->credentials_path());
  }
  Found found = credentials_from_profile(context, *profiles, profile, deadline);
  if (!found) return std::move(found).error();
  if (*found) return std::move(**found);
  if (by_name) return broken("the profile '" + profile + "' has no credentials");
  found = credentials_from_container(context, deadline);
  if (!found) return std::move(found).error();
  if (*found) return std::move(**found);
  found = credentials_from_instance(context, deadline);
  if (!found) return std::move(found).error();
  if (*found) return std::move(**found);
  return nothing_found(context, *profiles);
}

Result<std::optional<Credentials>> credentials_from_environment(const CredentialsContext& context) {
  const Environment& environment = context.environment;
  const std::string_view id = environment.get("AWS_ACCESS_KEY_ID");
  const std::string_view secret = environment.get("AWS_SECRET_ACCESS_KEY");
  if (id.empty() && secret.empty()) return std::optional<Credentials>();
  if (secret.empty()) return broken("credentials from the environment: AWS_SECRET_ACCESS_KEY is not set");
  if (id.empty()) return broken("credentials from the environment: AWS_ACCESS_KEY_ID is not set");
  auto kept = sensitive_copy(secret);
  if (!kept) return std::move(kept).error();
  Credentials credentials{std::string(id), std::move(*kept), std::nullopt, std::nullopt, "the environment"};
  if (const std::string_view token = environment.get("AWS_SESSION_TOKEN"); !token.empty()) {
    auto kept_token = sensitive_copy(token);
    if (!kept_token) return std::move(kept_token).error();
    credentials.session_token = std::move(*kept_token);
  }
  return std::optional(std::move(credentials));
}

Result<std::optional<Credentials>> credentials_from_web_identity(const CredentialsContext& context,
                                                                 const Deadline& deadline) {
  const std::string path = context.environment.text("AWS_WEB_IDENTITY_TOKEN_FILE");
  if (path.empty()) return std::optional<Credentials>();
  const std::string source = "the web identity token file " + path;
  Sts::Role role;
  role.arn = context.environment.text("AWS_ROLE_ARN");
  if (role.arn.empty()) return broken("credentials from " + source + ": AWS_ROLE_ARN is not set");
  role.session_name = context.environment.text("AWS_ROLE_SESSION_NAME");
  if (role.session_name.empty()) role.session_name = "kmsfs";
  auto token = read_secret_file(path, true);
  if (!token) return broken_source(std::move(token).error(), source);
  auto credentials = Sts(*context.sts, context.region).assume_role_with_web_identity(role, *token, deadline);
  if (!credentials) return broken_source(std::move(credentials).error(), source);
  return std::optional(std::move(*credentials));
}

Result<Credentials> credentials_of_json(ByteView json, std::string source) {
  const auto object = JsonObject::parse(json);
  if (!object) return broken("its answer is not JSON");
  std::string id = object->text("AccessKeyId");
  if (id.empty()) return broken("there is no AccessKeyId in its answer");
  auto secret = object->sensitive_text("SecretAccessKey");
  if (!secret) return std::move(secret).error();
  Credentials credentials{std::move(id), std::move(*secret), std::nullopt, std::nullopt, std::move(source)};
  for (const char* name : {"SessionToken", "Token"}) {
    auto token = object->sensitive_text(name);
    if (!token && token.error().kind == Kind::kNoMemory) return std::move(token).error();
    if (token && token->size() > 0) credentials.session_token = std::move(*token);
  }
  if (const std::string expires = object->text("Expiration"); !expires.empty()) {
    credentials.expires = parse_iso_time(expires);
    if (!credentials.expires) return broken("the Expiration in its answer is no time");
  }
  return credentials;
}

}  // namespace kmsfs
