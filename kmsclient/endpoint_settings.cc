#include "kmsclient/endpoint_settings.h"

#include <strings.h>

#include <cctype>

namespace kmsfs {

Result<EndpointSettings> EndpointSettings::load(const std::string& profile, const Environment& environment) {
  auto profiles = Profiles::load(environment);
  if (!profiles) return std::move(profiles).error().during("reading the endpoints of the AWS configuration");
  return EndpointSettings(std::move(*profiles), profile_name(profile, environment), environment);
}

EndpointSettings::Url EndpointSettings::url(std::string_view service) const {
  if (is_true("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "ignore_configured_endpoint_urls")) return {};
  std::string of_service = "AWS_ENDPOINT_URL_";
  for (const char c : service) of_service += static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  for (const std::string& variable : {of_service, std::string("AWS_ENDPOINT_URL")}) {
    if (std::string url = environment_.text(variable.c_str()); !url.empty())
      return {std::move(url), "the environment (" + variable + ")"};
  }
  return {profiles_.endpoint_url(profile_, service), "the profile '" + profile_ + "'"};
}

// What the environment says, if it says anything.
bool EndpointSettings::is_true(const char* variable, std::string_view setting) const {
  if (!environment_.get(variable).empty()) return environment_.is_true(variable);
  return ::strcasecmp(profiles_.text(profile_, setting).c_str(), "true") == 0;
}

}  // namespace kmsfs
