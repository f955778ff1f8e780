#include "kmsclient/local_store.h"

#include <unistd.h>

#include <utility>

#include "kms/administration.h"
#include "kms/errors.h"
#include "kms/names.h"
#include "kmsclient/passwd.h"
#include "kmsclient/provider.h"

namespace kmsfs {

namespace {

constexpr std::string_view kLocal = "local:";

// What the system calls this uid, as far as it is a user name here.
std::string user_name(uid_t uid) {
  const std::string name = passwd_entry(uid).name;
  return kms::is_user_name(name) ? name : "uid-" + std::to_string(uid);
}

Error unknown_caller(const std::string& text) {
  return kms::answer(Kind::kNotFound, "UnrecognizedClientException", "the key store has no user " + text);
}

// The ARN that `user` means for the calling uid.
Result<std::string> principal_named(kms::Administration& administration, const std::string& user) {
  std::string arn = user;
  if (!user.starts_with("arn:")) {
    auto own = administration.user_of_uid(::geteuid());
    if (!own) return std::move(own).error();
    if (!*own) {
      return unknown_caller("for uid " + std::to_string(::geteuid()) +
                            "; kmsfs init makes one, and kmsfs kms map-uid says who it is");
    }
    if (user.empty()) return std::move(**own);
    arn = kms::user_arn((*own)->substr(std::string_view("arn:aws:iam::").size(), 12), user);
  }
  auto known = administration.has_user(arn);
  if (!known) return std::move(known).error();
  if (!*known) return unknown_caller(arn);
  return arn;
}

}  // namespace

kms::Invocation own_invocation(std::string principal) {
  kms::Invocation from;
  from.principal = std::move(principal);
  from.user_agent = "kmsfs/" KMSFS_VERSION;
  return from;
}

bool is_local_kms(const std::string& uri) { return uri.starts_with(kLocal); }

Result<std::string> local_directory(const std::string& uri) {
  std::string directory = uri.substr(kLocal.size());
  if (directory.empty()) {
    return error(Kind::kInvalid, "local: needs a directory, as in local:/var/lib/kmsfs/kms");
  }
  return directory;
}

Result<LocalStore> open_local_store(const KmsAccess& access, const Clock& clock, Logger logger) {
  auto directory = local_directory(access.uri);
  if (!directory) return std::move(directory).error();
  auto service = kms::Service::open(*directory, access.passphrase, clock, std::move(logger));
  if (!service) return std::move(service).error();
  auto principal = principal_named((*service)->administration(), access.user);
  if (!principal) return std::move(principal).error();
  return LocalStore{access.uri, std::move(*service), std::move(*principal)};
}

Result<std::string> ensure_principal(kms::Service& service, const std::string& user) {
  kms::Administration& administration = service.administration();
  auto own = administration.ensure_user_of_uid(::geteuid(), user_name(::geteuid()));
  if (!own) return std::move(own).error();
  return principal_named(administration, user);
}

}  // namespace kmsfs
