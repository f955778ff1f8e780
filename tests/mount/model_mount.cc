#include "tests/mount/model_mount.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <thread>

namespace kmsfs::testing {
namespace {

constexpr int kAnswerLimitMs = 30000;  // to mount, and to unmount with all that is still to be written

bool ends_in_time(pid_t process) {
  for (int waited_ms = 0; waited_ms < kAnswerLimitMs; waited_ms += 10) {
    if (::waitpid(process, nullptr, WNOHANG) != 0) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  return false;
}

}  // namespace

ModelMount::ModelMount(const ModelSetup& setup) {
  std::string pattern = "/tmp/kmsfs-model-XXXXXX";
  if (::mkdtemp(pattern.data()) == nullptr) {
    failure_ = "no temporary directory";
    return;
  }
  native_ = pattern;
  int in[2], out[2];
  failure_ = "no pipe";
  if (::pipe2(in, O_CLOEXEC) != 0) return;
  to_server_ = UniqueFd(in[1]);
  const UniqueFd server_in(in[0]);
  if (::pipe2(out, O_CLOEXEC) != 0) return;
  failure_.clear();
  from_server_ = UniqueFd(out[0]);
  const UniqueFd server_out(out[1]);
  posix_spawn_file_actions_t actions;
  ::posix_spawn_file_actions_init(&actions);
  ::posix_spawn_file_actions_adddup2(&actions, server_in.get(), STDIN_FILENO);
  ::posix_spawn_file_actions_adddup2(&actions, server_out.get(), STDOUT_FILENO);
  std::string program = KMSFS_MODEL_SERVER, aead = setup.aead, writeback = setup.writeback,
              transport = "transport=" + setup.transport;
  char* arguments[] = {program.data(), aead.data(), writeback.data(), transport.data(), nullptr};
  const int started = ::posix_spawn(&server_, program.c_str(), &actions, nullptr, arguments, environ);
  ::posix_spawn_file_actions_destroy(&actions);
  if (started != 0) {
    server_ = -1;
    failure_ = "the server does not start";
    return;
  }
  read_answer();
}

ModelMount::~ModelMount() {
  to_server_.reset();
  if (server_ > 0 && !ends_in_time(server_)) {
    ::kill(server_, SIGKILL);
    ::waitpid(server_, nullptr, 0);
    if (!top_.empty()) ::umount2(mounted().c_str(), MNT_DETACH | MNT_FORCE);
  }
  std::error_code ignored;
  if (!top_.empty()) std::filesystem::remove_all(top_, ignored);
  if (!native_.empty()) std::filesystem::remove_all(native_, ignored);
}

bool ModelMount::read_answer() {
  std::string line;
  const auto end = std::chrono::steady_clock::now() + std::chrono::milliseconds(kAnswerLimitMs);
  for (char c = 0; std::chrono::steady_clock::now() < end;) {
    pollfd waiting{from_server_.get(), POLLIN, 0};
    if (::poll(&waiting, 1, 100) == 0) continue;
    if (::read(from_server_.get(), &c, 1) != 1) break;
    if (c == '\n') break;
    line += c;
  }
  const std::string mounted_word = "mounted ", unsupported_word = "unsupported ";
  if (line.starts_with(unsupported_word)) unsupported_ = line.substr(unsupported_word.size());
  if (!line.starts_with(mounted_word)) {
    failure_ = line.empty() ? "the server does not answer" : "the server says: " + line;
    return false;
  }
  top_ = line.substr(mounted_word.size());
  return true;
}

bool ModelMount::remount() {
  if (::write(to_server_.get(), "\n", 1) == 1) return read_answer();
  failure_ = "the server is gone";
  return false;
}

// From the kernel's table: asking the mount itself could already wait for ever.
unsigned ModelMount::connection() const {
  std::ifstream table("/proc/self/mountinfo");
  for (std::string line; std::getline(table, line);) {
    std::istringstream words(line);
    std::string id, parent, device, root, mountpoint;
    words >> id >> parent >> device >> root >> mountpoint;
    if (mountpoint == mounted()) {
      return static_cast<unsigned>(std::strtoul(device.substr(device.find(':') + 1).c_str(), nullptr, 10));
    }
  }
  return 0;
}

}  // namespace kmsfs::testing
