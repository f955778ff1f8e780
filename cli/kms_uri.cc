#include "cli/kms_uri.h"

#include <filesystem>
#include <string_view>

#include "kmsclient/endpoint.h"

namespace kmsfs::cli {

namespace {

constexpr std::string_view kLocal = "local:", kSocket = "unix:";

Result<std::string> with_absolute_path(std::string_view scheme, const std::string& path) {
  std::error_code failed;
  const auto absolute = std::filesystem::absolute(path, failed).lexically_normal();
  if (failed) return error(Kind::kSystem, "the current directory is not to be had: " + failed.message());
  return std::string(scheme) + absolute.string();
}

}  // namespace

Result<std::string> absolute_kms_uri(const std::string& uri) {
  if (uri.starts_with(kLocal)) {
    const std::string directory = uri.substr(kLocal.size());
    if (directory.empty()) {
      return error(Kind::kInvalid, "local: needs a directory, as in local:/var/lib/kmsfs/kms");
    }
    return with_absolute_path(kLocal, directory);
  }
  if (uri.starts_with(kSocket) && uri.size() > kSocket.size()) {
    return with_absolute_path(kSocket, uri.substr(kSocket.size()));
  }
  if (uri.empty()) return uri;
  // Whether plain http may go there is decided by whoever opens it.
  KmsAccess access;
  access.uri = uri;
  access.insecure_http = true;
  auto sound = kms_endpoint(access, Environment());
  if (!sound && sound.error().kind == Kind::kInvalid) return std::move(sound).error();
  return uri;
}

}  // namespace kmsfs::cli
