#include "cli/control_server.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>

#include "kms/private_file.h"

namespace kmsfs::cli {

namespace {

constexpr timeval kPatience{2, 0};  // for a client to send its line, and to take the answer
constexpr std::size_t kLongestRequest = 4096;
constexpr std::size_t kMostQuestions = 64;

nlohmann::json error_answer(const Error& error) {
  return {{"error", error.text}, {"kind", to_string(error.kind)}};
}

void send_answer(const UniqueFd& client, const nlohmann::json& answer) {
  // Names and paths may hold any bytes; JSON may not.
  const std::string text = answer.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
  // A client that went away does not hear its answer; that is its own affair.
  (void)kms::write_all(client.get(), as_bytes(text));
}

bool may_ask(const UniqueFd& client) {
  ucred peer{};
  socklen_t size = sizeof peer;
  return ::getsockopt(client.get(), SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 &&
         (peer.uid == ::geteuid() || peer.uid == 0);
}

// One line; empty if it does not come in time, or is too long.
std::string read_line(const UniqueFd& client) {
  std::string line;
  std::array<char, 1024> buffer{};
  while (line.size() <= kLongestRequest) {
    const ssize_t got = ::recv(client.get(), buffer.data(), buffer.size(), 0);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return {};
    line.append(buffer.data(), static_cast<std::size_t>(got));
    if (const auto end = line.find('\n'); end != std::string::npos) return line.substr(0, end);
  }
  return {};
}

}  // namespace

Result<std::unique_ptr<ControlServer>> ControlServer::start(const std::string& path, Answers answers,
                                                            Logger logger) {
  sockaddr_un address{};
  if (path.size() >= sizeof address.sun_path) {
    return error(Kind::kInvalid, "the path of the control socket is too long: " + path);
  }
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, path.data(), path.size());
  UniqueFd listener(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  UniqueFd stop(::eventfd(0, EFD_CLOEXEC));
  if (!listener || !stop) return Error::from_errno(errno, "making the control socket");
  ::unlink(path.c_str());
  if (::bind(listener.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 ||
      ::chmod(path.c_str(), 0600) != 0 || ::listen(listener.get(), 16) != 0) {
    return Error::from_errno(errno, "making the control socket " + path);
  }
  return std::unique_ptr<ControlServer>(
      new ControlServer(path, std::move(listener), std::move(stop), std::move(answers), std::move(logger)));
}

ControlServer::ControlServer(std::string path, UniqueFd listener, UniqueFd stop, Answers answers,
                             Logger logger)
    : path_(std::move(path)),
      listener_(std::move(listener)),
      stop_(std::move(stop)),
      answers_(std::move(answers)),
      logger_(std::move(logger)),
      server_([this] { serve(); }),
      answerer_([this] { answer_questions(); }) {}

ControlServer::~ControlServer() {
  ::eventfd_write(stop_.get(), 1);
  {
    std::lock_guard lock(mutex_);
    done_ = true;
  }
  changed_.notify_all();
  server_.join();
  answerer_.join();
  ::unlink(path_.c_str());
}

void ControlServer::serve() {
  std::array<pollfd, 2> waited{{{listener_.get(), POLLIN, 0}, {stop_.get(), POLLIN, 0}}};
  for (;;) {
    if (::poll(waited.data(), waited.size(), -1) < 0 && errno != EINTR) {
      logger_->error("the control socket is lost: {}", Error::from_errno(errno).text);
      return;
    }
    if ((waited[1].revents & POLLIN) != 0) return;
    UniqueFd client(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
    if (client) hear(std::move(client));
  }
}

void ControlServer::hear(UniqueFd client) {
  ::setsockopt(client.get(), SOL_SOCKET, SO_RCVTIMEO, &kPatience, sizeof kPatience);
  ::setsockopt(client.get(), SOL_SOCKET, SO_SNDTIMEO, &kPatience, sizeof kPatience);
  if (!may_ask(client)) {
    return send_answer(client, error_answer(error(Kind::kDenied, "only who mounted it and root may ask")));
  }
  const auto request = nlohmann::json::parse(read_line(client), nullptr, false);
  const bool is_object = !request.is_discarded() && request.is_object();
  const auto name = is_object ? request.find("request") : request.end();
  if (is_object && name != request.end() && *name == "status") return send_answer(client, answers_.status());
  if (is_object && name != request.end() && *name == "revoke") return send_answer(client, answers_.revoke());
  if (is_object && name != request.end() && *name == "information") {
    const auto inode = request.find("inode");
    if (inode != request.end() && inode->is_number_unsigned()) {
      std::lock_guard lock(mutex_);
      if (questions_.size() < kMostQuestions) {
        questions_.push_back({std::move(client), inode->get<std::uint64_t>()});
        return changed_.notify_one();
      }
      return send_answer(client, error_answer(error(Kind::kBusy, "too many questions are waiting")));
    }
  }
  send_answer(client, error_answer(error(Kind::kInvalid, "not a request that this version knows")));
}

void ControlServer::answer_questions() {
  for (;;) {
    Question question;
    {
      std::unique_lock lock(mutex_);
      changed_.wait(lock, [this] { return done_ || !questions_.empty(); });
      if (done_) return;
      question = std::move(questions_.front());
      questions_.pop_front();
    }
    auto answer = answers_.information(question.inode);
    send_answer(question.client, answer ? *answer : error_answer(answer.error()));
  }
}

}  // namespace kmsfs::cli
