#include "kmsclient/provider.h"

#include <pwd.h>
#include <unistd.h>

#include <cstdlib>
#include <optional>
#include <utility>
#include <vector>

#include "kms/administration.h"
#include "kms/names.h"
#include "kmsclient/embedded_kms.h"

namespace kmsfs {

namespace {

constexpr std::string_view kLocal = "local:";
constexpr const char* kServiceKeyAlias = "alias/aws/kmsfs";

struct PasswdEntry {
  std::string name, home;
};

PasswdEntry passwd_entry(uid_t uid) {
  std::vector<char> buffer(16384);
  passwd entry{};
  passwd* found = nullptr;
  if (::getpwuid_r(uid, &entry, buffer.data(), buffer.size(), &found) != 0 || found == nullptr) return {};
  return {found->pw_name, found->pw_dir};
}

// What the system calls this uid, as far as it is a user name here.
std::string user_name(uid_t uid) {
  const std::string name = passwd_entry(uid).name;
  return kms::is_user_name(name) ? name : "uid-" + std::to_string(uid);
}

Result<std::string> local_directory(const std::string& uri) {
  if (!uri.starts_with(kLocal)) {
    return error(
        Kind::kUnsupported,
        "the KMS '" + uri + "' is of a kind that this version does not know; it knows local:DIRECTORY");
  }
  const std::string directory = uri.substr(kLocal.size());
  if (directory.empty())
    return error(Kind::kInvalid, "local: needs a directory, as in local:/var/lib/kmsfs/kms");
  return directory;
}

Result<std::string> uri_or_default(const std::string& uri) {
  if (!uri.empty()) return uri;
  return default_kms_uri();
}

struct Opened {
  std::string uri;
  std::unique_ptr<kms::Service> service;
};

Result<Opened> open_local(const KmsAccess& access, const Clock& clock, Logger logger) {
  auto uri = uri_or_default(access.uri);
  if (!uri) return std::move(uri).error();
  auto directory = local_directory(*uri);
  if (!directory) return std::move(directory).error();
  auto service = kms::Service::open(*directory, access.passphrase, clock, std::move(logger));
  if (!service) return std::move(service).error();
  return Opened{std::move(*uri), std::move(*service)};
}

// Asks once: what sealed the new store unseals it as well.
PassphraseSource asking_once(const PassphraseSource& source) {
  if (!source) return source;
  return [source,
          kept = std::make_shared<std::optional<Passphrase>>()](PassphraseUse use) -> Result<Passphrase> {
    if (!kept->has_value()) {
      auto asked = source(use);
      if (!asked) return asked;
      *kept = std::move(*asked);
    }
    return Passphrase::copy_of(as_text((*kept)->reveal()));
  };
}

// The ARN that `user` means for the calling uid.
Result<std::string> principal_named(kms::Administration& administration, const std::string& user) {
  std::string arn = user;
  if (!user.starts_with("arn:")) {
    auto own = administration.user_of_uid(::geteuid());
    if (!own) return std::move(own).error();
    if (!*own) {
      return error(Kind::kNotFound, "the key store has no user for uid " + std::to_string(::geteuid()) +
                                        "; kmsfs init makes one");
    }
    if (user.empty()) return std::move(**own);
    arn = (*own)->substr(0, (*own)->find('/') + 1) + user;
  }
  auto known = administration.has_user(arn);
  if (!known) return std::move(known).error();
  if (!*known) return error(Kind::kNotFound, "the key store has no user " + arn);
  return arn;
}

}  // namespace

Result<std::string> default_kms_uri() {
  if (::geteuid() == 0) return std::string("local:/var/lib/kmsfs/kms");
  // Relative paths do not count (XDG Base Directory Specification).
  if (const char* data = std::getenv("XDG_DATA_HOME"); data != nullptr && data[0] == '/') {
    return std::string(kLocal) + data + "/kmsfs/kms";
  }
  const char* home = std::getenv("HOME");
  const std::string directory = home != nullptr && home[0] == '/' ? home : passwd_entry(::geteuid()).home;
  if (directory.empty())
    return error(Kind::kNotFound, "there is no home directory; name the KMS with --kms local:DIR");
  return std::string(kLocal) + directory + "/.local/share/kmsfs/kms";
}

Result<std::unique_ptr<Kms>> open_kms(const KmsAccess& access, const Clock& clock, Logger logger) {
  auto opened = open_local(access, clock, std::move(logger));
  if (!opened) return std::move(opened).error();
  auto principal = principal_named(opened->service->administration(), access.user);
  if (!principal) return std::move(principal).error();
  return std::unique_ptr<Kms>(std::make_unique<EmbeddedKms>(std::move(opened->service),
                                                            std::move(opened->uri), std::move(*principal)));
}

Result<KmsSetupReport> set_up_kms(const KmsSetup& setup, const Clock& clock, Logger logger) {
  KmsSetupReport report;
  auto uri = uri_or_default(setup.access.uri);
  if (!uri) return std::move(uri).error();
  auto directory = local_directory(*uri);
  if (!directory) return std::move(directory).error();
  const PassphraseSource passphrase = asking_once(setup.access.passphrase);
  auto has = kms::Service::has_store(*directory);
  if (!has) return std::move(has).error();
  if (!*has) {
    auto made = kms::Service::create_store(*directory, {setup.seal, setup.region}, passphrase);
    // Another init may have been faster; its store serves as well.
    if (!made && made.error().kind != Kind::kExists) return std::move(made).error();
    report.store_made = made.ok();
  }
  auto opened = open_local({*uri, setup.access.user, passphrase}, clock, std::move(logger));
  if (!opened) return std::move(opened).error();
  kms::Administration& administration = opened->service->administration();
  auto own = administration.ensure_user_of_uid(::geteuid(), user_name(::geteuid()));
  if (!own) return std::move(own).error();
  auto principal = principal_named(administration, setup.access.user);
  if (!principal) return std::move(principal).error();
  const std::string account = principal->substr(std::string_view("arn:aws:iam::").size(), 12);
  auto key = administration.ensure_service_key(account, kServiceKeyAlias);
  if (!key) return std::move(key).error();
  report.uri = std::move(*uri);
  report.principal = std::move(*principal);
  report.key_arn = std::move(key->arn);
  report.kms = std::make_unique<EmbeddedKms>(std::move(opened->service), report.uri, report.principal);
  return report;
}

}  // namespace kmsfs
