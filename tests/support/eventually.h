// Waiting for what another thread or process is about to do.
#pragma once

#include <chrono>
#include <thread>

namespace kmsfs::testing {

// Tries until it holds; false if it does not within the patience, which is a limit and no expectation.
template <typename Condition>
bool eventually(const Condition& holds, std::chrono::milliseconds patience = std::chrono::seconds(30)) {
  const auto end = std::chrono::steady_clock::now() + patience;
  while (!holds()) {
    if (std::chrono::steady_clock::now() > end) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  return true;
}

}  // namespace kmsfs::testing
