// Any bytes as a session token: always the same refusal.
#include "kms/session.h"
#include "tests/fuzz/kms_store.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using kmsfs::fuzz::require;
  auto& store = kmsfs::fuzz::KmsStore::fresh_enough();
  const auto token = kmsfs::as_text(kmsfs::fuzz::view(data, size));
  const auto found =
      kmsfs::kms::find_credential(store.service().administration().engine(), "ASIAAAAAAAAAAAAAAAAA", token);
  require(!found.ok(), "nobody forges a token");
  require(found.error().code == std::string_view("UnrecognizedClientException"), "one code for all");
  require(found.error().text == "The security token included in the request is invalid.", "one text for all");
  return 0;
}
