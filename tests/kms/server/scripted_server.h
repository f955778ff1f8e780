// An HttpServer of this process on real sockets, with a handler that does what the target of a request says:
// /echo gives the body back, /throw throws, /who tells who asks, /big answers 4 MiB, /wait waits until it is
// released.
#pragma once

#include <gtest/gtest.h>

#include <condition_variable>
#include <filesystem>
#include <mutex>
#include <stdexcept>

#include "kms/server/http_server.h"
#include "tests/kms/server/http_client.h"
#include "tests/support/temporary_directory.h"

namespace kmsfs::testing {

class ScriptedHandler final : public kms::RequestHandler {
 public:
  kms::HttpAnswer handle(const kms::HttpRequest& request, const kms::Client& client) override {
    kms::HttpAnswer answer;
    if (request.target == "/echo") answer.body = kms::Body(std::string(as_text(request.body)));
    if (request.target == "/throw") throw std::runtime_error("thrown");
    if (request.target == "/big") answer.body = kms::Body(std::string(4 << 20, 'x'));
    if (request.target == "/who") {
      answer.body = kms::Body(client.unix_socket ? "uid " + std::to_string(client.uid) : client.ip);
    }
    if (request.target == "/wait") {
      std::unique_lock lock(mutex_);
      ++waiting_;
      changed_.notify_all();
      changed_.wait_for(lock, std::chrono::seconds(20), [this] { return released_; });
      answer.body = kms::Body(std::string("waited"));
    }
    return answer;
  }
  kms::HttpAnswer refuse(const kms::Refusal& refusal) override {
    kms::HttpAnswer answer;
    answer.status = refusal.status;
    return answer;
  }
  bool await(int waiting) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, std::chrono::seconds(20), [&] { return waiting_ >= waiting; });
  }
  void release() {
    std::lock_guard lock(mutex_);
    released_ = true;
    changed_.notify_all();
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  int waiting_ = 0;
  bool released_ = false;
};

class ScriptedServer : public ::testing::Test {
 protected:
  ~ScriptedServer() override {
    handler_.release();
    stop();
  }
  void start(const kms::HttpLimits& limits = {}, std::size_t workers = 4, std::size_t queue = 64,
             const kms::TlsCertificate* certificate = nullptr) {
    auto unix_socket = kms::UnixListener::listen(socket_path(), 0600);
    auto tcp = kms::listen_tcp({"127.0.0.1", 0, certificate != nullptr}, false);
    ASSERT_TRUE(unix_socket && tcp);
    port_ = static_cast<std::uint16_t>(std::stoi(tcp->front().name.substr(tcp->front().name.rfind(':') + 1)));
    workers_.emplace(workers, queue);
    std::vector<kms::HttpServer::Door> doors;
    doors.push_back({unix_socket->take(), &handler_, &*workers_});
    doors.push_back({std::move(tcp->front()), &handler_, &*workers_});
    unix_socket_.emplace(std::move(*unix_socket));
    server_ = kms::HttpServer::start(std::move(doors), certificate, limits, 2, make_null_logger());
  }
  void stop(std::chrono::milliseconds patience = std::chrono::seconds(10)) {
    if (server_ == nullptr) return;
    server_->stop(patience);
    workers_->stop();
    server_.reset();
  }
  std::string socket_path() const { return (directory_.path() / "socket").string(); }
  HttpClient connect() const { return HttpClient::to_unix(socket_path()); }
  HttpClient connect_tcp() const { return HttpClient::to_loopback(port_); }
  // Waits for it, as far as that goes.
  bool has_connections(std::size_t count) const {
    for (int i = 0; i < 2000 && server_->connections() != count; ++i) {
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    return server_->connections() == count;
  }

  TemporaryDirectory directory_;
  ScriptedHandler handler_;
  std::optional<kms::UnixListener> unix_socket_;
  std::optional<kms::WorkerPool> workers_;
  std::unique_ptr<kms::HttpServer> server_;
  std::uint16_t port_ = 0;
};

}  // namespace kmsfs::testing
