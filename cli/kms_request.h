// What was typed, as the JSON of a request.
//
// Always: the content of a blob is in locked memory from the file that it was read from on; no error repeats
// a value that may be a secret. Threads: pure, but for the files that values name.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

#include "cli/kms_arguments.h"
#include "kms/sensitive_bytes.h"

namespace kmsfs::cli {

// The members of the command's operation. kInvalid names the parameter that cannot be understood; kNotFound,
// kDenied, … a file.
Result<kms::SensitiveBytes> kms_request(const KmsArguments& arguments);

// A text as it was typed, or what stands in the file that file://FILE names (at most 1 MiB).
Result<std::string> resolved_text(const std::string& typed);

// AWS's shorthand: `TagKey=a,TagValue=b`, `EncryptionContextSubset={k=v,l=w}`; or JSON.
Result<nlohmann::ordered_json> parse_structure(const std::string& typed);

}  // namespace kmsfs::cli
