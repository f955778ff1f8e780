// The configuration files that all AWS tools share: ~/.aws/config and ~/.aws/credentials.
//
// Always: their text is in locked memory only (there are secrets in it), and a value is a view into it. A
// profile is what both files say of it; the credentials file has the last word. Threads: as a const struct.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "kms/sensitive_bytes.h"
#include "kmsclient/environment.h"

namespace kmsfs {

class Profiles {
 public:
  // A file that is not there is as good as an empty one; one that cannot be read or understood is an error
  // that names it (kUnavailable).
  static Result<Profiles> load(const Environment& environment);

  bool has(std::string_view profile) const;
  // What `endpoint_url` says for a service ("kms"): in the services section that the profile names, else in
  // the profile itself. Empty: neither.
  std::string endpoint_url(std::string_view profile, std::string_view service) const;
  // Empty: the profile has no such setting.
  std::string_view get(std::string_view profile, std::string_view setting) const;
  std::string text(std::string_view profile, std::string_view setting) const {
    return std::string(get(profile, setting));
  }
  const std::string& config_path() const { return files_[0].path; }
  const std::string& credentials_path() const { return files_[1].path; }

 private:
  struct Setting {
    std::string_view profile, name, value;
    std::string_view services = {};  // of a [services NAME]: its name; then profile is empty
    std::string_view within = {};    // of a nested setting: that which it is nested in
  };
  struct File {
    std::string path;
    std::optional<kms::SensitiveBytes> content;
    std::vector<Setting> settings;  // a section without settings has one without a name
  };
  Result<void> load(File& file, bool is_config) const;
  std::vector<File> files_;  // config, credentials
};

// What access.profile, AWS_PROFILE, AWS_DEFAULT_PROFILE say; "default" if nothing.
std::string profile_name(const std::string& given, const Environment& environment);

}  // namespace kmsfs
