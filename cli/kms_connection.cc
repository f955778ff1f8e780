#include "cli/kms_connection.h"

#include <optional>
#include <utility>

#include "cli/kms_admin_socket.h"
#include "cli/kms_uri.h"
#include "cli/passphrase_source.h"
#include "kms/identities/administration_call.h"
#include "kms/service.h"
#include "kmsclient/provider.h"

namespace kmsfs::cli {

Result<std::unique_ptr<KmsConnection>> KmsConnection::to(const KmsArguments& arguments) {
  auto uri = absolute_kms_uri(arguments.text("--kms"));
  if (!uri) return std::move(uri).error();
  KmsAccess access;
  access.uri = std::move(*uri);
  if (access.uri.empty()) {
    auto usual = default_kms_uri();
    if (!usual) return std::move(usual).error();
    access.uri = std::move(*usual);
  }
  access.user = arguments.text("--principal");
  access.passphrase = passphrase_source(arguments.text("--passphrase-file"));
  access.profile = arguments.text("--profile");
  access.insecure_http = arguments.flag("--insecure-http").value_or(false);
  return std::unique_ptr<KmsConnection>(new KmsConnection(std::move(access)));
}

KmsConnection::KmsConnection(KmsAccess access)
    : access_(std::move(access)), logger_(make_logger(false, false)) {}
KmsConnection::~KmsConnection() = default;

// One with a code is the KMS's own: it is open, and does not know the caller.
Error KmsConnection::opening(Error error) {
  opening_failed_ = error.code == nullptr && access_.uri.starts_with("local:");
  return error;
}

Result<KmsCaller*> KmsConnection::caller() {
  if (!caller_) {
    auto opened = open_caller(access_, clock_, logger_);
    if (!opened) return opening(std::move(opened).error());
    caller_ = std::move(*opened);
  }
  return caller_.get();
}

Result<kms::SensitiveBytes> KmsConnection::call(std::string_view operation, ByteView json) {
  auto to = caller();
  if (!to) return std::move(to).error();
  return (*to)->call(operation, json);
}

Result<std::string> KmsConnection::principal() {
  auto to = caller();
  if (!to) return std::move(to).error();
  return (*to)->principal();
}

Result<kms::SensitiveBytes> KmsConnection::administer(std::string_view operation, ByteView json) {
  auto directory = store_directory("administered");
  if (!directory) return std::move(directory).error();
  if (auto socket = AdminSocket::of(*directory)) return socket->call(operation, json);
  if (!service_) {
    auto opened = kms::Service::open(*directory, access_.passphrase, clock_, logger_);
    if (!opened) return opening(std::move(opened).error());
    service_ = std::move(*opened);
  }
  return kms::administration_call(service_->administration(), operation, as_text(json));
}

Result<std::string> KmsConnection::store_directory(std::string_view what) const {
  constexpr std::string_view kLocal = "local:";
  if (access_.uri.starts_with(kLocal)) return access_.uri.substr(kLocal.size());
  return error(Kind::kUnsupported, "the KMS " + access_.uri + " is " + std::string(what) +
                                       " at its host: run this there, with --kms local:DIR, the directory of "
                                       "its store");
}

}  // namespace kmsfs::cli
