#include "kms/wire/protocol.h"

namespace kmsfs::kms {

struct Protocol::State {};

Protocol::Protocol(Service&, const Clock&, Logger) : state_(std::make_unique<State>()) {}
Protocol::~Protocol() = default;

HttpAnswer Protocol::handle(const HttpRequest&, const Peer&) { return {}; }
std::uint64_t Protocol::unauthenticated_requests() const { return 0; }

HttpAnswer answer_while_sealed(const HttpRequest&, const Clock&) { return {}; }
HttpAnswer answer_with_error(int status, std::string_view, std::string_view, const Clock&) {
  HttpAnswer answer;
  answer.status = status;
  return answer;
}

}  // namespace kmsfs::kms
