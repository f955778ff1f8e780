// The three calls of STS that a KMS client makes. Threads: any.
#pragma once

#include <string>
#include <string_view>

#include "kmsclient/channel.h"

namespace kmsfs {

class Sts {
 public:
  // Borrows the channel. `region`: what its calls are signed for.
  Sts(Channel& channel, std::string region) : channel_(channel), region_(std::move(region)) {}

  // The ARN of whoever signs (on a unix socket: of the peer).
  Result<std::string> caller_identity(CredentialsHolder* signer, const Deadline& deadline);

  struct Role {
    std::string arn;
    std::string session_name;
    std::string external_id;       // empty: none
    std::string duration_seconds;  // empty: what STS takes
  };
  Result<Credentials> assume_role(const Role& role, CredentialsHolder& signer, const Deadline& deadline);
  Result<Credentials> assume_role_with_web_identity(const Role& role, const kms::SensitiveBytes& token,
                                                    const Deadline& deadline);

 private:
  Result<kms::SensitiveBytes> call(ByteView form, CredentialsHolder* signer, const Deadline& deadline);
  Channel& channel_;
  const std::string region_;
};

// One name=value of a form, value encoded; with an & before it unless it is the first.
std::string form_field(std::string_view name, std::string_view value);

}  // namespace kmsfs
