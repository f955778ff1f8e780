// Volume::open_target: the input as a stored target, and the input as a target that is sealed, stored and
// opened again.
#include "tests/fuzz/volume_fuzz.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace kmsfs;
  const std::string_view input = as_text(fuzz::view(data, size));
  const Volume& volume = fuzz::volume();
  if (const auto target = volume.open_target(input)) {
    fuzz::require(!target->empty() && target->size() <= Volume::kMaxTarget, "a target has a size");
    fuzz::require(target->size() == Volume::plain_target_size(input.size()),
                  "the size follows from the stored size");
    fuzz::require(target->find('\0') == std::string::npos, "a target holds no NUL");
  }
  const auto stored = volume.seal_target(input);
  if (!stored) return 0;
  fuzz::require(stored->size() <= 4095, "a stored target fits into a link");
  fuzz::require(Volume::plain_target_size(stored->size()) == size, "the size follows from the stored size");
  const auto back = volume.open_target(*stored);
  fuzz::require(back.ok() && *back == input, "a target comes back");
  return 0;
}
