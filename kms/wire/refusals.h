// Counts what was refused before anybody was known to have asked, and tells the operator of it in few lines.
//
// Such requests do not reach the audit log: whoever can reach the port could fill it. Always: at most one
// line in ten seconds for refusals, and one for failures of our own, with how many there were since the last.
// Threads: any, together.
#pragma once

#include <atomic>
#include <cstdint>
#include <string_view>

#include "core/clock.h"
#include "core/guarded.h"
#include "core/log.h"
#include "core/result.h"

namespace kmsfs::kms {

struct Peer;

class Refusals {
 public:
  Refusals(const Clock& clock, Logger logger) : clock_(clock), logger_(std::move(logger)) {}

  void count(const Error& error, const Peer& peer);
  void log_failure(std::string_view what);
  std::uint64_t count() const { return refused_; }

 private:
  struct Line {  // when one was written last, and how often nothing was since
    BootTime last{};
    std::uint64_t since = 0;
    bool any = false;
  };
  // The number to write; 0: too early.
  std::uint64_t due(Guarded<Line>& line);

  const Clock& clock_;
  const Logger logger_;
  std::atomic<std::uint64_t> refused_{0};
  Guarded<Line> refusal_line_, failure_line_;
};

}  // namespace kmsfs::kms
