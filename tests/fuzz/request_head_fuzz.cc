// Any bytes as the head of an HTTP request: what is accepted is whole, within its limits and means the same
// when more follows it; what is refused has a reason.
#include "kms/server/request_head.h"

#include <string>

#include "tests/fuzz/fuzz.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace kmsfs;  // NOLINT
  constexpr std::uint64_t kLargestBody = 1000;
  const ByteView bytes = fuzz::view(data, size);
  const auto outcome = kms::parse_request_head(bytes, kLargestBody);
  fuzz::require(outcome.size <= size, "no head is longer than what came");
  fuzz::require((outcome.size != 0) == (outcome.head != nullptr || outcome.refused.has_value()),
                "a complete head is accepted or refused");
  if (outcome.refused) fuzz::require(outcome.refused->status >= 400, "a refusal has a status");
  if (outcome.head == nullptr) return 0;
  const kms::RequestHead& head = *outcome.head;
  fuzz::require(!outcome.refused, "what is accepted is not refused");
  fuzz::require(head.body_size <= kLargestBody, "no body is larger than the limit");
  fuzz::require(!head.method.empty() && !head.target.empty(), "a request has a method and a target");
  std::size_t hosts = 0;
  for (const auto& header : head.headers) {
    fuzz::require(!header.name.empty(), "a header has a name");
    fuzz::require(header.value.find_first_of(std::string_view("\r\n\0", 3)) == std::string_view::npos,
                  "a value is one line");
    hosts += header.name.size() == 4 && ::strncasecmp(header.name.data(), "host", 4) == 0 ? 1 : 0;
  }
  fuzz::require(hosts == 1 || (head.http_1_0 && hosts == 0), "it is clear who was asked");

  // A request that follows must not change what this one is.
  std::string longer(as_text(bytes));
  longer += "GET /other HTTP/1.1\r\nHost: other\r\n\r\n";
  const auto again = kms::parse_request_head(as_bytes(longer), kLargestBody);
  fuzz::require(again.size == outcome.size && again.head != nullptr && again.head->target == head.target &&
                    again.head->headers.size() == head.headers.size() &&
                    again.head->body_size == head.body_size,
                "what follows a head does not change it");
  return 0;
}
