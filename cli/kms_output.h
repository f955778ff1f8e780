// What a command of `kmsfs kms` prints: AWS's JSON, laid out as AWS's command line lays it out.
//
// Replies may hold plain text, keys and tokens, in base64. Always: a reply is walked where it stands, in
// locked memory, and goes from there to the descriptor through a buffer that is locked too. What a KMS sent
// may be no JSON at all: then nothing of it is printed, and the error is kCorrupt. Threads: any; one
// descriptor at a time.
#pragma once

#include <string>

#include "core/bytes.h"

namespace kmsfs::cli {

struct OutputChoice {
  bool text = false;   // a bare value, for scripts, rather than JSON
  std::string query;   // "KeyMetadata.KeyId", "Keys[0].KeyArn"; empty: everything
  std::string hidden;  // a member of the whole that is left out
};

// An empty reply prints nothing. Numbers of members that are called …Date, and Expiration, are printed as
// times. kInvalid if the query cannot be understood, or if text is wanted of what is no value.
Result<void> print_json(int fd, ByteView json, const OutputChoice& choice);

}  // namespace kmsfs::cli
