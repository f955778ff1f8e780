// How to reach a KMS, and as whom: what a user says on the command line. Threads: a plain value.
#pragma once

#include <string>

#include "kms/passphrase.h"

namespace kmsfs {

struct KmsAccess {
  std::string uri;   // empty: default_kms_uri()
  std::string user;  // at a local KMS: a user name of this uid's account, or an ARN; empty: this uid's own
  PassphraseSource passphrase;  // asked only if the store is sealed by one; empty: none to be had

  // At a KMS elsewhere:
  std::string profile = {};    // of the AWS configuration files; empty: AWS_PROFILE, or default
  bool insecure_http = false;  // plain http to another host: everybody on the way reads the keys
  std::string key = {};        // one that will be used, if known: a key ARN tells for which region to sign
};

}  // namespace kmsfs
