// What a KMS far away costs: trees unpacked and cold files read through a real mount, with the KMS next door
// and with it 20 ms away (a kmsd behind a proxy that delays), in turns.
//
//   latency_bench [--files N] [--rounds N] [--delay MILLISECONDS] [--directory DIR]
//
// Prints a table for docs/PERFORMANCE.md: seconds or files a second, and the ratio far to near.
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "bench/latency/delaying_proxy.h"
#include "tests/support/shell.h"

namespace kmsfs {
namespace {

using Clock = std::chrono::steady_clock;
namespace files = std::filesystem;

struct Choices {
  std::size_t files = 10000;
  int rounds = 3;
  int delay_ms = 20;
  std::string directory = "/dev/shm";
};

void fail(const std::string& what) {
  std::fprintf(stderr, "latency_bench: %s\n", what.c_str());
  std::exit(1);
}

void run(const std::string& script) {
  const auto result = testing::run_script(script);
  if (result.status != 0)
    fail(script + "\nended with " + std::to_string(result.status) + ":\n" + result.output);
}

double seconds_of(const std::function<void()>& work) {
  const auto began = Clock::now();
  work();
  return std::chrono::duration<double>(Clock::now() - began).count();
}

// Everything in one directory; gone, mounts and all, when the object is.
class Place {
 public:
  explicit Place(const Choices& choices) : choices_(choices) {
    std::string pattern = choices.directory + "/kmsfs-latency-XXXXXX";
    if (::mkdtemp(pattern.data()) == nullptr) fail("no directory can be made in " + choices.directory);
    top_ = pattern;
    ::setenv("HOME", top_.c_str(), 1);
    ::setenv("XDG_RUNTIME_DIR", (top_ + "/run").c_str(), 1);
    for (const char* variable : {"XDG_DATA_HOME", "XDG_STATE_HOME"}) ::unsetenv(variable);
    run("mkdir -m 700 " + top_ + "/run " + top_ + "/mnt " + top_ + "/tree; cd " + top_ +
        "/tree; for d in $(seq 100); do mkdir $d; done");
    make_tree();
    run(kmsfs("init --kms local:" + top_ + "/store --seal keyfile " + top_ + "/first"));
    start_kmsd();
    proxy_ = std::make_unique<DelayingProxy>(top_ + "/far.sock", top_ + "/kmsd.sock");
  }
  ~Place() {
    if (mounted_) (void)testing::run_script("umount -l " + top_ + "/mnt");
    proxy_.reset();
    if (kmsd_ > 0) {
      ::kill(kmsd_, SIGTERM);
      ::waitpid(kmsd_, nullptr, 0);
    }
    (void)testing::run_script("chattr -i " + top_ + "/mnt");  // guarded while nothing was mounted there
    std::error_code ignored;
    files::remove_all(top_, ignored);
  }
  Place(const Place&) = delete;
  Place& operator=(const Place&) = delete;

  void set_delay(int milliseconds) { proxy_->set_delay(std::chrono::milliseconds(milliseconds)); }
  void make_volume(const std::string& mode) {
    run("rm -rf " + top_ + "/backing");
    run(kmsfs("init --kms unix:" + top_ + "/far.sock --key alias/aws/kmsfs --mode " + mode + " " + top_ +
              "/backing"));
  }
  void mount() {
    run(kmsfs("mount " + top_ + "/backing " + top_ + "/mnt"));
    mounted_ = true;
  }
  void unmount() {
    run(kmsfs("umount " + top_ + "/mnt"));
    mounted_ = false;
  }
  void untar() const { run("tar -xf " + top_ + "/tree.tar -C " + top_ + "/mnt"); }
  std::size_t connections() const { return proxy_->connections(); }
  std::string mountpoint() const { return top_ + "/mnt"; }

 private:
  std::string kmsfs(const std::string& arguments) const {
    return std::string(KMSFS_BINARY) + " " + arguments;
  }

  void make_tree() const {
    for (std::size_t i = 0; i < choices_.files; ++i) {
      const std::string path = top_ + "/tree/" + std::to_string(i % 100 + 1) + "/file-" + std::to_string(i);
      const UniqueFd fd(::open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0644));
      const std::string content(1000 + i % 6000, 'x');
      if (!fd || ::write(fd.get(), content.data(), content.size()) < 0) fail("cannot write " + path);
    }
    run("cd " + top_ + "/tree && tar -cf ../tree.tar . && rm -rf ../tree");
  }
  void start_kmsd() {
    const std::string store = top_ + "/store", socket = top_ + "/kmsd.sock", ready = top_ + "/ready";
    kmsd_ = ::fork();
    if (kmsd_ == 0) {
      ::prctl(PR_SET_PDEATHSIG, SIGKILL);
      ::execl(KMSD_BINARY, KMSD_BINARY, "--store", store.c_str(), "--socket", socket.c_str(), "--ready-file",
              ready.c_str(), nullptr);
      ::_exit(127);
    }
    for (int i = 0; i < 3000 && !files::exists(ready); ++i) ::usleep(10000);
    if (!files::exists(ready)) fail("kmsd is not ready after 30 seconds");
  }

  const Choices choices_;
  std::string top_;
  pid_t kmsd_ = -1;
  bool mounted_ = false;
  std::unique_ptr<DelayingProxy> proxy_;
};

enum class Order { kListing, kName };

std::vector<std::string> files_below(const std::string& top, Order order) {
  std::vector<std::string> found;
  for (const auto& entry : files::recursive_directory_iterator(top)) {
    if (entry.is_regular_file()) found.push_back(entry.path());
  }
  if (order == Order::kName) std::sort(found.begin(), found.end());
  return found;
}

// Each reader takes the next file.
void read_all(const std::vector<std::string>& paths, unsigned readers) {
  std::atomic<std::size_t> next{0}, read{0};
  std::vector<std::thread> threads;
  for (unsigned i = 0; i < readers; ++i) {
    threads.emplace_back([&] {
      std::array<char, 8192> buffer{};
      for (std::size_t at = 0; (at = next++) < paths.size();) {
        const UniqueFd fd(::open(paths[at].c_str(), O_RDONLY | O_CLOEXEC));
        if (fd && ::read(fd.get(), buffer.data(), buffer.size()) > 0) ++read;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  if (read != paths.size()) fail(std::to_string(paths.size() - read) + " files could not be read");
}

// Measured in turns, so that what disturbs the machine disturbs both.
struct Row {
  std::vector<double> near, far;
  static double median(std::vector<double> values) {
    std::sort(values.begin(), values.end());
    return values[values.size() / 2];
  }
};

void measure(Place& place, const std::string& mode, const Choices& choices,
             std::map<std::string, Row>& rows) {
  for (int round = 0; round < choices.rounds; ++round) {
    for (const bool far : {false, true}) {
      const int delay = far ? choices.delay_ms : 0;
      const auto add = [&](const std::string& row, double seconds) {
        Row& to = rows[mode + ": " + row];
        (far ? to.far : to.near).push_back(seconds);
      };
      place.set_delay(0);
      place.make_volume(mode);
      place.mount();
      place.set_delay(delay);
      add("untar", seconds_of([&] { place.untar(); }));
      const auto cold = [&](const std::string& row, Order order, unsigned readers) {
        place.set_delay(0);
        place.unmount();
        place.mount();
        const auto paths = files_below(place.mountpoint(), order);
        place.set_delay(delay);
        add(row, seconds_of([&] { read_all(paths, readers); }));
      };
      cold("cold files, 16 readers, in listing order", Order::kListing, 16);
      cold("cold files, 16 readers, by name", Order::kName, 16);
      cold("cold files, one reader, in listing order", Order::kListing, 1);
      place.set_delay(0);
      place.unmount();
    }
  }
}

void print(const Choices& choices, const std::map<std::string, Row>& rows, std::size_t connections) {
  std::printf("| %zu files | KMS next door | %d ms away | far to near |\n|---|---|---|---|\n", choices.files,
              choices.delay_ms);
  const auto count = static_cast<double>(choices.files);
  for (const auto& [name, row] : rows) {
    const double near = Row::median(row.near), far = Row::median(row.far);
    std::printf("| %s | %.2f s (%.0f files/s) | %.2f s (%.0f files/s) | %.2f |\n", name.c_str(), near,
                count / near, far, count / far, far / near);
  }
  std::printf("\nConnections to the KMS at once, at most: %zu\n", connections);
}

Choices choices_of(int count, char** words) {
  Choices choices;
  for (int i = 1; i + 1 < count; i += 2) {
    const std::string name = words[i], value = words[i + 1];
    if (name == "--files") choices.files = std::stoul(value);
    if (name == "--rounds") choices.rounds = std::stoi(value);
    if (name == "--delay") choices.delay_ms = std::stoi(value);
    if (name == "--directory") choices.directory = value;
  }
  return choices;
}

}  // namespace
}  // namespace kmsfs

int main(int count, char** words) {
  using namespace kmsfs;
  const Choices choices = choices_of(count, words);
  Place place(choices);
  std::map<std::string, Row> rows;
  for (const char* mode : {"per-file", "branch"}) measure(place, mode, choices, rows);
  print(choices, rows, place.connections());
}
