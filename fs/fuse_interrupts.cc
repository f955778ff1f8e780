#include "fs/fuse_interrupts.h"

#include <signal.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <system_error>
#include <vector>

namespace kmsfs {
namespace {

constexpr std::uint64_t bit(int signal) { return std::uint64_t{1} << (signal - 1); }

// What does not end a program that does nothing about it.
constexpr std::uint64_t kHarmless = bit(SIGCHLD) | bit(SIGCONT) | bit(SIGURG) | bit(SIGWINCH) | bit(SIGSTOP) |
                                    bit(SIGTSTP) | bit(SIGTTIN) | bit(SIGTTOU);
constexpr std::uint64_t kRequestsToEnd = bit(SIGINT) | bit(SIGTERM) | bit(SIGHUP) | bit(SIGQUIT);

std::uint64_t mask_of(const std::string& status, const std::string& name) {
  const auto at = status.find("\n" + name + ":");
  if (at == std::string::npos) return 0;
  return std::strtoull(status.c_str() + at + name.size() + 2, nullptr, 16);
}

// Empty: of another PID namespace, gone, or hidden from us.
std::string status_of(pid_t thread) {
  if (thread == 0) return {};
  std::ifstream in("/proc/" + std::to_string(thread) + "/status");
  return {std::istreambuf_iterator<char>(in), {}};
}

}  // namespace

bool wants_to_end(const std::string& status) {
  const std::uint64_t pending = mask_of(status, "SigPnd") | mask_of(status, "ShdPnd");
  if ((pending & bit(SIGKILL)) != 0) return true;
  const std::uint64_t heard = pending & ~mask_of(status, "SigBlk") & ~mask_of(status, "SigIgn");
  const std::uint64_t deadly = heard & ~mask_of(status, "SigCgt") & ~kHarmless;
  return (deadly | (heard & kRequestsToEnd)) != 0;
}

bool wants_to_end(pid_t thread) {
  const std::string status = status_of(thread);
  return status.empty() || wants_to_end(status);
}

bool signal_came(const std::string& status) {
  const std::uint64_t pending = mask_of(status, "SigPnd") | mask_of(status, "ShdPnd");
  return (pending & (bit(SIGKILL) | ~mask_of(status, "SigBlk"))) != 0;
}

bool signal_came(pid_t thread) {
  const std::string status = status_of(thread);
  return status.empty() || signal_came(status);
}

FuseInterrupts::~FuseInterrupts() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  if (looker_.joinable()) looker_.join();
}

std::stop_token FuseInterrupts::of(std::uint64_t request, pid_t thread) {
  std::lock_guard lock(mutex_);
  const auto [at, made] = waits_.try_emplace(request);
  Wait& wait = at->second;
  if (!made) return wait.source.get_token();
  wait.thread = thread;
  if (over_) wait.source.request_stop();
  if (std::find(early_.begin(), early_.end(), request) != early_.end()) {
    // It may be about to die, and may as well not: the thread that looks again finds out.
    wait.signalled = true;
    ++signalled_;
    changed_.notify_all();
  }
  return wait.source.get_token();
}

void FuseInterrupts::end(std::uint64_t request) {
  std::lock_guard lock(mutex_);
  const auto at = waits_.find(request);
  if (at == waits_.end()) return;
  signalled_ -= at->second.signalled ? 1 : 0;
  waits_.erase(at);
}

bool FuseInterrupts::signalled(std::uint64_t request) {
  std::lock_guard lock(mutex_);
  const auto at = waits_.find(request);
  return over_ || (at != waits_.end() && at->second.signalled);
}

void FuseInterrupts::end_all() {
  std::vector<std::stop_source> waiting;
  {
    std::lock_guard lock(mutex_);
    over_ = true;
    for (const auto& [request, wait] : waits_) waiting.push_back(wait.source);
  }
  for (std::stop_source& source : waiting) source.request_stop();
}

void FuseInterrupts::interrupt(std::uint64_t request) {
  std::lock_guard lock(mutex_);
  try {
    if (!looker_.joinable() && !stopping_) looker_ = std::thread([this] { look_again(); });
  } catch (const std::system_error&) {
    // The next one may find memory for a thread; until then waits end at their deadlines.
  }
  const auto at = waits_.find(request);
  if (at == waits_.end()) {
    early_[next_early_++ % early_.size()] = request;
    return;
  }
  signalled_ += at->second.signalled ? 0 : 1;
  at->second.signalled = true;
  changed_.notify_all();
}

void FuseInterrupts::look_again() {
  std::unique_lock lock(mutex_);
  for (;;) {
    changed_.wait(lock, [this] { return stopping_ || signalled_ != 0; });
    if (stopping_) return;
    std::vector<std::pair<pid_t, std::stop_source>> signalled;
    for (const auto& [request, wait] : waits_) {
      if (wait.signalled) signalled.emplace_back(wait.thread, wait.source);
    }
    lock.unlock();
    for (auto& [thread, source] : signalled) {
      if (!source.stop_requested() && wants_to_end(thread)) source.request_stop();
    }
    lock.lock();
    changed_.wait_for(lock, kLookAgain, [this] { return stopping_; });
  }
}

}  // namespace kmsfs
