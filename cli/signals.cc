#include "cli/signals.h"

#include <pthread.h>

#include <csignal>

namespace kmsfs::cli {

namespace {

sigset_t waited_for() {
  sigset_t set;
  sigemptyset(&set);
  for (int signal : {SIGTERM, SIGINT, SIGHUP}) sigaddset(&set, signal);
  return set;
}

}  // namespace

void block_signals() {
  const sigset_t set = waited_for();
  ::pthread_sigmask(SIG_BLOCK, &set, nullptr);
  ::signal(SIGPIPE, SIG_IGN);
}

SignalThread::SignalThread(std::function<void(int)> action)
    : action_(std::move(action)), thread_([this] {
        const sigset_t set = waited_for();
        for (int signal = 0; ::sigwait(&set, &signal) == 0 && !done_;) action_(signal);
      }) {}

SignalThread::~SignalThread() {
  done_ = true;
  ::pthread_kill(thread_.native_handle(), SIGHUP);  // wakes it: the signal is blocked and waited for
  thread_.join();
}

}  // namespace kmsfs::cli
