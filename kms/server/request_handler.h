// What stands behind a listener: takes one request, gives one answer.
#pragma once

#include <sys/types.h>

#include <string>

#include "kms/server/request_head.h"
#include "kms/wire/protocol.h"

namespace kmsfs::kms {

// Who sent it, as far as the connection tells.
struct Client {
  bool unix_socket = false;
  uid_t uid = 0;   // of a unix socket
  std::string ip;  // of TCP
  bool tls = false;
};

class RequestHandler {
 public:
  virtual ~RequestHandler() = default;
  // Any thread, many at once; may take its time.
  virtual HttpAnswer handle(const HttpRequest& request, const Client& client) = 0;
  // The answer to what never became a request. I/O threads; must not take its time.
  virtual HttpAnswer refuse(const Refusal& refusal) = 0;
};

}  // namespace kmsfs::kms
