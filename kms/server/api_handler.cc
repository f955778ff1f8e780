#include "kms/server/api_handler.h"

#include "kms/administration.h"

namespace kmsfs::kms {

HttpAnswer ApiHandler::handle(const HttpRequest& request, const Client& client) {
  const auto store = gate_.store();
  if (store == nullptr) return answer_while_sealed(request, clock_);
  Peer peer;
  peer.unix_socket = client.unix_socket;
  peer.uid = client.uid;
  peer.source_ip = client.ip;
  peer.tls = client.tls;
  if (client.unix_socket) {
    auto principal = store->service->administration().user_of_uid(client.uid);
    if (!principal) {
      logger_->error("looking up uid {}: {}", client.uid, principal.error().text);
      return answer_with_error(500, "KMSInternalException", "The key store cannot be read now.", clock_);
    }
    peer.principal = std::move(*principal).value_or("");
  }
  return store->protocol.handle(request, peer);
}

}  // namespace kmsfs::kms
