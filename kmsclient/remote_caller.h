// A KMS elsewhere, by the AWS KMS protocol: unix:, http:, https:, aws:.
//
// Always: as kmsclient/caller.h and docs/REMOTE-KMS.md say. Threads: any, together.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "core/guarded.h"
#include "kmsclient/caller.h"
#include "kmsclient/channel.h"
#include "kmsclient/credentials/chain.h"

namespace kmsfs {

class RemoteCaller final : public KmsCaller {
 public:
  // The world around it: production code takes the defaults.
  struct Options {
    SurvivalLimits limits;
    Pause pause = sleeping_pause();
    Environment environment;
  };

  // `clock` must outlive it. Asks nobody yet; kInvalid or kUnsupported for a URI that does not serve.
  static Result<std::unique_ptr<RemoteCaller>> make(const KmsAccess& access, const Clock& clock,
                                                    Options options);

  std::string endpoint() const override { return kms_.endpoint().given; }
  Result<std::string> principal() override;  // asked once, then remembered
  Result<kms::SensitiveBytes> call(std::string_view operation, ByteView json) override;

  // Where the credentials come from that sign calls: "the environment". Empty where calls are not signed.
  Result<std::string> credentials_source();

 private:
  RemoteCaller(Endpoint kms, Endpoint sts, std::string region, std::string profile, const Clock& clock,
               Options options);
  std::string known_region();
  std::string region_for(ByteView json);
  Result<Credentials> fetch_credentials(const Deadline& deadline);

  const Clock& clock_;
  const SurvivalLimits limits_;
  const Environment environment_;
  const std::string profile_;
  const std::shared_ptr<Transport> transport_;
  Channel kms_;
  Channel sts_;
  CredentialsHolder credentials_;
  Guarded<std::string> region_;  // as configured, else that of the last key ARN
  Guarded<std::optional<std::string>> principal_;
};

}  // namespace kmsfs
