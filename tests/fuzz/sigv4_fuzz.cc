// Any bytes as a signed request: a request line, header lines, an empty line, a body.
//
// What is signed by us is accepted by us, whatever it is; what is not signed with the key is never accepted.
#include "kms/sigv4.h"

#include <algorithm>

#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/http_text.h"

namespace {

using namespace kmsfs;       // NOLINT
using namespace kmsfs::kms;  // NOLINT

const WallTime kNow = std::chrono::seconds(1'800'000'000);

// Signing takes headers as clients make them.
bool can_be_signed(const HttpHeader& header) {
  constexpr std::string_view kOurs[] = {"authorization", "date", "x-amz-content-sha256", "x-amz-date",
                                        "x-amz-security-token"};
  std::string name(header.name);
  for (char& c : name) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
    if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-')) return false;
  }
  return !name.empty() && std::find(std::begin(kOurs), std::end(kOurs), name) == std::end(kOurs);
}

bool accepted(const SignableRequest& request, ByteView body, const SigningKey& key) {
  const auto claim = read_claim(request);
  return claim.ok() && check_claim(*claim, request, "local-1", "kms", kNow).ok() &&
         check_signature(*claim, request, body, key).ok();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::start_cryptography();
  const fuzz::HttpText text(as_text(fuzz::view(data, size)));
  const SignableRequest request{text.method, text.target, text.headers};
  static const auto key = derive_signing_key(as_bytes("the secret"), {"20270115", "local-1", "kms"});
  fuzz::require(key.ok(), "a key is derived");
  fuzz::require(!accepted(request, as_bytes(text.body), *key), "a forged request is refused");

  std::vector<HttpHeader> headers = {{"Host", "localhost"}};
  std::copy_if(text.headers.begin(), text.headers.end(), std::back_inserter(headers), can_be_signed);
  const auto added = sign({text.method, text.target, headers}, as_bytes(text.body),
                          {"AKID", as_bytes("the secret"), ""}, "local-1", "kms", kNow);
  fuzz::require(added.ok(), "anything can be signed");
  for (const auto& header : *added) headers.push_back({header.name, header.value});
  fuzz::require(accepted({text.method, text.target, headers}, as_bytes(text.body), *key),
                "what was signed is accepted");
  return 0;
}
