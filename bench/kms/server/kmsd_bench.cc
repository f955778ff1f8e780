// What kmsd carries, over real sockets: `kmsd_bench KMSD [DIRECTORY]`.
//
// The store is in DIRECTORY (default: the current one), so that its disk counts; the store of 100,000 keys is
// made in /dev/shm, as making it on a disk would take an hour. "Per core" is what one second of the server's
// processor time carries; the clients of this program take processors, too. Ends within two minutes.
#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <functional>
#include <nlohmann/json.hpp>
#include <thread>
#include <vector>

#include "core/locked_memory.h"
#include "core/xaes.h"
#include "kms/service.h"
#include "kms/sigv4.h"
#include "tests/kms/server/http_client.h"

namespace {

using namespace kmsfs;  // NOLINT
using kmsfs::testing::HttpClient;
using kmsfs::testing::post;
using nlohmann::json;
using SteadyClock = std::chrono::steady_clock;

constexpr std::size_t kConnections = 8;
constexpr std::chrono::seconds kRound{4};
constexpr double kAimedRate = 10'000;  // of one core; of signed requests half
constexpr int kManyKeys = 100'000;
constexpr int kManyConnections = 10'000;

[[noreturn]] void give_up(const std::string& what) {
  std::fprintf(stderr, "kmsd_bench: %s\n", what.c_str());
  std::exit(1);
}

std::string content_of(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

double seconds_since(SteadyClock::time_point start) {
  return std::chrono::duration<double>(SteadyClock::now() - start).count();
}

class Kmsd {
 public:
  Kmsd(const std::string& program, const std::string& directory) : directory_(directory) {
    const auto start = SteadyClock::now();
    const std::string store = directory + "/store", socket = directory + "/socket",
                      ready = directory + "/ready";
    child_ = ::fork();
    if (child_ == 0) {
      ::prctl(PR_SET_PDEATHSIG, SIGKILL);
      ::execl(program.c_str(), program.c_str(), "--store", store.c_str(), "--socket", socket.c_str(),
              "--listen", "127.0.0.1:0", "--ready-file", ready.c_str(), nullptr);
      ::_exit(127);
    }
    while (::access(ready.c_str(), F_OK) != 0) {
      if (::waitpid(child_, nullptr, WNOHANG) != 0) give_up("kmsd did not start");
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    start_seconds_ = seconds_since(start);
    const std::string uris = content_of(ready);
    port_ = static_cast<std::uint16_t>(std::stoi(uris.substr(uris.rfind(':') + 1)));
  }
  Kmsd(const Kmsd&) = delete;
  Kmsd& operator=(const Kmsd&) = delete;
  ~Kmsd() {
    ::kill(child_, SIGTERM);
    ::waitpid(child_, nullptr, 0);
  }

  HttpClient connect() const { return HttpClient::to_unix(directory_ + "/socket"); }
  HttpClient connect_tcp() const { return HttpClient::to_loopback(port_); }
  std::uint16_t port() const { return port_; }
  double start_seconds() const { return start_seconds_; }
  double cpu_seconds() const {
    const std::string stat = content_of("/proc/" + std::to_string(child_) + "/stat");
    std::size_t at = stat.rfind(')') + 2;
    for (int skipped = 0; skipped < 11; ++skipped) at = stat.find(' ', at) + 1;
    char* rest = nullptr;
    const double user = std::strtod(stat.c_str() + at, &rest);
    return (user + std::strtod(rest, nullptr)) / static_cast<double>(::sysconf(_SC_CLK_TCK));
  }
  long resident_kib() const {
    const std::string status = content_of("/proc/" + std::to_string(child_) + "/status");
    return std::atol(status.c_str() + status.find("VmRSS:") + 6);
  }
  json admin(const std::string& operation, const json& members) const {
    return call(HttpClient::to_unix(directory_ + "/store/admin.sock"), "KmsfsAdmin." + operation, members);
  }
  json kms(const std::string& operation, const json& members) const {
    return call(connect(), "TrentService." + operation, members);
  }

 private:
  static json call(HttpClient client, const std::string& target, const json& members) {
    const auto reply = client.ask(post("/", members.dump(), "X-Amz-Target: " + target + "\r\n"));
    if (reply.status != 200) give_up(target + ": " + reply.body);
    return json::parse(reply.body, nullptr, false);
  }
  const std::string directory_;
  pid_t child_ = -1;
  std::uint16_t port_ = 0;
  double start_seconds_ = 0;
};

void make_store(const std::string& directory) {
  kms::Service::NewStore options;
  options.seal.kind = kms::SealKind::kKeyFile;
  if (auto made = kms::Service::create_store(directory + "/store", options, {}); !made)
    give_up(made.error().text);
}

struct Credentials {
  std::string id, secret;
};

Credentials make_user(const Kmsd& server) {
  server.admin("CreateAccount", {{"AccountId", "111122223333"}});
  server.admin("CreateUser", {{"UserName", "bench"}});
  const json everything = {{"Version", "2012-10-17"},
                           {"Statement", {{{"Effect", "Allow"}, {"Action", "kms:*"}, {"Resource", "*"}}}}};
  server.admin("PutUserPolicy",
               {{"UserName", "bench"}, {"PolicyName", "all"}, {"PolicyDocument", everything.dump()}});
  server.admin("MapUid", {{"Uid", ::getuid()}, {"UserName", "bench"}});
  const json key = server.admin("CreateAccessKey", {{"UserName", "bench"}})["AccessKey"];
  return {key["AccessKeyId"], key["SecretAccessKey"]};
}

std::string decrypt_request(const Kmsd& server) {
  const json key = server.kms("CreateKey", json::object())["KeyMetadata"];
  const json made = server.kms("GenerateDataKey", {{"KeyId", key["KeyId"]}, {"KeySpec", "AES_256"}});
  return json{{"CiphertextBlob", made["CiphertextBlob"]}, {"KeyId", key["KeyId"]}}.dump();
}

// Signed once and sent many times: that is allowed for five minutes.
std::string signed_request(const Kmsd& server, const Credentials& who, const std::string& body) {
  const std::string host = "127.0.0.1:" + std::to_string(server.port());
  std::string headers = "Host: " + host + "\r\nContent-Type: application/x-amz-json-1.1\r\n" +
                        "X-Amz-Target: TrentService.Decrypt\r\n";
  const std::vector<kms::HttpHeader> to_sign = {{"Host", host},
                                                {"Content-Type", "application/x-amz-json-1.1"},
                                                {"X-Amz-Target", "TrentService.Decrypt"}};
  auto added = kms::sign({"POST", "/", to_sign}, as_bytes(body), {who.id, as_bytes(who.secret), {}},
                         "local-1", "kms", SystemClock().wall_time());
  if (!added) give_up(added.error().text);
  for (const auto& header : *added) headers += header.name + ": " + header.value + "\r\n";
  return "POST / HTTP/1.1\r\n" + headers + "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" +
         body;
}

using Connect = std::function<HttpClient()>;

// As many as go: each connection asks again when it has its answer.
void measure_throughput(const char* name, const Kmsd& server, const Connect& connect,
                        const std::string& request, double& per_second) {
  std::atomic<long> done{0};
  const auto start = SteadyClock::now();
  const double cpu = server.cpu_seconds();
  std::vector<std::thread> clients;
  for (std::size_t i = 0; i < kConnections; ++i) {
    clients.emplace_back([&] {
      HttpClient client = connect();
      while (SteadyClock::now() < start + kRound) {
        if (client.ask(request).status != 200) give_up("a request failed");
        ++done;
      }
    });
  }
  for (auto& client : clients) client.join();
  per_second = static_cast<double>(done) / seconds_since(start);
  const double used = server.cpu_seconds() - cpu;
  std::printf("%-34s %10.0f /s   %10.0f /s per core   %6.1f us of the server's processors each\n", name,
              per_second, static_cast<double>(done) / used, used * 1e6 / static_cast<double>(done));
}

// At a given rate: the time counts from when a request was due, not from when it could be sent.
void measure_latency(const Connect& connect, const std::string& request, double per_second) {
  std::vector<std::vector<double>> all(kConnections);
  std::vector<std::thread> clients;
  const auto start = SteadyClock::now() + std::chrono::milliseconds(50);
  const auto step = std::chrono::duration_cast<SteadyClock::duration>(
      std::chrono::duration<double>(static_cast<double>(kConnections) / per_second));
  for (std::size_t i = 0; i < kConnections; ++i) {
    clients.emplace_back([&, i] {
      HttpClient client = connect();
      for (auto due = start + step * static_cast<long>(i) / static_cast<long>(kConnections);
           due < start + kRound; due += step) {
        std::this_thread::sleep_until(due);
        if (client.ask(request).status != 200) give_up("a request failed");
        all[i].push_back(seconds_since(due) * 1e3);
      }
    });
  }
  for (auto& client : clients) client.join();
  std::vector<double> times;
  for (const auto& some : all) times.insert(times.end(), some.begin(), some.end());
  std::sort(times.begin(), times.end());
  const auto at = [&times](double part) {
    return times[std::min(times.size() - 1,
                          static_cast<std::size_t>(part * static_cast<double>(times.size())))];
  };
  std::printf(
      "  latency at %6.0f /s                p50 %.2f ms   p90 %.2f ms   p99 %.2f ms   p99.9 %.2f ms\n",
      per_second, at(0.5), at(0.9), at(0.99), at(0.999));
}

void measure_idle_connections(const Kmsd& server) {
  const long before = server.resident_kib();
  std::vector<HttpClient> idle;
  for (int i = 0; i < kManyConnections; ++i) {
    idle.push_back(server.connect());
    if (!idle.back().connected())
      give_up("only " + std::to_string(i) + " connections: raise the descriptor limit");
  }
  const std::string health = kmsfs::testing::get("/health");
  for (HttpClient& client : idle) {  // each has been used, and is idle again
    if (client.ask(health).status != 200) give_up("an idle connection was lost");
  }
  const long after = server.resident_kib();
  std::printf("%-34s %10ld KiB   %10.2f KiB each\n", "10,000 idle connections", after - before,
              static_cast<double>(after - before) / kManyConnections);
}

void measure_many_keys(const std::string& program, const std::string& directory) {
  make_store(directory);
  {
    const Kmsd server(program, directory);
    make_user(server);
    std::atomic<int> left{kManyKeys};
    const std::string request = post("/", "{}", "X-Amz-Target: TrentService.CreateKey\r\n");
    std::vector<std::thread> clients;
    for (int i = 0; i < 4; ++i) {
      clients.emplace_back([&] {
        HttpClient client = server.connect();
        while (left-- > 0) {
          if (client.ask(request).status != 200) give_up("a key could not be made");
        }
      });
    }
    for (auto& client : clients) client.join();
  }
  const Kmsd server(program, directory);
  const auto start = SteadyClock::now();
  server.kms("ListKeys", {{"Limit", 1000}});
  std::printf("%-34s %10.3f s to start   %7.3f s for the first ListKeys   %ld MiB\n", "100,000 keys",
              server.start_seconds(), seconds_since(start), server.resident_kib() / 1024);
}

// Gone with the object.
class Scratch {
 public:
  explicit Scratch(const std::string& under) : path_(under + "/kmsd_bench." + std::to_string(::getpid())) {
    std::filesystem::create_directory(path_);
  }
  ~Scratch() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  const std::string& path() const { return path_; }

 private:
  const std::string path_;
};

}  // namespace

int main(int argument_count, char** arguments) {
  if (argument_count < 2) give_up("kmsd_bench KMSD [DIRECTORY]");
  LockedMemory::Options memory;
  memory.allow_unlocked = true;
  if (!LockedMemory::start(memory) || !start_crypto()) give_up("no locked memory");
  rlimit files{};
  ::getrlimit(RLIMIT_NOFILE, &files);
  files.rlim_cur = files.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &files);

  const std::string program = std::filesystem::absolute(arguments[1]);
  {
    const Scratch scratch(argument_count > 2 ? std::filesystem::absolute(arguments[2]).string()
                                             : std::filesystem::current_path().string());
    make_store(scratch.path());
    const Kmsd server(program, scratch.path());
    const Credentials who = make_user(server);
    const std::string body = decrypt_request(server);
    const std::string plain = post("/", body, "X-Amz-Target: TrentService.Decrypt\r\n");
    const std::string with_signature = signed_request(server, who, body);
    const Connect to_unix = [&server] { return server.connect(); };
    const Connect to_tcp = [&server] { return server.connect_tcp(); };
    double rate = 0;
    measure_throughput("Decrypt, unix socket", server, to_unix, plain, rate);
    measure_latency(to_unix, plain, kAimedRate / 2);
    measure_latency(to_unix, plain, rate / 2);
    measure_throughput("Decrypt, signed, HTTP", server, to_tcp, with_signature, rate);
    measure_latency(to_tcp, with_signature, kAimedRate / 4);
    measure_idle_connections(server);
  }
  const Scratch scratch("/dev/shm");
  measure_many_keys(program, scratch.path());
  return 0;
}
