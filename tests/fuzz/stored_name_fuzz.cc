// NameCipher::decrypt of entries: the input as it is, and the input as a name that somebody with the key
// sealed.
#include "tests/fuzz/name_fuzz.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace kmsfs;
  const ByteView input = fuzz::view(data, size);
  for (const std::string& entry : {std::string(as_text(input)), fuzz::sealed_without_rules(input)}) {
    const auto name = fuzz::name_cipher().decrypt(fuzz::directory(), entry, {});
    if (name) fuzz::require_the_only_spelling(*name, entry, {});
  }
  return 0;
}
