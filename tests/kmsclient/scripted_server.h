// An HTTP server that says what its test tells it to, on a real socket: a KMS that lies, hangs and resets.
//
// Always: it ends with its object, whatever its clients do; a request that hangs is let go then. Threads: the
// handler is called from a thread per connection.
#pragma once

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <fcntl.h>
#include <atomic>
#include <cctype>
#include <condition_variable>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "core/unique_fd.h"

namespace kmsfs::test {

struct HttpRequest {
  std::string method, target;
  std::map<std::string, std::string> headers;  // names in lower case
  std::string body;
  std::string header(const std::string& name) const {
    const auto found = headers.find(name);
    return found == headers.end() ? "" : found->second;
  }
};

struct HttpAnswer {
  enum class Then { kKeep, kClose, kReset, kHang, kEndless };
  std::string bytes;  // sent as they are
  Then then = Then::kKeep;
};

inline HttpAnswer http_answer(int status, const std::string& body, const std::string& more_headers = {}) {
  return {"HTTP/1.1 " + std::to_string(status) + " Whatever\r\nContent-Type: application/x-amz-json-1.1\r\n" +
              more_headers + "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body,
          HttpAnswer::Then::kKeep};
}
inline HttpAnswer aws_error(int status, const std::string& code, const std::string& message = "no",
                            const std::string& more_headers = {}) {
  return http_answer(status, R"({"__type":")" + code + R"(","message":")" + message + "\"}", more_headers);
}

class ScriptedServer {
 public:
  // `number` counts the requests from 1.
  using Handler = std::function<HttpAnswer(const HttpRequest&, std::size_t number)>;

  explicit ScriptedServer(Handler handler, const std::string& socket_path = {})
      : handler_(std::move(handler)), socket_path_(socket_path) {
    listen();
    acceptor_ = std::thread([this] { accept_all(); });
  }
  ScriptedServer(const ScriptedServer&) = delete;
  ScriptedServer& operator=(const ScriptedServer&) = delete;
  ~ScriptedServer() {
    stopping_ = true;
    ::shutdown(listener_.get(), SHUT_RDWR);
    acceptor_.join();
    for (auto& connection : connections_) ::shutdown(connection->socket.get(), SHUT_RDWR);
    for (auto& connection : connections_) connection->thread.join();
  }

  int port() const { return port_; }
  std::string url() const { return "http://127.0.0.1:" + std::to_string(port_); }
  std::vector<HttpRequest> requests() const {
    const std::lock_guard lock(mutex_);
    return requests_;
  }
  std::size_t count() const { return requests().size(); }
  std::size_t connections() const { return accepted_; }

 private:
  struct Connection {
    UniqueFd socket;
    std::thread thread;
  };

  void listen() {
    if (socket_path_.empty()) {
      listener_.reset(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
      sockaddr_in address{};
      address.sin_family = AF_INET;
      address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
      socklen_t size = sizeof address;
      auto* any = reinterpret_cast<sockaddr*>(&address);
      ASSERT_EQ(::bind(listener_.get(), any, size), 0);
      ASSERT_EQ(::getsockname(listener_.get(), any, &size), 0);
      port_ = ntohs(address.sin_port);
    } else {
      listener_.reset(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
      sockaddr_un address{};
      address.sun_family = AF_UNIX;
      ASSERT_LT(socket_path_.size(), sizeof address.sun_path);
      socket_path_.copy(address.sun_path, sizeof address.sun_path - 1);
      ::unlink(socket_path_.c_str());
      ASSERT_EQ(::bind(listener_.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    }
    ASSERT_EQ(::listen(listener_.get(), 64), 0);
  }

  void accept_all() {
    while (!stopping_) {
      pollfd ready{listener_.get(), POLLIN, 0};
      if (::poll(&ready, 1, 200) <= 0) continue;
      UniqueFd socket(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
      if (!socket) continue;
      ++accepted_;
      auto connection = std::make_unique<Connection>();
      connection->socket = std::move(socket);
      Connection* borrowed = connection.get();
      connection->thread = std::thread([this, borrowed] { serve(borrowed->socket.get()); });
      connections_.push_back(std::move(connection));
    }
  }

  void serve(int socket) {
    std::string buffer;
    HttpRequest request;
    while (!stopping_ && read_request(socket, buffer, request)) {
      std::size_t number = 0;
      {
        const std::lock_guard lock(mutex_);
        requests_.push_back(request);
        number = requests_.size();
      }
      const HttpAnswer answer = handler_(request, number);
      if (!send_all(socket, answer.bytes)) break;
      if (answer.then == HttpAnswer::Then::kKeep) continue;
      if (answer.then == HttpAnswer::Then::kEndless) {
        while (!stopping_ && send_all(socket, std::string(65536, 'x'))) {
        }
      } else if (answer.then == HttpAnswer::Then::kHang) {
        char ignored = 0;
        while (!stopping_ && ::recv(socket, &ignored, 1, 0) > 0) {
        }
      } else if (answer.then == HttpAnswer::Then::kReset) {
        const linger now{1, 0};
        ::setsockopt(socket, SOL_SOCKET, SO_LINGER, &now, sizeof now);
        // Closed below: with linger 0 that is a reset. The number stays taken until the end.
        const int nothing = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        ::dup3(nothing, socket, O_CLOEXEC);
        ::close(nothing);
        return;
      }
      break;
    }
    ::shutdown(socket, SHUT_RDWR);
  }

  static bool send_all(int socket, const std::string& bytes) {
    for (std::size_t sent = 0; sent < bytes.size();) {
      const ssize_t more = ::send(socket, bytes.data() + sent, bytes.size() - sent, MSG_NOSIGNAL);
      if (more <= 0) return false;
      sent += static_cast<std::size_t>(more);
    }
    return true;
  }

  static bool read_more(int socket, std::string& buffer) {
    char chunk[4096];
    const ssize_t got = ::recv(socket, chunk, sizeof chunk, 0);
    if (got <= 0) return false;
    buffer.append(chunk, static_cast<std::size_t>(got));
    return true;
  }

  static bool read_request(int socket, std::string& buffer, HttpRequest& request) {
    std::size_t end = 0;
    while ((end = buffer.find("\r\n\r\n")) == std::string::npos) {
      if (!read_more(socket, buffer)) return false;
    }
    request = {};
    std::size_t at = buffer.find("\r\n");
    const std::string line = buffer.substr(0, at);
    request.method = line.substr(0, line.find(' '));
    request.target = line.substr(request.method.size() + 1, line.rfind(' ') - request.method.size() - 1);
    while (at < end) {
      const std::size_t next = buffer.find("\r\n", at + 2);
      const std::string header = buffer.substr(at + 2, next - at - 2);
      std::string name = header.substr(0, header.find(':'));
      for (char& c : name) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
      const std::size_t value = header.find_first_not_of(' ', name.size() + 1);
      request.headers[name] = value == std::string::npos ? "" : header.substr(value);
      at = next;
    }
    const std::string length = request.header("content-length");
    const std::size_t size = length.empty() ? 0 : std::stoul(length);
    while (buffer.size() < end + 4 + size) {
      if (!read_more(socket, buffer)) return false;
    }
    request.body = buffer.substr(end + 4, size);
    buffer.erase(0, end + 4 + size);
    return true;
  }

  const Handler handler_;
  const std::string socket_path_;
  UniqueFd listener_;
  int port_ = 0;
  std::atomic<bool> stopping_{false};
  std::atomic<std::size_t> accepted_{0};
  std::thread acceptor_;
  std::vector<std::unique_ptr<Connection>> connections_;  // the acceptor's, then the destructor's
  mutable std::mutex mutex_;
  std::vector<HttpRequest> requests_;
};

}  // namespace kmsfs::test
