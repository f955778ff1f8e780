// Any bytes as the request of any operation: it is answered, or refused with a code; never with a failure of
// ours. The first line names the operation, the rest is its JSON.
#include <nlohmann/json.hpp>

#include "kms/wire/dispatcher.h"
#include "tests/fuzz/kms_store.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using kmsfs::fuzz::require;
  auto& store = kmsfs::fuzz::KmsStore::fresh_enough();
  const auto text = kmsfs::as_text(kmsfs::fuzz::view(data, size));
  const std::size_t end = std::min(text.find('\n'), text.size());
  const auto request = end < text.size() ? text.substr(end + 1) : std::string_view();
  kmsfs::kms::Dispatcher dispatcher(store.service());
  const auto answer = dispatcher.call(text.substr(0, end), kmsfs::as_bytes(request), store.user());
  require(answer.status == 200 || answer.status == 400, "no request makes the KMS fail");
  require((answer.status == 200) == (answer.error_code == nullptr), "an error has a code");
  if (answer.body.size() == 0) {
    require(answer.status == 200, "an error has a body");
    return 0;
  }
  const auto body = nlohmann::json::parse(kmsfs::as_text(answer.body.view()), nullptr, false);
  require(body.is_object(), "an answer is a JSON object");
  if (answer.status != 200) require(body.value("__type", "") == answer.error_code, "an error says its type");
  return 0;
}
