// From a KMS URI to a Kms: which provider, and as whom.
//
// "local:DIR" is a store in a directory, opened by this process: that unseals it (Argon2id: about a tenth of
// a second) and may ask for a passphrase. unix:, http:, https: and aws: are a KMS elsewhere
// (docs/REMOTE-KMS.md): opening asks nobody yet. Threads: any.
#pragma once

#include <memory>
#include <string>

#include "core/clock.h"
#include "core/log.h"
#include "kms/seal.h"
#include "kmsclient/access.h"
#include "kmsclient/kms.h"

namespace kmsfs {

// `clock` must outlive the Kms. Errors say what to do: kNotFound (no store there: kmsfs init makes one),
// kDenied (wrong passphrase, open modes), kUnsupported (a scheme that this version does not know), kInvalid
// (what is wrong with a URI of one that it knows).
Result<std::unique_ptr<Kms>> open_kms(const KmsAccess& access, const Clock& clock, Logger logger);

// "local:" and $XDG_DATA_HOME/kmsfs/kms, or ~/.local/share/kmsfs/kms; for root /var/lib/kmsfs/kms.
Result<std::string> default_kms_uri();

// What `kmsfs init` needs: makes what is missing of store, account, user of this uid and that account's
// service-managed key alias/aws/kmsfs. Doing it again changes nothing. Of a KMS elsewhere it asks who we are,
// and makes nothing.
struct KmsSetup {
  KmsAccess access;
  std::string region = "local-1";
  // How a store that is made here is sealed. kKeyFile asks nothing; kPassphrase asks access.passphrase.
  kms::SealOptions seal;
};
struct KmsSetupReport {
  std::string uri;           // with the default filled in
  bool store_made = false;   // by this call
  std::string principal;     // ARN of this uid's user; elsewhere, of whoever we are there
  std::string key_arn;       // what alias/aws/kmsfs stands for; empty elsewhere
  std::unique_ptr<Kms> kms;  // opened as that principal: a passphrase is asked for once
};
Result<KmsSetupReport> set_up_kms(const KmsSetup& setup, const Clock& clock, Logger logger);

}  // namespace kmsfs
