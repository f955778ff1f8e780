// Any bytes as a ciphertext blob: they never open; what was sealed opens, and no other context opens it.
#include "kms/blob.h"

#include <algorithm>

#include "tests/fuzz/fuzz.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace kmsfs;       // NOLINT
  using namespace kmsfs::kms;  // NOLINT
  fuzz::start_cryptography();
  static const auto material = Material::random();
  fuzz::require(material.ok(), "material is made");
  const ByteView bytes = fuzz::view(data, size);
  const std::string text(as_text(bytes));

  const auto forged = open_blob(bytes, *material, {});
  fuzz::require(!forged.ok(), "a forged blob does not open");
  fuzz::require(std::string_view(forged.error().code) == "InvalidCiphertextException",
                "all answers are the same");
  const auto header = parse_blob_header(bytes);
  if (!header || bytes.size() < kBlobOverhead) return 0;

  const std::size_t half = text.size() / 2;
  const EncryptionContext context = {{text.substr(0, half), text.substr(half)}};
  const ByteView plain = bytes.first(std::min(bytes.size(), kLargestPlaintext));
  const auto sealed = seal_blob(*header, *material, context, plain);
  if (!sealed.ok()) return 0;  // a context that is too long
  const auto opened = open_blob(*sealed, *material, context);
  fuzz::require(opened.ok(), "what was sealed opens");
  fuzz::require(std::ranges::equal(opened->reveal(), plain), "and is what was sealed");
  const EncryptionContext moved = {{text.substr(0, half + 1), text.substr(half + 1)}};
  fuzz::require(!open_blob(*sealed, *material, moved).ok(), "contexts that concatenate alike are not alike");
  fuzz::require(!open_blob(ByteView(*sealed).first(sealed->size() - 1), *material, context).ok(),
                "a cut blob does not open");
  return 0;
}
