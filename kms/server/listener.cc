#include "kms/server/listener.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <memory>

namespace kmsfs::kms {

namespace {

constexpr int kBacklog = 4096;  // the kernel cuts it to net.core.somaxconn

bool is_loopback(const sockaddr& address) {
  if (address.sa_family == AF_INET) {
    const auto& in = reinterpret_cast<const sockaddr_in&>(address);
    return (ntohl(in.sin_addr.s_addr) >> 24) == 127;
  }
  const auto& in6 = reinterpret_cast<const sockaddr_in6&>(address);
  return address.sa_family == AF_INET6 && IN6_IS_ADDR_LOOPBACK(&in6.sin6_addr);
}

std::string text_of(const sockaddr& address, socklen_t size) {
  std::array<char, NI_MAXHOST> host{};
  std::array<char, NI_MAXSERV> port{};
  if (::getnameinfo(&address, size, host.data(), host.size(), port.data(), port.size(),
                    NI_NUMERICHOST | NI_NUMERICSERV) != 0) {
    return "?";
  }
  const bool six = address.sa_family == AF_INET6;
  return (six ? "[" : "") + std::string(host.data()) + (six ? "]:" : ":") + port.data();
}

Result<Listener> listen_on(const addrinfo& at, bool tls, bool insecure_http) {
  const std::string wanted = text_of(*at.ai_addr, at.ai_addrlen);
  if (!tls && !insecure_http && !is_loopback(*at.ai_addr)) {
    return error(Kind::kInvalid,
                 "HTTP without TLS is for loopback addresses, and " + wanted +
                     " is none: requests and plain text would cross the network in clear; give "
                     "--tls-cert and --tls-key, or --insecure-http");
  }
  UniqueFd socket(::socket(at.ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!socket) return Error::from_errno(errno, "listening on " + wanted);
  const int on = 1;
  ::setsockopt(socket.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (at.ai_family == AF_INET6) ::setsockopt(socket.get(), IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on);
  if (::bind(socket.get(), at.ai_addr, at.ai_addrlen) != 0 || ::listen(socket.get(), kBacklog) != 0) {
    if (errno == EADDRINUSE) return error(Kind::kBusy, wanted + " is in use by another program");
    return Error::from_errno(errno, "listening on " + wanted);
  }
  sockaddr_storage bound{};
  socklen_t size = sizeof bound;
  auto& name = reinterpret_cast<sockaddr&>(bound);
  if (::getsockname(socket.get(), &name, &size) != 0)
    return Error::from_errno(errno, "listening on " + wanted);
  return Listener{std::move(socket), (tls ? "https://" : "http://") + text_of(name, size), tls, false};
}

}  // namespace

Result<ListenAddress> ListenAddress::parse(const std::string& text, bool default_tls) {
  ListenAddress address{{}, 0, default_tls};
  std::string_view rest = text;
  for (const auto& [scheme, tls] : {std::pair{std::string_view("https://"), true}, {"http://", false}}) {
    if (!rest.starts_with(scheme)) continue;
    rest.remove_prefix(scheme.size());
    address.tls = tls;
    break;
  }
  const Error malformed =
      error(Kind::kInvalid, "'" + text + "' is not HOST:PORT (an IPv6 address in brackets: [::1]:8443)");
  const auto colon = rest.rfind(':');
  if (colon == std::string_view::npos || colon == 0) return malformed;
  std::string_view host = rest.substr(0, colon);
  if (host.starts_with('[')) {
    if (!host.ends_with(']')) return malformed;
    host = host.substr(1, host.size() - 2);
  } else if (host.find(':') != std::string_view::npos) {
    return malformed;
  }
  const std::string_view port = rest.substr(colon + 1);
  const auto [end, failed] = std::from_chars(port.data(), port.data() + port.size(), address.port);
  if (host.empty() || failed != std::errc() || end != port.data() + port.size()) return malformed;
  address.host = host;
  return address;
}

Result<std::vector<Listener>> listen_tcp(const ListenAddress& address, bool insecure_http) {
  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_PASSIVE | AI_NUMERICSERV;
  addrinfo* list = nullptr;
  const int failed = ::getaddrinfo(address.host.c_str(), std::to_string(address.port).c_str(), &hints, &list);
  if (failed != 0) {
    return error(Kind::kInvalid, "the host '" + address.host + "' to listen on: " + ::gai_strerror(failed));
  }
  const std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)> owner(list, &::freeaddrinfo);
  std::vector<Listener> listeners;
  std::optional<Error> missing;
  for (const addrinfo* at = list; at != nullptr; at = at->ai_next) {
    auto listener = listen_on(*at, address.tls, insecure_http);
    if (listener) {
      listeners.push_back(std::move(*listener));
    } else if (const int number = listener.error().system_errno;
               number == EADDRNOTAVAIL || number == EAFNOSUPPORT) {
      missing = std::move(listener).error();  // "localhost" names ::1 where there is no IPv6
    } else {
      return std::move(listener).error();
    }
  }
  if (listeners.empty() && missing) return std::move(*missing);
  return listeners;
}

Result<UnixListener> UnixListener::listen(const std::string& path, mode_t mode) {
  sockaddr_un address{};
  if (path.empty() || path.size() >= sizeof address.sun_path) {
    return error(Kind::kInvalid, "the path of a socket has 1 to " +
                                     std::to_string(sizeof address.sun_path - 1) + " bytes, which '" + path +
                                     "' has not");
  }
  const std::string lock_path = path + ".lock";
  UniqueFd lock(::open(lock_path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600));
  if (!lock) return Error::from_errno(errno, "opening " + lock_path);
  if (::flock(lock.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK) return Error::from_errno(errno, "locking " + lock_path);
    return error(Kind::kBusy, "another server listens on " + path + "; stop it or give another --socket");
  }
  struct stat there {};
  if (::lstat(path.c_str(), &there) == 0) {
    if (!S_ISSOCK(there.st_mode)) {
      return error(Kind::kInvalid, path + " is there and no socket; remove it or give another path");
    }
    ::unlink(path.c_str());  // nobody holds the lock: left behind
  }
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, path.data(), path.size());
  UniqueFd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!socket) return Error::from_errno(errno, "making the socket " + path);
  // The mode of the descriptor is what bind() makes the file with: it is never open wider than `mode`.
  if (::fchmod(socket.get(), mode) != 0 ||
      ::bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 ||
      ::chmod(path.c_str(), mode) != 0 || ::listen(socket.get(), kBacklog) != 0) {
    return Error::from_errno(errno, "making the socket " + path);
  }
  return UnixListener(path, std::move(lock), std::move(socket));
}

UnixListener::~UnixListener() {
  if (!lock_) return;
  ::unlink(path_.c_str());  // the lock's file stays: unlinked, two servers could each lock one of that name
}

Listener UnixListener::take() { return {std::move(socket_), "unix:" + path_, false, true}; }

}  // namespace kmsfs::kms
