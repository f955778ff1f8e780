// Tells systemd how the server is: datagrams to $NOTIFY_SOCKET, as sd_notify(3) describes them.
//
// Always: without that variable, or when nobody listens there, nothing happens; the server never waits for
// it. Threads: any.
#pragma once

#include <string>

namespace kmsfs::kms {

class Notify {
 public:
  Notify();  // reads $NOTIFY_SOCKET, and removes it from the environment

  void ready(const std::string& status) const;
  void reloading() const;  // ready() follows
  void stopping() const;

 private:
  void send(const std::string& message) const;
  std::string address_;  // empty: nobody asked
};

}  // namespace kmsfs::kms
