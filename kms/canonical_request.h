// The one text form of an HTTP request that AWS Signature Version 4 signs.
//
// Always: two requests that mean the same have the same canonical form; what is not in it is not protected by
// the signature. Threads: any.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace kmsfs::kms {

// As received: the name in any case, the value as it stood on the line.
struct HttpHeader {
  std::string_view name;
  std::string_view value;
};

// What a signature covers of a request, beside the body. Borrows everything.
struct SignableRequest {
  std::string_view method;
  std::string_view target;  // path and query as on the request line
  std::span<const HttpHeader> headers;
};

// The values of all headers of that name, in order; `name` in lower case.
std::vector<std::string_view> header_values(std::span<const HttpHeader> headers, std::string_view name);
// Its only value; empty if there is none, or more than one.
std::string_view single_header(std::span<const HttpHeader> headers, std::string_view name);

// Method, path, query, headers, names of the signed headers, hash of the body. `signed_headers`: names in
// lower case, sorted. `body_hash`: hex of SHA-256.
std::string canonical_request(const SignableRequest& request, std::span<const std::string> signed_headers,
                              std::string_view body_hash);

// Its parts.
std::string canonical_path(std::string_view path);    // dot segments resolved, each segment encoded again
std::string canonical_query(std::string_view query);  // sorted by name, then value
std::string canonical_header_value(std::span<const std::string_view> values);

}  // namespace kmsfs::kms
