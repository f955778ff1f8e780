// AWS's shorthand for structures: `TagKey=a,TagValue=b`, `EncryptionContextSubset={k=v,l="x, y"}`,
// `Ids=[a,b]`.
//
// Always: an object comes out, or an error that says where it went wrong. Threads: pure functions.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string_view>

#include "core/result.h"

namespace kmsfs::cli {

// A text that begins with `{` is JSON, and must be an object.
Result<nlohmann::ordered_json> parse_shorthand(std::string_view text);

}  // namespace kmsfs::cli
