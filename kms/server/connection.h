// One connection of the server: a state machine that its I/O thread drives.
//
//   handshake → idle → head → body → handling → writing → idle, or lingering → closed
//
// Always: only the I/O thread touches it, but while a worker handles its request: then only the worker
// touches the exchange, and nobody waits for the socket. Includes Asio: for sources of the server only.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <chrono>
#include <memory>

#include "kms/server/http_server.h"
#include "kms/server/locked_buffer.h"
#include "kms/server/request_head.h"

namespace kmsfs::kms {

using Moment = std::chrono::steady_clock::time_point;

class Connection;

// What a connection needs of the thread that owns it.
struct ConnectionHome {
  virtual ~ConnectionHome() = default;
  virtual void forget(Connection& connection) = 0;

  boost::asio::io_context context{1};
  const HttpLimits* limits = nullptr;
  MemoryBudget* budget = nullptr;
};

class Connection final : public std::enable_shared_from_this<Connection> {
 public:
  Connection(ConnectionHome& home, UniqueFd socket, Client client, RequestHandler& handler,
             WorkerPool& workers, std::unique_ptr<TlsSession> tls, bool counts);

  void start();
  void finish();  // the server stops: at once if it is idle, after its answer otherwise
  void abort();   // at once
  void check_deadline(Moment now);
  bool is_idle() const { return state_ == State::kIdle; }
  Moment deadline() const { return deadline_; }
  bool counts() const { return counts_; }

 private:
  enum class State : std::uint8_t {
    kHandshake,
    kIdle,
    kHead,
    kBody,
    kHandling,
    kWriting,
    kLingering,
    kClosed
  };

  // A request being received, handled and answered. There is none while the connection is idle.
  struct Exchange {
    explicit Exchange(MemoryBudget& budget) : input(budget) {}
    LockedBuffer input;  // head and body, and what was sent ahead
    std::unique_ptr<RequestHead> head;
    std::size_t head_size = 0;
    bool keep_alive = false;
    std::string answer_head;
    HttpAnswer answer;
    std::size_t written = 0;  // of both
  };

  void advance();
  bool receive_head();  // these say whether to go on at once
  bool receive_body();
  bool begin_body();
  bool send();
  bool linger();
  bool answered();
  bool proceed(const IoOutcome& outcome);
  void dispatch();
  void handle();  // in a worker
  bool refuse(const Refusal& refusal);
  void compose();

  IoOutcome read(ByteSpan into);
  IoOutcome write();
  void wait(boost::asio::posix::stream_descriptor::wait_type type);
  void enter(State state, std::chrono::milliseconds patience);
  void close();

  ConnectionHome& home_;
  boost::asio::posix::stream_descriptor socket_;
  const Client client_;
  RequestHandler& handler_;
  WorkerPool& workers_;
  const std::unique_ptr<TlsSession> tls_;
  std::unique_ptr<Exchange> exchange_;
  Moment deadline_{};
  std::uint32_t waits_ = 0;  // which wait is the current one; those before it no longer count
  State state_ = State::kHandshake;
  const bool counts_;
  bool stopping_ = false;
};

}  // namespace kmsfs::kms
