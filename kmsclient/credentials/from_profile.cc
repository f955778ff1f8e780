// Credentials of a profile in the shared files: static keys, a program, or a role that is assumed with the
// credentials of another source.
#include <algorithm>
#include <vector>

#include "kmsclient/credentials/chain.h"
#include "kmsclient/credentials/secret_input.h"
#include "kmsclient/credentials/sts.h"
#include "kmsclient/json_object.h"

namespace kmsfs {

namespace {

using Found = Result<std::optional<Credentials>>;

constexpr std::size_t kLongestChain = 5;  // of roles that lead to roles

class ProfileReader {
 public:
  ProfileReader(const CredentialsContext& context, const Profiles& profiles, const Deadline& deadline)
      : context_(context), profiles_(profiles), deadline_(deadline) {}

  Found read(const std::string& profile) {
    if (!profiles_.get(profile, "role_arn").empty()) return from_role(profile);
    Found found = static_keys(profile);
    if (!found || *found) return found;
    if (!profiles_.get(profile, "credential_process").empty()) return from_process(profile);
    for (const char* setting : {"sso_session", "sso_start_url"}) {
      if (profiles_.get(profile, setting).empty()) continue;
      return broken(profile,
                    "single sign-on is not supported; put into it: credential_process = aws configure "
                    "export-credentials --profile " +
                        profile);
    }
    return std::optional<Credentials>();
  }

 private:
  static Error broken(const std::string& profile, const std::string& text) {
    return broken_source(error(Kind::kUnavailable, text), "the profile '" + profile + "'");
  }

  Found static_keys(const std::string& profile) const {
    const std::string_view id = profiles_.get(profile, "aws_access_key_id");
    const std::string_view secret = profiles_.get(profile, "aws_secret_access_key");
    if (id.empty() && secret.empty()) return std::optional<Credentials>();
    if (id.empty()) return broken(profile, "it has no aws_access_key_id");
    if (secret.empty()) return broken(profile, "it has no aws_secret_access_key");
    auto kept = sensitive_copy(secret);
    if (!kept) return std::move(kept).error();
    Credentials credentials{std::string(id), std::move(*kept), std::nullopt, std::nullopt,
                            "the profile '" + profile + "'"};
    if (const auto token = profiles_.get(profile, "aws_session_token"); !token.empty()) {
      auto kept_token = sensitive_copy(token);
      if (!kept_token) return std::move(kept_token).error();
      credentials.session_token = std::move(*kept_token);
    }
    return std::optional(std::move(credentials));
  }

  Found from_process(const std::string& profile) const {
    const std::string source = "the credential_process of the profile '" + profile + "'";
    auto output = read_from_program(profiles_.text(profile, "credential_process"), deadline_.left());
    if (!output) return broken_source(std::move(output).error(), source);
    const auto object = JsonObject::parse(output->reveal());
    if (!object || object->number("Version") != 1.0) {
      return broken_source(error(Kind::kUnavailable, "it did not write JSON with Version 1"), source);
    }
    auto credentials = credentials_of_json(output->reveal(), source);
    if (!credentials) return broken_source(std::move(credentials).error(), source);
    return std::optional(std::move(*credentials));
  }

  Found from_role(const std::string& profile) {
    if (visited_.size() >= kLongestChain) return broken(profile, "the chain of roles is longer than 5");
    visited_.push_back(profile);
    if (!profiles_.get(profile, "mfa_serial").empty()) {
      return broken(profile, "it asks for a second factor (mfa_serial), which a mount cannot give");
    }
    Sts::Role role;
    role.arn = profiles_.text(profile, "role_arn");
    role.session_name = profiles_.text(profile, "role_session_name");
    if (role.session_name.empty()) role.session_name = "kmsfs";
    role.external_id = profiles_.text(profile, "external_id");
    role.duration_seconds = profiles_.text(profile, "duration_seconds");
    Sts sts(*context_.sts, context_.region);
    if (const std::string path = profiles_.text(profile, "web_identity_token_file"); !path.empty()) {
      auto token = read_secret_file(path, true);
      if (!token) return broken_source(std::move(token).error(), "the profile '" + profile + "'");
      return named(sts.assume_role_with_web_identity(role, *token, deadline_), profile);
    }
    auto source = source_of_role(profile);
    if (!source) return source;
    if (!*source) return broken(profile, "its source has no credentials");
    CredentialsHolder signer(
        [kept = std::make_shared<std::optional<Credentials>>(std::move(*source))](
            const Deadline&) -> Result<Credentials> {
          if (!*kept) return error(Kind::kUnavailable, "its source has no other credentials");
          return *std::exchange(*kept, std::nullopt);
        },
        *context_.clock);
    return named(sts.assume_role(role, signer, deadline_), profile);
  }

  static Found named(Result<Credentials> credentials, const std::string& profile) {
    if (!credentials) return broken_source(std::move(credentials).error(), "the profile '" + profile + "'");
    return std::optional(std::move(*credentials));
  }

  Found source_of_role(const std::string& profile) {
    const std::string source = profiles_.text(profile, "source_profile");
    const std::string named = profiles_.text(profile, "credential_source");
    if (source.empty() == named.empty()) {
      return broken(profile, "a role_arn needs either source_profile or credential_source");
    }
    if (!source.empty()) {
      if (!profiles_.has(source))
        return broken(profile, "its source_profile '" + source + "' does not exist");
      if (source == profile) return static_keys(profile);  // a role that its own keys assume
      if (std::find(visited_.begin(), visited_.end(), source) != visited_.end()) {
        return broken(profile, "its source_profile '" + source + "' leads back to it");
      }
      return read(source);
    }
    if (named == "Environment") return credentials_from_environment(context_);
    if (named == "EcsContainer") return credentials_from_container(context_, deadline_);
    if (named == "Ec2InstanceMetadata") return credentials_from_instance(context_, deadline_);
    return broken(profile,
                  "its credential_source is none of Environment, EcsContainer and Ec2InstanceMetadata");
  }

  const CredentialsContext& context_;
  const Profiles& profiles_;
  const Deadline& deadline_;
  std::vector<std::string> visited_;
};

}  // namespace

Result<std::optional<Credentials>> credentials_from_profile(const CredentialsContext& context,
                                                            const Profiles& profiles,
                                                            const std::string& profile,
                                                            const Deadline& deadline) {
  return ProfileReader(context, profiles, deadline).read(profile);
}

}  // namespace kmsfs
