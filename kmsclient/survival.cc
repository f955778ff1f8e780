#include "kmsclient/survival.h"

#include <algorithm>
#include <thread>

#include "core/random.h"

namespace kmsfs {

Pause sleeping_pause() {
  return [](Milliseconds pause) { std::this_thread::sleep_for(pause); };
}

Milliseconds jittered_pause(const SurvivalLimits& limits, int retry) {
  const auto ceiling =
      std::min(limits.longest_pause, limits.first_pause * (1 << std::clamp(retry - 1, 0, 16)));
  std::array<std::byte, 4> random{};
  random_bytes(random);
  return Milliseconds(load_be32(random.data()) % static_cast<std::uint64_t>(ceiling.count() + 1));
}

bool RetryBudget::take() {
  return tokens_.with([](int& tokens) {
    if (tokens < kCost) return false;
    tokens -= kCost;
    return true;
  });
}

void RetryBudget::give_back() {
  tokens_.with([&](int& tokens) { tokens = std::min(most_, tokens + 1); });
}

bool CircuitBreaker::admit() {
  return state_.with([&](State& state) {
    if (!state.open_until) return true;
    if (state.probing || clock_.boot_time() < *state.open_until) return false;
    state.probing = true;
    return true;
  });
}

void CircuitBreaker::succeeded() {
  state_.with([](State& state) { state = {}; });
}

void CircuitBreaker::failed() {
  state_.with([&](State& state) {
    state.probing = false;
    ++state.failures;
    if (state.failures >= most_failures_) state.open_until = clock_.boot_time() + pause_;
  });
}

void CircuitBreaker::abandoned() {
  state_.with([](State& state) { state.probing = false; });
}

bool CircuitBreaker::is_open() const {
  return state_.with([](const State& state) { return state.open_until.has_value(); });
}

std::optional<Gate::Place> Gate::enter(Milliseconds patience) {
  std::unique_lock lock(mutex_);
  if (!freed_.wait_for(lock, patience, [&] { return places_ > 0; })) return std::nullopt;
  --places_;
  return std::make_optional<Place>(this);
}

void Gate::leave() {
  {
    const std::lock_guard lock(mutex_);
    ++places_;
  }
  freed_.notify_one();
}

}  // namespace kmsfs
