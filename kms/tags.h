// Tags of keys: what is allowed in them, and changing them. Private to the service.
#pragma once

#include <vector>

#include "kms/decision/request.h"
#include "kms/requests.h"

namespace kmsfs::kms {

// The tags of a request; `there` are those of the key already. ValidationException, TagException,
// LimitExceededException.
Result<Tags> checked_tags(const std::vector<Tag>& tags, const Tags& there);

}  // namespace kmsfs::kms
