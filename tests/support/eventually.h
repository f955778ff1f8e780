// Waiting for what another thread or process is about to do.
#pragma once

#include <chrono>
#include <thread>

namespace kmsfs::testing {

// Tries until it holds; false if it does not within the patience, which is a limit and no expectation.
// Without a pause it only lets others run.
template <typename Condition>
bool eventually(const Condition& holds, std::chrono::milliseconds patience = std::chrono::seconds(30),
                std::chrono::milliseconds pause = std::chrono::milliseconds(5)) {
  const auto end = std::chrono::steady_clock::now() + patience;
  while (!holds()) {
    if (std::chrono::steady_clock::now() > end) return false;
    pause.count() == 0 ? std::this_thread::yield() : std::this_thread::sleep_for(pause);
  }
  return true;
}

}  // namespace kmsfs::testing
