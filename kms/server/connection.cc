#include "kms/server/connection.h"

#include <sys/socket.h>
#include <sys/uio.h>

#include <algorithm>
#include <array>
#include <boost/asio/post.hpp>
#include <cerrno>
#include <exception>

namespace kmsfs::kms {

namespace {

using WaitType = boost::asio::posix::stream_descriptor::wait_type;
using Outcome = IoOutcome::State;

constexpr std::size_t kFirstBuffer = 2048;  // most requests fit, head and body
constexpr std::chrono::milliseconds kLinger{2000};
constexpr Refusal kBusy{503, "ServiceUnavailable", "The server is busy. Try again."};
constexpr Refusal kFailed{500, "InternalFailure", "The request could not be handled. Try again."};
constexpr Refusal kHeadTooLarge{431, "RequestHeaderFieldsTooLargeException",
                                "The headers of the request are too large."};
constexpr Refusal kTooSlow{408, "RequestTimeoutException", "The request did not come in time."};

IoOutcome outcome_of(ssize_t result, Outcome if_not_ready) {
  if (result > 0) return {Outcome::kDone, static_cast<std::size_t>(result)};
  if (result < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR)) return {if_not_ready, 0};
  return {Outcome::kClosed, 0};
}

std::string_view reason_of(int status) {
  switch (status) {
    case 200:
      return "OK";
    case 400:
      return "Bad Request";
    case 403:
      return "Forbidden";
    case 404:
      return "Not Found";
    case 405:
      return "Method Not Allowed";
    case 408:
      return "Request Timeout";
    case 411:
      return "Length Required";
    case 413:
      return "Payload Too Large";
    case 417:
      return "Expectation Failed";
    case 431:
      return "Request Header Fields Too Large";
    case 500:
      return "Internal Server Error";
    case 503:
      return "Service Unavailable";
    case 505:
      return "HTTP Version Not Supported";
    default:
      return "Unknown";
  }
}

}  // namespace

Connection::Connection(ConnectionHome& home, UniqueFd socket, Client client, RequestHandler& handler,
                       WorkerPool& workers, std::unique_ptr<TlsSession> tls, bool counts)
    : home_(home),
      socket_(home.context),
      client_(std::move(client)),
      handler_(handler),
      workers_(workers),
      tls_(std::move(tls)),
      counts_(counts) {
  socket_.assign(socket.get());  // throws where the system has no room for it: then it is still ours to close
  (void)socket.release();
}

void Connection::start() {
  if (tls_ != nullptr) {
    enter(State::kHandshake, home_.limits->handshake);
  } else {
    enter(State::kIdle, home_.limits->idle);
  }
  wait(WaitType::wait_read);
}

void Connection::finish() {
  stopping_ = true;
  char next = 0;
  const bool sent =
      state_ == State::kIdle && ::recv(socket_.native_handle(), &next, 1, MSG_PEEK | MSG_DONTWAIT) > 0;
  if (sent && tls_ == nullptr) return;  // its request is here already, though not yet read
  if (state_ == State::kIdle || state_ == State::kHandshake || state_ == State::kLingering) close();
}

void Connection::abort() { close(); }

void Connection::check_deadline(Moment now) {
  if (now < deadline_) return;
  if (state_ == State::kHead || state_ == State::kBody) {
    if (refuse(kTooSlow)) advance();
  } else if (state_ != State::kHandling) {
    close();
  }
}

void Connection::advance() {
  for (bool go_on = true; go_on;) {
    switch (state_) {
      case State::kHandshake:
        go_on = proceed(tls_->handshake());
        if (go_on) enter(State::kIdle, home_.limits->idle);
        break;
      case State::kIdle:
        exchange_ = std::make_unique<Exchange>(*home_.budget);
        enter(State::kHead, home_.limits->head);
        break;
      case State::kHead:
        go_on = receive_head();
        break;
      case State::kBody:
        go_on = receive_body();
        break;
      case State::kWriting:
        go_on = send();
        break;
      case State::kLingering:
        go_on = linger();
        break;
      case State::kHandling:
      case State::kClosed:
        return;
    }
  }
}

bool Connection::receive_head() {
  LockedBuffer& input = exchange_->input;
  if (input.used() != 0) {
    HeadOutcome parsed = parse_request_head(input.reveal(), kHttpBodyLimit);
    if (parsed.refused) return refuse(*parsed.refused);
    if (parsed.size > kHttpHeaderLimit) return refuse(kHeadTooLarge);
    if (parsed.size != 0) {
      exchange_->head = std::move(parsed.head);
      exchange_->head_size = parsed.size;
      return begin_body();
    }
    if (input.used() >= kHttpHeaderLimit) return refuse(kHeadTooLarge);
  }
  if (input.room().empty() && !input.grow_to(std::max(kFirstBuffer, 2 * input.capacity())))
    return refuse(kBusy);
  const bool first = input.used() == 0;
  const IoOutcome outcome = read(input.room());
  if (outcome.state == Outcome::kDone) {
    input.added(outcome.size);
    return true;
  }
  if (first && outcome.state != Outcome::kClosed) {  // ready, but for nothing: as idle as before
    exchange_.reset();
    enter(State::kIdle, home_.limits->idle);
  }
  return proceed(outcome);
}

bool Connection::begin_body() {
  const RequestHead& head = *exchange_->head;
  exchange_->keep_alive = head.keep_alive;
  const std::size_t whole = exchange_->head_size + head.body_size;
  if (!exchange_->input.grow_to(whole)) return refuse(kBusy);
  enter(State::kBody, home_.limits->body);
  if (head.wants_continue && !head.http_1_0 && exchange_->input.used() < whole) {
    static constexpr std::string_view kContinue = "HTTP/1.1 100 Continue\r\n\r\n";
    // Nothing else is on its way to this client: it fits, or the connection is of no use.
    const IoOutcome outcome = tls_ != nullptr
                                  ? tls_->write(as_bytes(kContinue))
                                  : outcome_of(::send(socket_.native_handle(), kContinue.data(),
                                                      kContinue.size(), MSG_NOSIGNAL | MSG_DONTWAIT),
                                               Outcome::kWantWrite);
    if (outcome.state != Outcome::kDone || outcome.size != kContinue.size()) {
      close();
      return false;
    }
  }
  return true;
}

bool Connection::receive_body() {
  LockedBuffer& input = exchange_->input;
  if (input.used() >= exchange_->head_size + exchange_->head->body_size) {
    dispatch();
    return state_ != State::kHandling;
  }
  const IoOutcome outcome = read(input.room());
  if (!proceed(outcome)) return false;
  input.added(outcome.size);
  return true;
}

void Connection::dispatch() {
  state_ = State::kHandling;
  if (workers_.submit([self = shared_from_this()] { self->handle(); })) return;
  state_ = State::kBody;
  refuse(kBusy);
}

void Connection::handle() {
  const RequestHead& head = *exchange_->head;
  const HttpRequest request{head.method, head.target, head.headers,
                            exchange_->input.reveal().subspan(exchange_->head_size, head.body_size)};
  try {
    exchange_->answer = handler_.handle(request, client_);
  } catch (const std::exception&) {  // a library's, out of memory: one request fails, not the server
    exchange_->answer = handler_.refuse(kFailed);
  }
  compose();
  boost::asio::post(home_.context, [self = shared_from_this()] {
    if (self->state_ != State::kHandling) return;  // closed meanwhile
    self->enter(State::kWriting, self->home_.limits->write);
    self->advance();
  });
}

bool Connection::refuse(const Refusal& refusal) {
  exchange_->answer = handler_.refuse(refusal);
  exchange_->keep_alive = false;
  compose();
  enter(State::kWriting, home_.limits->write);
  return true;
}

// Whether the connection goes on is said before it is known that the server stops: a client that sends its
// next request into that moment finds the connection closed, as it may at any time.
void Connection::compose() {
  const HttpAnswer& answer = exchange_->answer;
  const RequestHead* head = exchange_->head.get();
  std::string& text = exchange_->answer_head;
  text.reserve(512);
  text.append("HTTP/1.1 ").append(std::to_string(answer.status)).append(" ").append(reason_of(answer.status));
  for (const OwnedHeader& header : answer.headers) {
    text.append("\r\n").append(header.name).append(": ").append(header.value);
  }
  text.append("\r\nContent-Length: ").append(std::to_string(answer.body.size()));
  if (!exchange_->keep_alive) {
    text.append("\r\nConnection: close");
  } else if (head != nullptr && head->http_1_0) {
    text.append("\r\nConnection: keep-alive");
  }
  text.append("\r\n\r\n");
  if (head != nullptr && head->method == "HEAD") exchange_->answer.body = Body();
}

bool Connection::send() {
  const std::size_t whole = exchange_->answer_head.size() + exchange_->answer.body.size();
  while (exchange_->written < whole) {
    const IoOutcome outcome = write();
    if (!proceed(outcome)) return false;
    exchange_->written += outcome.size;
  }
  return answered();
}

bool Connection::answered() {
  if (!exchange_->keep_alive || stopping_) {
    exchange_.reset();
    if (tls_ != nullptr) tls_->close();
    ::shutdown(socket_.native_handle(), SHUT_WR);
    enter(State::kLingering, kLinger);
    return true;
  }
  const std::size_t consumed = exchange_->head_size + exchange_->head->body_size;
  if (exchange_->input.used() > consumed) {  // sent ahead
    auto next = std::make_unique<Exchange>(*home_.budget);
    const ByteView rest = exchange_->input.reveal().subspan(consumed);
    if (!next->input.grow_to(std::max(kFirstBuffer, rest.size()))) {
      close();
      return false;
    }
    std::memcpy(next->input.room().data(), rest.data(), rest.size());
    next->input.added(rest.size());
    exchange_ = std::move(next);
    enter(State::kHead, home_.limits->head);
    return true;
  }
  exchange_.reset();
  enter(State::kIdle, home_.limits->idle);
  if (tls_ != nullptr && tls_->has_pending()) return true;
  wait(WaitType::wait_read);
  return false;
}

// A close with bytes unread would reset the connection, and the client might never see its answer.
bool Connection::linger() {
  std::array<char, 4096> ignored;
  const ssize_t got = ::recv(socket_.native_handle(), ignored.data(), ignored.size(), MSG_DONTWAIT);
  if (proceed(outcome_of(got, Outcome::kWantRead))) wait(WaitType::wait_read);  // others have their turn
  return false;
}

bool Connection::proceed(const IoOutcome& outcome) {
  switch (outcome.state) {
    case Outcome::kDone:
      return true;
    case Outcome::kWantRead:
      wait(WaitType::wait_read);
      return false;
    case Outcome::kWantWrite:
      wait(WaitType::wait_write);
      return false;
    case Outcome::kClosed:
      close();
      return false;
  }
  return false;
}

IoOutcome Connection::read(ByteSpan into) {
  if (tls_ != nullptr) return tls_->read(into);
  return outcome_of(::recv(socket_.native_handle(), into.data(), into.size(), MSG_DONTWAIT),
                    Outcome::kWantRead);
}

IoOutcome Connection::write() {
  const ByteView head = as_bytes(exchange_->answer_head);
  const ByteView body = exchange_->answer.body.view();
  const std::size_t done = exchange_->written;
  const ByteView head_left = head.subspan(std::min(done, head.size()));
  const ByteView body_left = body.subspan(done - std::min(done, head.size()));
  if (tls_ != nullptr) return tls_->write(head_left.empty() ? body_left : head_left);
  std::array<iovec, 2> parts{{{const_cast<std::byte*>(head_left.data()), head_left.size()},
                              {const_cast<std::byte*>(body_left.data()), body_left.size()}}};
  msghdr message{};
  message.msg_iov = parts.data();
  message.msg_iovlen = parts.size();
  return outcome_of(::sendmsg(socket_.native_handle(), &message, MSG_NOSIGNAL | MSG_DONTWAIT),
                    Outcome::kWantWrite);
}

void Connection::wait(WaitType type) {
  const std::uint32_t wait = ++waits_;
  socket_.async_wait(type, [self = shared_from_this(), wait](const boost::system::error_code& failed) {
    if (wait != self->waits_) return;
    failed ? self->close() : self->advance();
  });
}

void Connection::enter(State state, std::chrono::milliseconds patience) {
  state_ = state;
  deadline_ = std::chrono::steady_clock::now() + patience;
}

void Connection::close() {
  if (state_ == State::kClosed) return;
  const bool handling = state_ == State::kHandling;
  state_ = State::kClosed;
  ++waits_;
  if (tls_ != nullptr) tls_->close();
  boost::system::error_code ignored;
  socket_.close(ignored);
  if (!handling) exchange_.reset();  // otherwise a worker is at it
  home_.forget(*this);
}

}  // namespace kmsfs::kms
