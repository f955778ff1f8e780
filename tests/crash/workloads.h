// What programs do while the crash comes. Each is named by what must be true afterwards, and does the same
// calls every time.
#pragma once

#include <string>
#include <vector>

#include "tests/crash/history.h"

namespace kmsfs::crash {

struct Workload {
  std::string promise;
  void (*run)(History&);
};

const std::vector<Workload>& workloads();

}  // namespace kmsfs::crash
