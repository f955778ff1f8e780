// A client of one connection that says exactly what a test wants, and hears exactly what comes. Every wait
// ends: a socket that stays silent for kPatience counts as closed.
#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <array>
#include <cstring>
#include <string>
#include <string_view>

#include "core/unique_fd.h"

namespace kmsfs::testing {

struct HttpReply {
  int status = 0;    // 0: none came, or it was no HTTP
  std::string head;  // lines as they came
  std::string body;
  bool has(std::string_view line) const { return head.find(line) != std::string::npos; }
};

class HttpClient {
 public:
  static constexpr timeval kPatience{20, 0};

  static HttpClient to_unix(const std::string& path) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, path.data(), std::min(path.size(), sizeof address.sun_path - 1));
    return HttpClient(AF_UNIX, reinterpret_cast<const sockaddr*>(&address), sizeof address);
  }
  static HttpClient to_loopback(std::uint16_t port) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return HttpClient(AF_INET, reinterpret_cast<const sockaddr*>(&address), sizeof address);
  }

  bool connected() const { return connected_; }
  int descriptor() const { return socket_.get(); }
  bool send(std::string_view text) {
    while (!text.empty()) {
      const ssize_t sent = ::send(socket_.get(), text.data(), text.size(), MSG_NOSIGNAL);
      if (sent <= 0) return false;
      text.remove_prefix(static_cast<std::size_t>(sent));
    }
    return true;
  }
  void say_no_more() { ::shutdown(socket_.get(), SHUT_WR); }

  HttpReply receive() {
    HttpReply reply;
    std::size_t end = 0;
    while ((end = pending_.find("\r\n\r\n")) == std::string::npos) {
      if (!more()) return reply;
    }
    reply.head = pending_.substr(0, end + 2);
    pending_.erase(0, end + 4);
    if (!reply.head.starts_with("HTTP/1.1 ")) return reply;
    reply.status = std::atoi(reply.head.c_str() + 9);
    const auto length = reply.head.find("\r\nContent-Length: ");
    if (length == std::string::npos) return reply;
    const std::size_t size = std::stoul(reply.head.substr(length + 18));
    while (pending_.size() < size) {
      if (!more()) return HttpReply{};
    }
    reply.body = pending_.substr(0, size);
    pending_.erase(0, size);
    return reply;
  }
  HttpReply ask(std::string_view request) { return send(request) ? receive() : HttpReply{}; }
  // The server ends the connection, and sends nothing before.
  bool is_ended() { return pending_.empty() && !more() && !timed_out_; }

 private:
  HttpClient(int family, const sockaddr* address, socklen_t size)
      : socket_(::socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    ::setsockopt(socket_.get(), SOL_SOCKET, SO_RCVTIMEO, &kPatience, sizeof kPatience);
    ::setsockopt(socket_.get(), SOL_SOCKET, SO_SNDTIMEO, &kPatience, sizeof kPatience);
    connected_ = ::connect(socket_.get(), address, size) == 0;
  }
  bool more() {
    std::array<char, 16384> buffer;
    const ssize_t got = ::recv(socket_.get(), buffer.data(), buffer.size(), 0);
    timed_out_ = got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK);
    if (got > 0) pending_.append(buffer.data(), static_cast<std::size_t>(got));
    return got > 0;
  }

  UniqueFd socket_;
  bool connected_ = false, timed_out_ = false;
  std::string pending_;
};

inline std::string get(std::string_view target) {
  return "GET " + std::string(target) + " HTTP/1.1\r\nHost: test\r\n\r\n";
}
inline std::string post(std::string_view target, std::string_view body, std::string_view headers = {}) {
  return "POST " + std::string(target) + " HTTP/1.1\r\nHost: test\r\n" + std::string(headers) +
         "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" + std::string(body);
}

}  // namespace kmsfs::testing
