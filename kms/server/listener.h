// Where a server listens: parsing of addresses, and sockets bound to them.
//
// Threads: any.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <vector>

#include "core/result.h"
#include "core/unique_fd.h"

namespace kmsfs::kms {

struct ListenAddress {
  std::string host;  // a name, or an address without brackets
  std::uint16_t port = 0;
  bool tls = false;

  // [http://|https://]HOST:PORT, an IPv6 address in brackets. Without a scheme `default_tls` decides.
  static Result<ListenAddress> parse(const std::string& text, bool default_tls);
};

struct Listener {
  UniqueFd socket;
  std::string name;  // a KMS URI: unix:/run/kmsd.sock, http://127.0.0.1:8080
  bool tls = false;
  bool unix_socket = false;
};

// One listener for each address that the host has. Plain HTTP only on loopback addresses, unless
// `insecure_http`.
Result<std::vector<Listener>> listen_tcp(const ListenAddress& address, bool insecure_http);

// A unix socket at `path`, which stays locked (PATH.lock) as long as the object lives: a socket that a server
// left behind when it died is replaced, one that is served is not (kBusy). Anything else at `path` stays.
class UnixListener {
 public:
  static Result<UnixListener> listen(const std::string& path, mode_t mode);
  UnixListener(UnixListener&&) noexcept = default;
  UnixListener& operator=(UnixListener&&) noexcept = default;
  ~UnixListener();  // removes the socket

  Listener take();  // once

 private:
  UnixListener(std::string path, UniqueFd lock, UniqueFd socket)
      : path_(std::move(path)), lock_(std::move(lock)), socket_(std::move(socket)) {}
  std::string path_;
  UniqueFd lock_;
  UniqueFd socket_;
};

}  // namespace kmsfs::kms
