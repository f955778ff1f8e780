// The KMS that a command of `kmsfs kms` speaks to, and how it speaks to it.
//
// Operations of the KMS go through a KmsCaller, whatever the URI. Administration is for the host of the KMS:
// over DIR/admin.sock where a kmsd serves that store, otherwise within this process. Always: nothing is
// opened before it is needed, and a passphrase is asked for once. Threads: one.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "cli/kms_arguments.h"
#include "core/clock.h"
#include "core/log.h"
#include "kms/sensitive_bytes.h"
#include "kmsclient/caller.h"

namespace kmsfs::kms {
class Service;
}

namespace kmsfs::cli {

class KmsConnection {
 public:
  // kInvalid: a URI that cannot be understood.
  static Result<std::unique_ptr<KmsConnection>> to(const KmsArguments& arguments);
  ~KmsConnection();
  KmsConnection(const KmsConnection&) = delete;
  KmsConnection& operator=(const KmsConnection&) = delete;

  // As KmsCaller::call().
  Result<kms::SensitiveBytes> call(std::string_view operation, ByteView json);
  Result<std::string> principal();
  // As kms::administration_call(). kUnsupported if the KMS is not in a directory of this host.
  Result<kms::SensitiveBytes> administer(std::string_view operation, ByteView json);

  // The last error was about opening a store: its seal, its files, its absence.
  bool opening_failed() const { return opening_failed_; }

  // The directory of a local: URI; kUnsupported for others: `what` is done at the KMS's host.
  Result<std::string> store_directory(std::string_view what) const;
  const PassphraseSource& passphrase() const { return access_.passphrase; }
  const Clock& clock() const { return clock_; }
  const Logger& logger() const { return logger_; }

 private:
  explicit KmsConnection(KmsAccess access);
  Result<KmsCaller*> caller();
  Error opening(Error error);

  const KmsAccess access_;
  const SystemClock clock_;
  const Logger logger_;
  bool opening_failed_ = false;
  std::unique_ptr<KmsCaller> caller_;
  std::unique_ptr<kms::Service> service_;  // for administration within this process
};

}  // namespace kmsfs::cli
