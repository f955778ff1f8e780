// A KMS as a program that passes requests on sees it: the name of an operation and AWS's JSON in, AWS's JSON
// out. Whoever wants typed calls takes a Kms (kmsclient/kms.h).
//
// One caller speaks for one principal. Two kinds: within this process on a store of ours (local:), and over
// the AWS KMS protocol (unix:, http:, https:, aws:) with a deadline, retries and a circuit breaker as
// docs/REMOTE-KMS.md says. Always: a reply is in locked memory from the socket on, and has at most 1 MiB.
// Threads: any, together; a call may block up to the operation's deadline: never call with a lock held.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "core/bytes.h"
#include "core/clock.h"
#include "core/log.h"
#include "kms/sensitive_bytes.h"
#include "kmsclient/access.h"

namespace kmsfs {

class KmsCaller {
 public:
  virtual ~KmsCaller() = default;

  virtual std::string endpoint() const = 0;     // as given: "unix:/run/kmsd.sock", "aws:eu-west-1"
  virtual Result<std::string> principal() = 0;  // the ARN that calls are made as

  // `operation` as AWS names it, "GenerateDataKey"; `json` its request, an object. The reply is an object
  // too, or empty for operations without one. Errors have the Kind that kmsclient/kms.h tells apart and, if
  // the KMS answered with one that is known, the AWS code.
  virtual Result<kms::SensitiveBytes> call(std::string_view operation, ByteView json) = 0;
};

// For every URI. `clock` must outlive the caller. Opening a local KMS unseals it; opening a remote one asks
// nothing yet. kInvalid for a URI that is none, and for http: to another host unless access.insecure_http.
Result<std::unique_ptr<KmsCaller>> open_caller(const KmsAccess& access, const Clock& clock, Logger logger);

}  // namespace kmsfs
