// How threads of a transport are woken from the kernel, and why no other signal reaches them.
// Threads: any.
#pragma once

#include <pthread.h>
#include <signal.h>

namespace kmsfs {

// Interrupts a wait in the kernel of a thread that is to end; no other thread takes it.
inline int wake_signal() { return SIGRTMIN + 2; }
inline void install_wake_signal() {
  struct sigaction wake {};
  wake.sa_handler = [](int) {};  // without SA_RESTART, so that the call returns
  ::sigaction(wake_signal(), &wake, nullptr);
}

// Signals are for the thread that waits for them; what a thread of ours starts inherits this.
class SignalsBlocked {
 public:
  SignalsBlocked() {
    sigset_t all;
    ::sigfillset(&all);
    ::sigdelset(&all, wake_signal());
    ::pthread_sigmask(SIG_SETMASK, &all, &before_);
  }
  ~SignalsBlocked() { ::pthread_sigmask(SIG_SETMASK, &before_, nullptr); }
  SignalsBlocked(const SignalsBlocked&) = delete;
  SignalsBlocked& operator=(const SignalsBlocked&) = delete;

 private:
  sigset_t before_{};
};

}  // namespace kmsfs
