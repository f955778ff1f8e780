// A form, application/x-www-form-urlencoded: names and values, read strictly.
// Threads: plain values.
#pragma once

#include <map>
#include <string>
#include <string_view>

#include "core/result.h"

namespace kmsfs::kms {

// A name that is there twice, a bad escape, more than 256 fields: kInvalid.
Result<std::map<std::string, std::string>> parse_form(std::string_view body);

}  // namespace kmsfs::kms
