// NameCipher::decrypt of long names: the input as a side link, and as a name in a side link that somebody
// with the key sealed; the entry's hash always fits.
#include "core/kdf.h"
#include "tests/fuzz/name_fuzz.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace kmsfs;
  const ByteView input = fuzz::view(data, size);
  for (const std::string& side_target : {std::string(as_text(input)), fuzz::sealed_without_rules(input)}) {
    const std::string entry = kLongEntryPrefix + to_base64url(sha256(as_bytes(side_target)));
    const auto name = fuzz::name_cipher().decrypt(fuzz::directory(), entry, side_target);
    if (name) fuzz::require_the_only_spelling(*name, entry, side_target);
  }
  return 0;
}
