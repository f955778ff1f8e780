// Any bytes as a form for STS: it is answered in XML, and never with a failure of ours.
#include "kms/wire/sts.h"

#include "kms/wire/form.h"
#include "tests/fuzz/kms_store.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using kmsfs::fuzz::require;
  auto& store = kmsfs::fuzz::KmsStore::fresh_enough();
  const auto form = kmsfs::as_text(kmsfs::fuzz::view(data, size));
  const auto answer = kmsfs::kms::answer_sts(store.service().administration().engine(), form, store.user());
  require(answer.status == 200 || answer.status == 400 || answer.status == 403, "no form makes STS fail");
  const auto xml = kmsfs::as_text(answer.body.view());
  require(xml.starts_with('<') && xml.ends_with('>'), "an answer is XML");
  for (const char c : xml) {
    require(static_cast<unsigned char>(c) >= 0x20 || c == '\t' || c == '\n' || c == '\r',
            "XML has no control characters");
  }
  return 0;
}
