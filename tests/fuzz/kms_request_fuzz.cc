// Any bytes as an HTTP request to the KMS: over TCP nobody is let in who did not sign; over a unix socket it
// is answered, and never with a failure of ours.
#include "kms/wire/protocol.h"
#include "tests/fuzz/http_text.h"
#include "tests/fuzz/kms_store.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using kmsfs::fuzz::require;
  auto& store = kmsfs::fuzz::KmsStore::fresh_enough();
  const kmsfs::fuzz::HttpText text(kmsfs::as_text(kmsfs::fuzz::view(data, size)));
  const kmsfs::kms::HttpRequest request{text.method, text.target, text.headers, kmsfs::as_bytes(text.body)};
  kmsfs::kms::Protocol protocol(store.service(), store.clock(), kmsfs::make_null_logger());

  kmsfs::kms::Peer peer;
  peer.source_ip = "192.0.2.1";
  const auto refused = protocol.handle(request, peer);
  const bool health = text.target == "/health";
  require(refused.status != 200 || (health && refused.body.size() == 0),
          "nobody is let in without a signature");
  require(refused.status < 500, "no request makes the KMS fail");

  peer = {};
  peer.unix_socket = true;
  peer.principal = store.user().principal;
  require(protocol.handle(request, peer).status < 500, "no request makes the KMS fail");
  return 0;
}
