// A KMS 20 ms away, on this machine: what a client sends to a socket arrives at another one later, and so do
// replies.
//
// Always: bytes keep their order; each way takes half of the delay. Connections are accepted at once: the
// first round trips of TCP and TLS are not imitated. Threads: one of its own; set_delay() by any.
#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <deque>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "core/bytes.h"
#include "core/unique_fd.h"

namespace kmsfs {

class DelayingProxy {
 public:
  // Unix sockets: listens on one, and hands on to the other.
  DelayingProxy(std::string listen_on, std::string hand_on_to);
  ~DelayingProxy();
  DelayingProxy(const DelayingProxy&) = delete;
  DelayingProxy& operator=(const DelayingProxy&) = delete;

  void set_delay(std::chrono::nanoseconds round_trip) { delay_ns_ = round_trip.count() / 2; }
  // The most at once so far.
  std::size_t connections() const { return most_connections_; }

 private:
  using Time = std::chrono::steady_clock::time_point;
  struct Piece {
    Time due;
    Bytes bytes;
  };
  struct Connection {
    UniqueFd ends[2];              // the client, the server
    std::deque<Piece> waiting[2];  // to go to the client, to the server
    bool over = false;
  };

  void run();
  void accept_one();
  void receive(Connection& connection, int from) const;
  static void deliver(Connection& connection, Time now);
  int milliseconds_to_wait(Time now) const;

  const std::string listen_on_, hand_on_to_;
  std::atomic<std::int64_t> delay_ns_{0};
  std::atomic<std::size_t> most_connections_{0};
  std::atomic<bool> stopping_{false};
  UniqueFd listener_;
  std::vector<std::unique_ptr<Connection>> connections_;  // of the thread
  std::thread thread_;
};

}  // namespace kmsfs
