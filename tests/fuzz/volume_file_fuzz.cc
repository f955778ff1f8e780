// parse_volume_file: any text is refused, or means one volume that can be written down and read back.
#include "fs/volume_file.h"
#include "tests/fuzz/fuzz.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace kmsfs;
  const auto file = parse_volume_file(as_text(fuzz::view(data, size)));
  if (!file) return 0;
  const auto text = write_volume_file(*file);
  fuzz::require(text.ok(), "what was read can be written");
  const auto again = parse_volume_file(*text);
  fuzz::require(again.ok(), "what was written can be read");
  const VolumeParameters& a = file->parameters;
  const VolumeParameters& b = again->parameters;
  fuzz::require(a.id == b.id && a.header_size == b.header_size && a.allowed_keys == b.allowed_keys &&
                    a.kms_uri == b.kms_uri && a.volume_key.key_arn == b.volume_key.key_arn &&
                    a.volume_key.blob == b.volume_key.blob && file->mac == again->mac,
                "what is read back is what was written");
  return 0;
}
