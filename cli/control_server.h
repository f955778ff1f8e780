// The control socket of a mount: answers `kmsfs status`, `kmsfs info` and `kmsfs revoke`.
//
// A client sends one JSON object in one line, gets one JSON object, and is hung up on. Only the uid that
// mounted and root are heard (SO_PEERCRED). Status is answered by a thread of its own from figures alone, so
// that it comes even when every worker hangs; questions that touch a file go to a second thread.
#pragma once

#include <atomic>
#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>

#include "core/log.h"
#include "core/result.h"
#include "core/unique_fd.h"

namespace kmsfs::cli {

class ControlServer {
 public:
  struct Answers {
    std::function<nlohmann::json()> status;                                  // must not wait for anything
    std::function<nlohmann::json()> revoke;                                  // the same
    std::function<Result<nlohmann::json>(std::uint64_t inode)> information;  // may take its time
  };

  // Takes the place of what a daemon that died may have left at `path`.
  static Result<std::unique_ptr<ControlServer>> start(const std::string& path, Answers answers,
                                                      Logger logger);
  ~ControlServer();  // waits for an answer under way; removes the socket

 private:
  struct Question {
    UniqueFd client;
    std::uint64_t inode = 0;
  };

  ControlServer(std::string path, UniqueFd listener, UniqueFd stop, Answers answers, Logger logger);
  void serve();
  void hear(UniqueFd client);
  void answer_questions();

  const std::string path_;
  const UniqueFd listener_;
  const UniqueFd stop_;  // an eventfd
  const Answers answers_;
  const Logger logger_;

  std::mutex mutex_;  // guards the next two
  std::deque<Question> questions_;
  bool done_ = false;
  std::condition_variable changed_;

  std::thread server_;
  std::thread answerer_;
};

}  // namespace kmsfs::cli
