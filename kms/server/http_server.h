// An HTTP/1.1 server over unix sockets, TCP and TLS.
//
// Always: one I/O thread owns a connection from its first byte to its last; what may block runs in worker
// pools. An idle connection holds no buffer; the bytes of a request are in locked memory. Each step has a
// deadline, each size a limit, and whatever is wrong with a request is answered (400, 408, 411, 413, 417,
// 431, 503, 505) before the connection is closed. One request of a connection at a time: those sent ahead
// wait. When there are too many connections, those idle longest make room. Threads: start() and stop() the
// owner's; the others any.
#pragma once

#include <chrono>
#include <memory>
#include <vector>

#include "core/log.h"
#include "kms/server/listener.h"
#include "kms/server/request_handler.h"
#include "kms/server/tls.h"
#include "kms/server/worker_pool.h"

namespace kmsfs::kms {

struct HttpLimits {
  std::chrono::milliseconds handshake{10'000};
  std::chrono::milliseconds head{10'000};  // from its first byte to its last
  std::chrono::milliseconds body{20'000};
  std::chrono::milliseconds write{20'000};  // of one answer
  std::chrono::milliseconds idle{600'000};
  std::size_t connections = 16'384;       // beside those of the listeners that do not count
  std::size_t buffers = 2 * 1024 * 1024;  // bytes of locked memory for requests being received
};

class HttpServer {
 public:
  // What a listener leads to. Everything outlives the server.
  struct Door {
    Listener listener;
    RequestHandler* handler = nullptr;
    WorkerPool* workers = nullptr;
    bool counts = true;  // towards the limit of connections
  };

  // `certificate` may be null if no listener speaks TLS.
  static std::unique_ptr<HttpServer> start(std::vector<Door> doors, const TlsCertificate* certificate,
                                           const HttpLimits& limits, std::size_t threads, Logger logger);
  virtual ~HttpServer() = default;  // stops at once, if stop() has not been called

  // Accepts nothing more, ends idle connections, lets requests under way finish for that long, then ends
  // those too. Their owner stops the pools after this, and before the server goes.
  virtual void stop(std::chrono::milliseconds patience) = 0;
  virtual std::size_t connections() const = 0;
};

}  // namespace kmsfs::kms
