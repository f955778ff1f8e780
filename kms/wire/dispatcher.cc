#include "kms/wire/dispatcher.h"

#include <utility>

#include "kms/errors.h"
#include "kms/wire/codec.h"

namespace kmsfs::kms {

namespace {

constexpr std::size_t kBodyLimit = 32 * 1024;  // a blob and two encryption contexts, escaped

bool carries_policy(std::string_view operation) {
  return operation == "CreateKey" || operation == "PutKeyPolicy" || operation == "ReplicateKey";
}

// What is our fault, or a passing state of ours, is a 500: SDKs retry it.
bool is_server_fault(std::string_view code) {
  return code == "KMSInternalException" || code == "KeyUnavailableException" ||
         code == "DependencyTimeoutException";
}

const char* code_of(const Error& error) {
  if (error.code != nullptr) return error.code;
  switch (error.kind) {
    case Kind::kInvalid:
      return "ValidationException";
    case Kind::kDenied:
      return "AccessDeniedException";
    case Kind::kThrottled:
      return "ThrottlingException";
    case Kind::kUnsupported:
      return "UnsupportedOperationException";
    default:
      return "KMSInternalException";
  }
}

Result<Body> call_codec(Service& service, std::string_view operation, ByteView json, const Invocation& from) {
  const Codec* codec = find_codec(operation);
  if (codec == nullptr) {
    return answer(Kind::kUnsupported, "UnknownOperationException", "There is no such operation.");
  }
  if (json.size() > (carries_policy(operation) ? 3 * kBodyLimit : kBodyLimit)) {
    return validation("The request body has " + std::to_string(json.size()) + " bytes; that is too many.");
  }
  // A call without members may come without a body.
  auto document = JsonDocument::parse(json.empty() ? as_bytes("{}") : json);
  if (!document) return std::move(document).error();
  const JsonValue request = document->root();
  KMSFS_TRY(check_members(request, codec->members));
  return codec->call({service, from, Input(request), codec->operation});
}

}  // namespace

const Codec* find_codec(std::string_view operation) {
  using Family = std::span<const Codec> (*)();
  static constexpr Family kFamilies[] = {use_codecs,      key_codecs,   alias_codecs, policy_codecs,
                                         rotation_codecs, grant_codecs, tag_codecs,   unsupported_codecs};
  for (const Family family : kFamilies) {
    for (const Codec& codec : family()) {
      if (codec.operation == operation) return &codec;
    }
  }
  return nullptr;
}

Dispatcher::Answer answer_of(const Error& error) {
  Dispatcher::Answer answer;
  answer.error_code = code_of(error);
  answer.error_text = error.text;
  answer.status = is_server_fault(answer.error_code) ? 500 : 400;
  std::string body;
  JsonWriter json(body);
  json.begin().text("__type", answer.error_code);
  // AWS says no more of these: whatever is wrong with a blob, the answer is the same.
  if (std::string_view(answer.error_code) != "InvalidCiphertextException") json.text("message", error.text);
  json.end();
  answer.body = Body(std::move(body));
  return answer;
}

Dispatcher::Answer Dispatcher::call(std::string_view operation, ByteView json, const Invocation& from) {
  auto body = call_codec(service_, operation, json, from);
  if (!body) return answer_of(body.error());
  Answer answer;
  answer.body = std::move(*body);
  return answer;
}

}  // namespace kmsfs::kms
