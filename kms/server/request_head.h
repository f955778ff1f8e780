// The head of an HTTP/1 request: what stands before the body. The door to Beast's parser.
//
// Always: what is ambiguous is refused (a Content-Length twice, one beside a Transfer-Encoding, a bare line
// feed, HTTP/1.1 without exactly one Host), so that nobody else can read it differently. Bodies come with a
// Content-Length or not at all. Threads: plain values.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/bytes.h"
#include "kms/canonical_request.h"

namespace kmsfs::kms {

struct RequestHead {
  std::string_view method;
  std::string_view target;
  std::vector<HttpHeader> headers;  // in the order received; the views are into `text`
  std::uint64_t body_size = 0;
  bool keep_alive = false;
  bool http_1_0 = false;
  bool wants_continue = false;  // Expect: 100-continue

  std::string text;  // does not move: reserved at once
};

// Why a request is refused before anybody has looked at what it wants.
struct Refusal {
  int status = 400;
  const char* code = "";  // static strings
  const char* message = "";
};

struct HeadOutcome {
  std::size_t size = 0;  // of the head, in bytes; 0: it is not complete yet
  std::unique_ptr<RequestHead> head;
  std::optional<Refusal> refused;  // then there is no head
};

// `largest_body`: a longer one is refused (413) before it is read. The head's own length is for the caller to
// limit.
HeadOutcome parse_request_head(ByteView bytes, std::uint64_t largest_body);

}  // namespace kmsfs::kms
