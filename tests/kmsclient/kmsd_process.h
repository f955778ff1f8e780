// A real kmsd on a store, started and stopped as its host would.
//
// Always: it ends with its object, and with its test's process however that ends. Every wait has a limit.
#pragma once

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

namespace kmsfs::test {

class KmsdProcess {
 public:
  KmsdProcess(const std::string& store, const std::string& socket, const std::vector<std::string>& options)
      : ready_file_(socket + ".ready") {
    std::error_code ignored;
    std::filesystem::remove(ready_file_, ignored);
    std::vector<std::string> words = {KMSFS_TEST_KMSD, "--store",      store,      "--socket",
                                      socket,          "--ready-file", ready_file_};
    words.insert(words.end(), options.begin(), options.end());
    std::vector<char*> arguments;
    for (std::string& word : words) arguments.push_back(word.data());
    arguments.push_back(nullptr);
    pid_ = ::fork();
    if (pid_ == 0) {
      ::prctl(PR_SET_PDEATHSIG, SIGKILL);
      ::execv(arguments[0], arguments.data());
      ::_exit(127);
    }
    for (int i = 0; i < 3000 && !is_ready(); ++i) {
      if (::waitpid(pid_, nullptr, WNOHANG) == pid_) {
        pid_ = -1;
        ADD_FAILURE() << "kmsd has ended";
        return;
      }
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    EXPECT_TRUE(is_ready()) << "kmsd is not ready after 30 seconds";
  }
  KmsdProcess(const KmsdProcess&) = delete;
  KmsdProcess& operator=(const KmsdProcess&) = delete;
  ~KmsdProcess() { end(SIGKILL); }

  // http(s)://127.0.0.1:PORT
  std::string url() const {
    std::ifstream in(ready_file_);
    for (std::string line; std::getline(in, line);) {
      if (line.starts_with("http")) return line.ends_with('/') ? line.substr(0, line.size() - 1) : line;
    }
    return {};
  }
  void end(int signal) {
    if (pid_ <= 0) return;
    ::kill(pid_, signal);
    for (int i = 0; i < 3000; ++i) {
      if (::waitpid(pid_, nullptr, WNOHANG) == pid_) {
        pid_ = -1;
        return;
      }
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    ADD_FAILURE() << "kmsd does not end within 30 seconds";
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
    pid_ = -1;
  }

 private:
  bool is_ready() const {
    std::error_code ignored;
    return std::filesystem::file_size(ready_file_, ignored) > 0 && !ignored;
  }
  const std::string ready_file_;
  pid_t pid_ = -1;
};

}  // namespace kmsfs::test
