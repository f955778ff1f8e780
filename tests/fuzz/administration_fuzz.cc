// Any bytes as a request at the door of administration: it is answered with JSON, or refused with a code;
// never with a failure of ours. The first line names the operation, the rest is its JSON.
#include <nlohmann/json.hpp>

#include "kms/identities/administration_call.h"
#include "tests/fuzz/kms_store.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using kmsfs::fuzz::require;
  auto& store = kmsfs::fuzz::KmsStore::fresh_enough();
  const auto text = kmsfs::as_text(kmsfs::fuzz::view(data, size));
  const std::size_t end = std::min(text.find('\n'), text.size());
  const auto request = end < text.size() ? text.substr(end + 1) : std::string_view();
  const auto answer =
      kmsfs::kms::administration_call(store.service().administration(), text.substr(0, end), request);
  if (!answer) {
    require(answer.error().code != nullptr, "an error has a code");
    require(answer.error().kind != kmsfs::Kind::kUnavailable, "no request makes the store fail");
    return 0;
  }
  const auto reply = nlohmann::json::parse(kmsfs::as_text(answer->reveal()), nullptr, false);
  require(reply.is_object(), "an answer is a JSON object");
  return 0;
}
