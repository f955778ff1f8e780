#include "kms/wire/refusals.h"

#include <string>

#include "kms/wire/protocol.h"

namespace kmsfs::kms {

namespace {
constexpr auto kPause = std::chrono::seconds(10);
}

std::uint64_t Refusals::due(Guarded<Line>& line) {
  const BootTime now = clock_.boot_time();
  return line.with([&](Line& last) -> std::uint64_t {
    ++last.since;
    if (last.any && now - last.last < kPause) return 0;
    last.any = true;
    last.last = now;
    return std::exchange(last.since, 0);
  });
}

void Refusals::count(const Error& error, const Peer& peer) {
  ++refused_;
  const std::uint64_t refused = due(refusal_line_);
  if (refused == 0) return;
  const std::string from = peer.unix_socket ? "uid " + std::to_string(peer.uid) : peer.source_ip;
  logger_->warn("refused {} requests that nobody is known to have sent; the last, from {}: {}", refused, from,
                error.code != nullptr ? error.code : "no code");
}

void Refusals::log_failure(std::string_view what) {
  const std::uint64_t failed = due(failure_line_);
  if (failed > 0) logger_->error("failed {} requests for reasons of our own; the last: {}", failed, what);
}

}  // namespace kmsfs::kms
