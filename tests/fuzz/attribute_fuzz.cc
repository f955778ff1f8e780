// Volume::open_xattr_name and open_xattr_value: the input as stored name and value, and as name and value
// that are sealed, stored and opened again.
#include "tests/fuzz/volume_fuzz.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace kmsfs;
  const ByteView input = fuzz::view(data, size);
  const Volume& volume = fuzz::volume();
  if (const auto name = volume.open_xattr_name(fuzz::owner(), as_text(input))) {
    const auto stored = volume.seal_xattr_name(fuzz::owner(), *name);
    fuzz::require(stored.ok() && *stored == as_text(input), "an attribute's name has one form");
  }
  if (const auto value = volume.open_xattr_value(fuzz::owner(), "user.n", input)) {
    fuzz::require(value->size() + Xaes256Gcm::kOverhead == size, "the size follows from the stored size");
  }
  const std::string name = "user." + std::string(as_text(input));
  if (const auto stored = volume.seal_xattr_name(fuzz::owner(), name)) {
    fuzz::require(stored->size() <= 255, "a stored attribute's name fits");
    const auto back = volume.open_xattr_name(fuzz::owner(), *stored);
    fuzz::require(back.ok() && *back == name, "an attribute's name comes back");
  }
  const auto sealed = volume.seal_xattr_value(fuzz::owner(), name, input);
  fuzz::require(sealed.ok(), "values can be sealed");
  const auto back = volume.open_xattr_value(fuzz::owner(), name, *sealed);
  fuzz::require(back.ok() && std::equal(back->begin(), back->end(), input.begin(), input.end()),
                "a value comes back");
  return 0;
}
