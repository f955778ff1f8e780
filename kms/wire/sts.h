// STS on the endpoint of the KMS: AssumeRole and GetCallerIdentity, a form in, XML out.
//
// Always: what restricts a session and is not supported (managed policies, tags, a second factor) is refused,
// never overlooked. The secret of a session is in locked memory until it is in the answer.
// Threads: any, together.
#pragma once

#include <string>
#include <string_view>

#include "kms/requests.h"
#include "kms/wire/body.h"

namespace kmsfs::kms {

class Engine;

struct StsAnswer {
  int status = 200;
  Body body;
  std::string internal_error;  // what went wrong on our side, for a log
};

// The caller has been authenticated; `from.request_id` is the answer's.
StsAnswer answer_sts(Engine& engine, std::string_view form, const Invocation& from);
// An error as STS answers it; the codes of the KMS become those of STS.
StsAnswer sts_error(const Error& error, std::string_view request_id);

}  // namespace kmsfs::kms
