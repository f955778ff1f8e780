// A real kmsd in a process of its own, on a store in a directory of the test; it never outlives the test.
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <fstream>
#include <memory>
#include <nlohmann/json.hpp>
#include <sstream>
#include <thread>
#include <vector>

#include "kms/service.h"
#include "tests/kms/server/http_client.h"
#include "tests/support/crypto_environment.h"
#include "tests/support/eventually.h"
#include "tests/support/shell.h"
#include "tests/support/temporary_directory.h"

namespace kmsfs::testing {

using Arguments = std::vector<std::string>;
using nlohmann::json;

inline std::string content_of(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

class KmsdProcess {
 public:
  // In a session of its own, so that there is no terminal to ask on.
  KmsdProcess(const Arguments& arguments, const std::string& log, const Arguments& environment = {})
      : log_(log) {
    Arguments command = {"env"};
    command.insert(command.end(), environment.begin(), environment.end());
    command.emplace_back(KMSD_BINARY);
    command.emplace_back("--allow-unlocked-memory");
    command.insert(command.end(), arguments.begin(), arguments.end());
    std::vector<char*> pointers;
    for (std::string& argument : command) pointers.push_back(argument.data());
    pointers.push_back(nullptr);
    const UniqueFd output(::open(log.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
    child_ = ::fork();
    if (child_ == 0) {
      ::prctl(PR_SET_PDEATHSIG, SIGKILL);
      ::setsid();
      ::dup2(output.get(), STDERR_FILENO);
      ::execvp(pointers[0], pointers.data());
      ::_exit(127);
    }
  }
  KmsdProcess(const KmsdProcess&) = delete;
  KmsdProcess& operator=(const KmsdProcess&) = delete;
  ~KmsdProcess() { kill(SIGKILL); }

  pid_t process() const { return child_; }
  std::string log() const { return content_of(log_); }
  void signal(int number) const { ::kill(child_, number); }
  // How it ended: the exit status, or 128 + signal. -1: it did not end within a long while.
  int wait() {
    const bool ended = eventually([this] { return has_ended(); });
    return ended ? status_ : -1;
  }
  int kill(int number) {
    if (child_ > 0 && !has_ended()) ::kill(child_, number);
    const int status = wait();
    if (status == -1 && number != SIGKILL) return kill(SIGKILL);
    return status;
  }
  bool has_ended() {
    if (ended_ || child_ <= 0) return true;
    int status = 0;
    if (::waitpid(child_, &status, WNOHANG) != child_) return false;
    status_ = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    return ended_ = true;
  }

 private:
  const std::string log_;
  pid_t child_ = -1;
  bool ended_ = false;
  int status_ = -1;
};

class Kmsd : public ::testing::Test {
 protected:
  static constexpr const char* kPassphrase = "correct horse battery staple";

  std::string path(const std::string& name) const { return (top_.path() / name).string(); }
  std::string store() const { return path("store"); }

  void make_store(kms::SealKind seal = kms::SealKind::kKeyFile) {
    kms::Service::NewStore options;
    options.seal = {seal, 1024, 1, 1};
    options.region = "eu-test-1";
    const auto made = kms::Service::create_store(
        store(), options, [](PassphraseUse) { return Passphrase::copy_of(kPassphrase); });
    ASSERT_TRUE(made) << made.error().text;
  }
  // As start(), but what comes of it is for the caller to see.
  std::unique_ptr<KmsdProcess> run(const Arguments& more, const Arguments& environment = {}) {
    Arguments arguments = {"--store", store()};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return std::make_unique<KmsdProcess>(arguments, path("log"), environment);
  }
  // Waits until it is ready.
  void start(const Arguments& more = {}, const Arguments& environment = {}) {
    server_.reset();
    ::unlink(path("ready").c_str());
    Arguments arguments = {"--socket", path("socket"), "--ready-file", path("ready")};
    arguments.insert(arguments.end(), more.begin(), more.end());
    server_ = run(arguments, environment);
    ASSERT_TRUE(
        eventually([this] { return ::access(path("ready").c_str(), F_OK) == 0 || server_->has_ended(); }));
    ASSERT_FALSE(server_->has_ended()) << server_->log();
  }
  // Of the first listener of that scheme.
  std::uint16_t port(const std::string& scheme = "http") const {
    const std::string ready = content_of(path("ready"));
    const auto at = ready.find(scheme + "://");
    if (at == std::string::npos) return 0;
    const std::string line = ready.substr(at, ready.find('\n', at) - at);
    return static_cast<std::uint16_t>(std::stoi(line.substr(line.rfind(':') + 1)));
  }
  // Neither starts: ended with that code, and one line that has `words`.
  ::testing::AssertionResult fails(const Arguments& arguments, int code, const std::string& words) {
    const auto server = run(arguments);
    const int status = server->wait();
    const std::string log = server->log();
    const auto last = log.find_last_of('\n', log.size() - 2);
    const std::string line = last == std::string::npos ? log : log.substr(last + 1);
    if (status == code && line.starts_with("kmsd: ") && line.find(words) != std::string::npos) {
      return ::testing::AssertionSuccess();
    }
    return ::testing::AssertionFailure() << "status " << status << ": " << log;
  }

  HttpClient connect() const { return HttpClient::to_unix(path("socket")); }
  HttpReply admin_raw(const std::string& operation, const std::string& body) const {
    return HttpClient::to_unix(store() + "/admin.sock")
        .ask(post("/", body, "X-Amz-Target: KmsfsAdmin." + operation + "\r\n"));
  }
  json admin(const std::string& operation, const json& members) const {
    const auto reply = admin_raw(operation, members.dump());
    EXPECT_EQ(reply.status, 200) << operation << ": " << reply.body;
    return json::parse(reply.body, nullptr, false);
  }
  static std::string request(const std::string& operation, const json& members) {
    return post(
        "/", members.dump(),
        "Content-Type: application/x-amz-json-1.1\r\nX-Amz-Target: TrentService." + operation + "\r\n");
  }
  HttpReply ask(const std::string& operation, const json& members) const {
    return connect().ask(request(operation, members));
  }
  // An account and a user who may do everything, and who is whoever runs this test.
  void make_user() const {
    admin("CreateAccount", {{"AccountId", "111122223333"}});
    admin("CreateUser", {{"UserName", "alice"}});
    const json everything = {{"Version", "2012-10-17"},
                             {"Statement", {{{"Effect", "Allow"}, {"Action", "kms:*"}, {"Resource", "*"}}}}};
    admin("PutUserPolicy",
          {{"UserName", "alice"}, {"PolicyName", "all"}, {"PolicyDocument", everything.dump()}});
    admin("MapUid", {{"Uid", ::getuid()}, {"UserName", "alice"}});
  }
  std::string make_key() const {
    const auto reply = ask("CreateKey", json::object());
    EXPECT_EQ(reply.status, 200) << reply.body;
    return json::parse(reply.body)["KeyMetadata"]["KeyId"];
  }

  TemporaryDirectory top_;
  std::unique_ptr<KmsdProcess> server_;
};

}  // namespace kmsfs::testing
