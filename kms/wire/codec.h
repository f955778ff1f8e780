// The operations as the wire knows them: name, members of the request, and the way through the service.
//
// One file per family (codec_*.cc), a table in each; find_codec() looks through them. A codec's `call` takes
// a request that satisfied the model and writes the answer's members. Threads: constant tables; any.
#pragma once

#include <span>
#include <string_view>

#include "kms/service.h"
#include "kms/wire/body.h"
#include "kms/wire/input.h"
#include "kms/wire/model.h"
#include "kms/wire/output.h"

namespace kmsfs::kms {

struct CodecCall {
  Service& service;
  const Invocation& from;
  const Input& in;
  std::string_view operation;
};

struct Codec {
  std::string_view operation;
  std::span<const Member> members;
  Result<Body> (*call)(const CodecCall& call);
};

// nullptr: AWS has no such operation.
const Codec* find_codec(std::string_view operation);

std::span<const Codec> key_codecs();
std::span<const Codec> alias_codecs();
std::span<const Codec> policy_codecs();
std::span<const Codec> rotation_codecs();
std::span<const Codec> use_codecs();
std::span<const Codec> grant_codecs();
std::span<const Codec> tag_codecs();
std::span<const Codec> unsupported_codecs();  // of AWS, and not of this KMS

// For operations without output: 200 and nothing.
inline Result<Body> nothing(Result<Done> done) {
  if (!done) return std::move(done).error();
  return Body();
}

}  // namespace kmsfs::kms
