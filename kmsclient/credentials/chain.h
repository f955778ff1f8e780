// Where credentials come from, as every AWS tool looks for them.
//
// In this order, and the first that is configured is the one: a profile that was asked for by name; the
// environment (AWS_ACCESS_KEY_ID); a web identity token file; the profile in the shared files (role_arn with
// source_profile or credential_source, web_identity_token_file, static keys, credential_process); the
// container; the instance. Always: a source that is configured and broken is an error that names it, never
// passed over, and never has a secret in it. Each look starts afresh: files that were edited count. Threads:
// any, together.
#pragma once

#include <memory>
#include <string>

#include "kmsclient/channel.h"
#include "kmsclient/credentials/credentials.h"
#include "kmsclient/credentials/profiles.h"

namespace kmsfs {

// What the sources need of the world around them. Borrowed parts must outlive whoever has one.
struct CredentialsContext {
  Environment environment;
  std::string profile;  // asked for by name; empty: not
  std::shared_ptr<Transport> transport;
  const Clock* clock = nullptr;
  Channel* sts = nullptr;  // where roles are assumed
  std::string region;      // what STS calls are signed for
};

// kUnavailable, or kDenied if STS refuses.
Result<Credentials> find_credentials(const CredentialsContext& context, const Deadline& deadline);

// The sources, one by one. Nothing: it is not configured.
Result<std::optional<Credentials>> credentials_from_environment(const CredentialsContext& context);
Result<std::optional<Credentials>> credentials_from_web_identity(const CredentialsContext& context,
                                                                 const Deadline& deadline);
Result<std::optional<Credentials>> credentials_from_profile(const CredentialsContext& context,
                                                            const Profiles& profiles,
                                                            const std::string& profile,
                                                            const Deadline& deadline);
Result<std::optional<Credentials>> credentials_from_container(const CredentialsContext& context,
                                                              const Deadline& deadline);
Result<std::optional<Credentials>> credentials_from_instance(const CredentialsContext& context,
                                                             const Deadline& deadline);

// AccessKeyId, SecretAccessKey, SessionToken or Token, Expiration: what programs and metadata services
// answer.
Result<Credentials> credentials_of_json(ByteView json, std::string source);

// An error of the source that is named: kUnavailable whatever it was, but for a refusal.
Error broken_source(Error error, const std::string& source);

}  // namespace kmsfs
