// Volume::open_directory_id: the input is refused unless it is, to the last byte, what the id is sealed as.
#include "tests/fuzz/volume_fuzz.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace kmsfs;
  const ByteView input = fuzz::view(data, size);
  if (const auto id = fuzz::volume().open_directory_id(as_text(input))) {
    fuzz::require(fuzz::volume().seal_directory_id(*id) == as_text(input), "an id has one form");
  }
  if (size < DirectoryId::kSize) return 0;
  ByteReader in(input);
  const DirectoryId id{in.take<DirectoryId::kSize>()};
  const auto back = fuzz::volume().open_directory_id(fuzz::volume().seal_directory_id(id));
  fuzz::require(back.ok() && *back == id, "an id comes back");
  return 0;
}
