// What a user configured about endpoints: in the environment, else in the profile of the shared files, as
// every AWS tool reads them.
//
// Always: AWS_ENDPOINT_URL_SERVICE comes before AWS_ENDPOINT_URL, both before the services section that the
// profile names, and that before the profile's own endpoint_url. Threads: as a const object.
#pragma once

#include <string>
#include <string_view>

#include "core/result.h"
#include "kmsclient/credentials/profiles.h"
#include "kmsclient/environment.h"

namespace kmsfs {

class EndpointSettings {
 public:
  // `profile`: asked for by name; empty: the usual one. kUnavailable for files that cannot be read or
  // understood.
  static Result<EndpointSettings> load(const std::string& profile, const Environment& environment);

  struct Url {
    std::string url;    // empty: nothing is configured
    std::string where;  // for errors
  };
  Url url(std::string_view service) const;  // "kms", "sts"
  bool fips() const { return is_true("AWS_USE_FIPS_ENDPOINT", "use_fips_endpoint"); }
  bool dual_stack() const { return is_true("AWS_USE_DUALSTACK_ENDPOINT", "use_dualstack_endpoint"); }

 private:
  EndpointSettings(Profiles profiles, std::string profile, Environment environment)
      : profiles_(std::move(profiles)), profile_(std::move(profile)), environment_(std::move(environment)) {}
  bool is_true(const char* variable, std::string_view setting) const;

  Profiles profiles_;
  std::string profile_;
  Environment environment_;
};

}  // namespace kmsfs
