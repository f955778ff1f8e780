// FileHeader::parse: any bytes are refused, or are the one form of the header that they say.
#include "fs/file_header.h"
#include "tests/fuzz/fuzz.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace kmsfs;
  const ByteView input = fuzz::view(data, size);
  const auto header = FileHeader::parse(input);
  if (!header) return 0;
  fuzz::require(Geometry::is_header_size(header->header_size) && header->header_size <= size,
                "a header is not longer than the bytes it was read from");
  Bytes again(header->header_size);
  fuzz::require(header->serialize(again).ok(), "what was read can be written");
  fuzz::require(std::equal(again.begin(), again.end(), input.begin()), "a header has one form");
  return 0;
}
