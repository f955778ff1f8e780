// A kmsd of the build, serving one store on a unix socket as long as the object lives.
//
// It dies with the test, whatever becomes of that.
#pragma once

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <string>
#include <thread>
#include <vector>

namespace kmsfs::testing {

class KmsdProcess {
 public:
  // `scratch`: an existing directory for its ready file, which lists where it listens.
  KmsdProcess(const std::string& store, const std::string& socket, const std::string& scratch,
              const std::vector<std::string>& more = {}) {
    const std::string ready = scratch + "/kmsd.ready";
    std::filesystem::remove(ready);
    std::vector<std::string> words = {KMSD_BINARY, "--store",      store, "--socket",
                                      socket,      "--ready-file", ready};
    words.insert(words.end(), more.begin(), more.end());
    std::vector<char*> arguments;
    for (std::string& word : words) arguments.push_back(word.data());
    arguments.push_back(nullptr);
    process_ = ::fork();
    if (process_ == 0) {
      ::prctl(PR_SET_PDEATHSIG, SIGKILL);
      ::execv(arguments[0], arguments.data());
      ::_exit(127);
    }
    ready_ = wait_until([&] { return std::filesystem::exists(ready) || ended(); }) && process_ > 0;
  }
  ~KmsdProcess() { stop(); }
  KmsdProcess(const KmsdProcess&) = delete;
  KmsdProcess& operator=(const KmsdProcess&) = delete;

  bool ready() const { return ready_; }

  void stop() {
    if (process_ <= 0) return;
    ::kill(process_, SIGTERM);
    if (wait_until([&] { return ended(); })) return;
    ADD_FAILURE() << "kmsd does not stop";
    ::kill(process_, SIGKILL);
    ::waitpid(process_, nullptr, 0);
    process_ = -1;
  }

 private:
  bool ended() {
    if (process_ > 0 && ::waitpid(process_, nullptr, WNOHANG) == process_) process_ = -1;
    return process_ <= 0;
  }
  template <typename Condition>
  static bool wait_until(const Condition& condition) {
    for (int i = 0; i < 3000; ++i) {  // 30 s
      if (condition()) return true;
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    return false;
  }

  pid_t process_ = -1;
  bool ready_ = false;
};

}  // namespace kmsfs::testing
