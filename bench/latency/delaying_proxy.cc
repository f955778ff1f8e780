#include "bench/latency/delaying_proxy.h"

#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

namespace kmsfs {
namespace {

constexpr std::size_t kPiece = 16384;
constexpr int kLongestWait = 50;  // milliseconds, so that the end is noticed

sockaddr_un address_of(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, path.data(), std::min(path.size(), sizeof address.sun_path - 1));
  return address;
}

}  // namespace

DelayingProxy::DelayingProxy(std::string listen_on, std::string hand_on_to)
    : listen_on_(std::move(listen_on)), hand_on_to_(std::move(hand_on_to)) {
  const sockaddr_un address = address_of(listen_on_);
  listener_.reset(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  const bool listens =
      ::bind(listener_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0 &&  // NOLINT
      ::listen(listener_.get(), 256) == 0;
  if (listens) thread_ = std::thread([this] { run(); });
}

DelayingProxy::~DelayingProxy() {
  stopping_ = true;
  if (thread_.joinable()) thread_.join();
  ::unlink(listen_on_.c_str());
}

void DelayingProxy::accept_one() {
  UniqueFd client(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
  if (!client) return;
  UniqueFd server(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const sockaddr_un address = address_of(hand_on_to_);
  if (::connect(server.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)  // NOLINT
    return;
  auto connection = std::make_unique<Connection>();
  connection->ends[0] = std::move(client);
  connection->ends[1] = std::move(server);
  connections_.push_back(std::move(connection));
  most_connections_ = std::max(most_connections_.load(), connections_.size());
}

void DelayingProxy::receive(Connection& connection, int from) const {
  Bytes bytes(kPiece);
  const ssize_t got = ::recv(connection.ends[from].get(), bytes.data(), bytes.size(), MSG_DONTWAIT);
  if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (got <= 0) {
    connection.over = true;  // what is under way is lost, as the one who waits for it has gone
    return;
  }
  bytes.resize(static_cast<std::size_t>(got));
  const Time due = std::chrono::steady_clock::now() + std::chrono::nanoseconds(delay_ns_);
  connection.waiting[1 - from].push_back({due, std::move(bytes)});
}

// Requests and replies are small against a socket's buffer.
void DelayingProxy::deliver(Connection& connection, Time now) {
  for (int to = 0; to < 2; ++to) {
    auto& waiting = connection.waiting[to];
    while (!waiting.empty() && waiting.front().due <= now) {
      const Bytes& bytes = waiting.front().bytes;
      const ssize_t sent = ::send(connection.ends[to].get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (sent != static_cast<ssize_t>(bytes.size())) connection.over = true;
      waiting.pop_front();
    }
  }
}

int DelayingProxy::milliseconds_to_wait(Time now) const {
  std::chrono::nanoseconds wait = std::chrono::milliseconds(kLongestWait);
  for (const auto& connection : connections_) {
    for (const auto& waiting : connection->waiting) {
      if (!waiting.empty()) wait = std::min<std::chrono::nanoseconds>(wait, waiting.front().due - now);
    }
  }
  if (wait.count() <= 0) return 0;
  return static_cast<int>((wait + std::chrono::microseconds(999)) / std::chrono::milliseconds(1));
}

void DelayingProxy::run() {
  std::vector<pollfd> waited;
  while (!stopping_) {
    waited.assign(1, {listener_.get(), POLLIN, 0});
    for (const auto& connection : connections_) {
      for (const UniqueFd& end : connection->ends) waited.push_back({end.get(), POLLIN, 0});
    }
    ::poll(waited.data(), waited.size(), milliseconds_to_wait(std::chrono::steady_clock::now()));
    for (std::size_t i = 1; i < waited.size(); ++i) {
      if (waited[i].revents != 0) receive(*connections_[(i - 1) / 2], static_cast<int>((i - 1) % 2));
    }
    const Time now = std::chrono::steady_clock::now();
    for (const auto& connection : connections_) deliver(*connection, now);
    std::erase_if(connections_, [](const auto& connection) { return connection->over; });
    if ((waited[0].revents & POLLIN) != 0) accept_one();
  }
}

}  // namespace kmsfs
