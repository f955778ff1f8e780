#include "kmsclient/provider.h"

#include <unistd.h>

#include <cstdlib>
#include <optional>
#include <utility>

#include "kms/administration.h"
#include "kmsclient/embedded_kms.h"
#include "kmsclient/local_caller.h"
#include "kmsclient/local_store.h"
#include "kmsclient/passwd.h"
#include "kmsclient/remote_caller.h"
#include "kmsclient/remote_kms.h"

namespace kmsfs {

namespace {

constexpr const char* kServiceKeyAlias = "alias/aws/kmsfs";

Result<KmsAccess> with_default_uri(KmsAccess access) {
  if (!access.uri.empty()) return access;
  auto uri = default_kms_uri();
  if (!uri) return std::move(uri).error();
  access.uri = std::move(*uri);
  return access;
}

Result<std::unique_ptr<KmsCaller>> open_remote(const KmsAccess& access, const Clock& clock) {
  if (!access.user.empty()) {
    return error(
        Kind::kInvalid,
        "the KMS '" + access.uri + "' finds out itself who calls: a user can be named at a local: one only");
  }
  auto caller = RemoteCaller::make(access, clock, {});
  if (!caller) return std::move(caller).error();
  return std::unique_ptr<KmsCaller>(std::move(*caller));
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

// A KMS elsewhere has what it has: who we are is all there is to find out.
Result<KmsSetupReport> look_at_remote(const KmsAccess& access, const Clock& clock) {
  auto caller = open_remote(access, clock);
  if (!caller) return std::move(caller).error();
  KmsSetupReport report;
  report.uri = access.uri;
  report.kms = std::make_unique<RemoteKms>(std::move(*caller));
  auto principal = report.kms->principal();
  if (!principal) return std::move(principal).error();
  report.principal = std::move(*principal);
  return report;
}

// Whether it was made by this call: another init may have been faster, and its store serves as well.
Result<bool> make_store_if_missing(const std::string& directory, const KmsSetup& setup,
                                   const PassphraseSource& passphrase) {
  auto has = kms::Service::has_store(directory);
  if (!has) return std::move(has).error();
  if (*has) return false;
  auto made = kms::Service::create_store(directory, {setup.seal, setup.region}, passphrase);
  if (!made && made.error().kind != Kind::kExists) return std::move(made).error();
  return made.ok();
}

}  // namespace

Result<std::string> default_kms_uri() {
  if (::geteuid() == 0) return std::string("local:/var/lib/kmsfs/kms");
  // Relative paths do not count (XDG Base Directory Specification).
  if (const char* data = std::getenv("XDG_DATA_HOME"); data != nullptr && data[0] == '/') {
    return std::string("local:") + data + "/kmsfs/kms";
  }
  const char* home = std::getenv("HOME");
  const std::string directory = home != nullptr && home[0] == '/' ? home : passwd_entry(::geteuid()).home;
  if (directory.empty())
    return error(Kind::kNotFound, "there is no home directory; name the KMS with --kms local:DIR");
  return "local:" + directory + "/.local/share/kmsfs/kms";
}

Result<std::unique_ptr<Kms>> open_kms(const KmsAccess& given, const Clock& clock, Logger logger) {
  auto access = with_default_uri(given);
  if (!access) return std::move(access).error();
  if (!is_local_kms(access->uri)) {
    auto caller = open_remote(*access, clock);
    if (!caller) return std::move(caller).error();
    return std::unique_ptr<Kms>(std::make_unique<RemoteKms>(std::move(*caller)));
  }
  auto store = open_local_store(*access, clock, std::move(logger));
  if (!store) return std::move(store).error();
  return std::unique_ptr<Kms>(std::make_unique<EmbeddedKms>(std::move(store->service), std::move(store->uri),
                                                            std::move(store->principal)));
}

Result<std::unique_ptr<KmsCaller>> open_caller(const KmsAccess& given, const Clock& clock, Logger logger) {
  auto access = with_default_uri(given);
  if (!access) return std::move(access).error();
  if (!is_local_kms(access->uri)) return open_remote(*access, clock);
  auto store = open_local_store(*access, clock, std::move(logger));
  if (!store) return std::move(store).error();
  return std::unique_ptr<KmsCaller>(std::make_unique<LocalCaller>(
      std::move(store->service), std::move(store->uri), std::move(store->principal)));
}

Result<KmsSetupReport> set_up_kms(const KmsSetup& setup, const Clock& clock, Logger logger) {
  auto access = with_default_uri(setup.access);
  if (!access) return std::move(access).error();
  if (!is_local_kms(access->uri)) return look_at_remote(*access, clock);
  auto directory = local_directory(access->uri);
  if (!directory) return std::move(directory).error();
  const PassphraseSource passphrase = asking_once(access->passphrase);
  auto made = make_store_if_missing(*directory, setup, passphrase);
  if (!made) return std::move(made).error();
  auto service = kms::Service::open(*directory, passphrase, clock, std::move(logger));
  if (!service) return std::move(service).error();
  auto principal = ensure_principal(**service, access->user);
  if (!principal) return std::move(principal).error();
  const std::string account = principal->substr(std::string_view("arn:aws:iam::").size(), 12);
  auto key = (*service)->administration().ensure_service_key(account, kServiceKeyAlias);
  if (!key) return std::move(key).error();
  KmsSetupReport report;
  report.uri = access->uri;
  report.store_made = *made;
  report.principal = std::move(*principal);
  report.key_arn = std::move(key->arn);
  report.kms = std::make_unique<EmbeddedKms>(std::move(*service), report.uri, report.principal);
  return report;
}

}  // namespace kmsfs
