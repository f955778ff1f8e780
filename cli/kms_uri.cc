#include "cli/kms_uri.h"

#include <filesystem>
#include <string_view>

namespace kmsfs::cli {

Result<std::string> absolute_kms_uri(const std::string& uri) {
  constexpr std::string_view kLocal = "local:";
  if (!uri.starts_with(kLocal)) return uri;
  const std::string directory = uri.substr(kLocal.size());
  if (directory.empty()) {
    return error(Kind::kInvalid, "local: needs a directory, as in local:/var/lib/kmsfs/kms");
  }
  std::error_code failed;
  const auto absolute = std::filesystem::absolute(directory, failed).lexically_normal();
  if (failed) return error(Kind::kSystem, "the current directory is not to be had: " + failed.message());
  return std::string(kLocal) + absolute.string();
}

}  // namespace kmsfs::cli
