#include "kms/server/http_server.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <cerrno>
#include <condition_variable>
#include <exception>
#include <mutex>
#include <thread>
#include <unordered_set>

#include "kms/server/connection.h"

namespace kmsfs::kms {

namespace {

namespace asio = boost::asio;
using Descriptor = asio::posix::stream_descriptor;

constexpr std::chrono::milliseconds kTick{250};   // how late a deadline may be noticed
constexpr std::chrono::milliseconds kPause{100};  // before accepting again when there was no room
constexpr int kMostAccepted = 64;                 // of one listener in a row

// How many connections there are, for all threads to see.
class Census {
 public:
  void add(bool counts) {
    std::lock_guard lock(mutex_);
    ++all_;
    counted_ += counts ? 1 : 0;
  }
  void remove(bool counts) {
    {
      std::lock_guard lock(mutex_);
      --all_;
      counted_ -= counts ? 1 : 0;
    }
    changed_.notify_all();
  }
  std::size_t all() const {
    std::lock_guard lock(mutex_);
    return all_;
  }
  std::size_t counted() const {
    std::lock_guard lock(mutex_);
    return counted_;
  }
  void wait_for_none(std::chrono::milliseconds patience) {
    std::unique_lock lock(mutex_);
    changed_.wait_for(lock, patience, [this] { return all_ == 0; });
  }

 private:
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::size_t all_ = 0, counted_ = 0;
};

// An I/O thread and the connections that it owns.
class IoThread final : public ConnectionHome {
 public:
  explicit IoThread(Census& census) : census_(census), tick_(context), work_(context.get_executor()) {}
  ~IoThread() override { join(); }

  void start() {
    schedule_tick();
    thread_ = std::thread([this] { context.run(); });
  }
  void join() {
    if (!thread_.joinable()) return;
    context.stop();
    thread_.join();
  }

  // The rest in the thread itself.
  void adopt(const std::shared_ptr<Connection>& connection) {
    connections_.insert(connection.get());
    connection->start();
    if (finishing_) connection->finish();
  }
  void forget(Connection& connection) override {
    connections_.erase(&connection);
    census_.remove(connection.counts());
  }
  void finish() {
    finishing_ = true;
    for_each([](Connection& connection) { connection.finish(); });
  }
  void abort() {
    for_each([](Connection& connection) { connection.abort(); });
  }
  // Ends some of the connections that have been idle longest.
  void make_room() {
    std::vector<Connection*> idle;
    for (Connection* connection : connections_) {
      if (connection->is_idle() && connection->counts()) idle.push_back(connection);
    }
    const std::size_t some = std::min(idle.size(), connections_.size() / 16 + 1);
    std::partial_sort(idle.begin(), idle.begin() + static_cast<std::ptrdiff_t>(some), idle.end(),
                      [](const Connection* a, const Connection* b) { return a->deadline() < b->deadline(); });
    idle.resize(some);
    for (Connection* connection : idle) connection->abort();
  }

 private:
  template <typename F>
  void for_each(F&& act) {  // which may make it forget the connection
    const std::vector<Connection*> all(connections_.begin(), connections_.end());
    for (Connection* connection : all) {
      if (connections_.contains(connection)) act(*connection->shared_from_this());
    }
  }
  void schedule_tick() {
    tick_.expires_after(kTick);
    tick_.async_wait([this](const boost::system::error_code& failed) {
      if (failed) return;
      const Moment now = std::chrono::steady_clock::now();
      for_each([now](Connection& connection) { connection.check_deadline(now); });
      schedule_tick();
    });
  }

  Census& census_;
  std::unordered_set<Connection*> connections_;  // each is held by its wait, or by the job that handles it
  bool finishing_ = false;
  asio::steady_timer tick_;
  asio::executor_work_guard<asio::io_context::executor_type> work_;
  std::thread thread_;
};

// Who is at the other end; nothing if that cannot be told.
std::optional<Client> client_of(int socket, const Listener& listener) {
  Client client;
  client.unix_socket = listener.unix_socket;
  client.tls = listener.tls;
  if (listener.unix_socket) {
    ucred peer{};
    socklen_t size = sizeof peer;
    if (::getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0) return std::nullopt;
    client.uid = peer.uid;
    return client;
  }
  const int on = 1;
  ::setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  ::setsockopt(socket, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
  sockaddr_storage from{};
  socklen_t size = sizeof from;
  if (::getpeername(socket, reinterpret_cast<sockaddr*>(&from), &size) != 0) return std::nullopt;
  std::array<char, INET6_ADDRSTRLEN> text{};
  const void* address = from.ss_family == AF_INET6
                            ? static_cast<const void*>(&reinterpret_cast<const sockaddr_in6&>(from).sin6_addr)
                            : &reinterpret_cast<const sockaddr_in&>(from).sin_addr;
  if (::inet_ntop(from.ss_family, address, text.data(), text.size()) == nullptr) return std::nullopt;
  client.ip = text.data();
  return client;
}

class Server final : public HttpServer {
 public:
  Server(std::vector<Door> doors, const TlsCertificate* certificate, const HttpLimits& limits,
         std::size_t threads, Logger logger)
      : certificate_(certificate), limits_(limits), budget_(limits.buffers), logger_(std::move(logger)) {
    for (std::size_t i = 0; i < threads; ++i) {
      threads_.push_back(std::make_unique<IoThread>(census_));
      threads_[i]->limits = &limits_;
      threads_[i]->budget = &budget_;
    }
    for (Door& door : doors) {
      entrances_.push_back(std::make_unique<Entrance>(threads_[0]->context, std::move(door)));
      await_client(*entrances_.back());
    }
    for (auto& thread : threads_) thread->start();
  }
  ~Server() override { stop(std::chrono::milliseconds(0)); }

  void stop(std::chrono::milliseconds patience) override {
    if (stopped_) return;
    stopped_ = true;
    asio::post(threads_[0]->context, [this] {
      for (auto& entrance : entrances_) {
        boost::system::error_code ignored;
        entrance->socket.close(ignored);
        entrance->pause.cancel();
      }
      // After the last client was handed over.
      for (auto& thread : threads_) asio::post(thread->context, [&thread] { thread->finish(); });
    });
    census_.wait_for_none(patience);
    if (const std::size_t left = census_.all(); left != 0) {
      if (patience.count() != 0) logger_->warn("{} connections did not end in time", left);
      for (auto& thread : threads_) asio::post(thread->context, [&thread] { thread->abort(); });
      census_.wait_for_none(std::chrono::seconds(1));
    }
    for (auto& thread : threads_) thread->join();
  }

  std::size_t connections() const override { return census_.all(); }

 private:
  struct Entrance {
    Entrance(asio::io_context& context, Door from)
        : door(std::move(from)), socket(context, door.listener.socket.release()), pause(context) {}
    Door door;
    Descriptor socket;
    asio::steady_timer pause;
  };

  void await_client(Entrance& entrance) {
    entrance.socket.async_wait(Descriptor::wait_read,
                               [this, &entrance](const boost::system::error_code& failed) {
                                 if (failed) return;
                                 accept(entrance);
                               });
  }
  void accept(Entrance& entrance) {
    for (int i = 0; i < kMostAccepted; ++i) {
      if (entrance.door.counts && census_.counted() >= limits_.connections) return wait_for_room(entrance);
      UniqueFd socket(
          ::accept4(entrance.socket.native_handle(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
      if (socket) {
        welcome(entrance.door, std::move(socket));
      } else if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
        return wait_for_room(entrance);
      } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
        break;
      }  // all else is about that one client
    }
    await_client(entrance);
  }
  void wait_for_room(Entrance& entrance) {
    if (!told_full_) logger_->warn("too many connections: those idle longest are ended");
    told_full_ = true;
    for (auto& thread : threads_) asio::post(thread->context, [&thread] { thread->make_room(); });
    entrance.pause.expires_after(kPause);
    entrance.pause.async_wait([this, &entrance](const boost::system::error_code& failed) {
      if (!failed) accept(entrance);
    });
  }
  void welcome(const Door& door, UniqueFd socket) {
    auto client = client_of(socket.get(), door.listener);
    if (!client) return;
    std::unique_ptr<TlsSession> tls;
    if (door.listener.tls) {
      auto session = certificate_->accept(socket.get());
      if (!session) return logger_->warn("a connection was dropped: {}", session.error().text);
      tls = std::move(*session);
    }
    IoThread& thread = *threads_[next_++ % threads_.size()];
    std::shared_ptr<Connection> connection;
    try {
      connection = std::make_shared<Connection>(thread, std::move(socket), std::move(*client), *door.handler,
                                                *door.workers, std::move(tls), door.counts);
    } catch (const std::exception& failed) {
      return logger_->warn("a connection was dropped: {}", failed.what());
    }
    census_.add(door.counts);
    asio::post(thread.context, [&thread, connection = std::move(connection)] { thread.adopt(connection); });
  }

  const TlsCertificate* const certificate_;
  const HttpLimits limits_;
  MemoryBudget budget_;
  const Logger logger_;
  Census census_;
  std::vector<std::unique_ptr<IoThread>> threads_;  // the first one accepts
  std::vector<std::unique_ptr<Entrance>> entrances_;
  std::size_t next_ = 0;  // these two belong to the first thread
  bool told_full_ = false;
  bool stopped_ = false;
};

}  // namespace

std::unique_ptr<HttpServer> HttpServer::start(std::vector<Door> doors, const TlsCertificate* certificate,
                                              const HttpLimits& limits, std::size_t threads, Logger logger) {
  return std::make_unique<Server>(std::move(doors), certificate, limits, threads, std::move(logger));
}

}  // namespace kmsfs::kms
