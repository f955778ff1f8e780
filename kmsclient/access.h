// How to reach a KMS, and as whom: what a user says on the command line. Threads: a plain value.
#pragma once

#include <string>

#include "kms/passphrase.h"

namespace kmsfs {

struct KmsAccess {
  std::string uri;   // empty: default_kms_uri()
  std::string user;  // at a local KMS: a user name of this uid's account, or an ARN; empty: this uid's own
  PassphraseSource passphrase;  // asked only if the store is sealed by one; empty: none to be had
  std::string profile =
      {};  // at a remote KMS: of the AWS configuration files; empty: AWS_PROFILE, or default
  bool insecure_http = false;  // http: to a host that is not this one: everybody on the way reads the keys
};

}  // namespace kmsfs
